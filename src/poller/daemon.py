"""The daemon: an opened app with its tasks, web, control socket, signals and service manager."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from poller.app import App
from poller.commands import TABLE, USES_ROAD, Command
from poller.errors import ConfigError, JournalError, PollerError
from poller.login_desk import LoginDesk
from poller.road import Road
from poller.runtime import log
from poller.runtime.clock import Clock, wait, wait_for_any
from poller.runtime.status import Failure
from poller.runtime.supervise import supervise
from poller.runtime.systemd import ServiceManager
from poller.settings import Loaded
from poller.vehicle.display import Display
from poller.vehicle.records import Json
from poller.warp import refuse_warping, rehearsal_clock, reloading_warped
from poller.web.control import SOCKET_NAME, ControlServer
from poller.web.page import headline as page_headline
from poller.web.server import WebServer

#: Real seconds between two looks at journal, clock and progress.
LOOK_EVERY = 15.0
#: Seconds between two rounds of pruning.
PRUNE_EVERY = 3600.0
#: Real seconds between two words to the service manager while the journal is opened, and words at most.
WORD_EVERY = 10.0
LONGEST_START = 360
#: Real seconds between two tries to read what a new road must know before it starts.
STALLED = 5.0
#: Real seconds that web and watches get to end, beside the deliveries' grace.
CLOSING = 2.0


class Daemon:
    """Runs an `App` until told to stop.

    `again` loads the settings anew for a reload. `demo`: everything is simulated, the page may show it.
    """

    def __init__(
        self,
        app: App,
        *,
        again: Callable[[], Loaded] | None = None,
        manager: ServiceManager | None = None,
        demo: bool = False,
    ) -> None:
        self._app = app
        self._again = again
        self._manager = manager or ServiceManager()
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._road_stop = asyncio.Event()
        self._road_tasks: list[asyncio.Task[None]] = []
        self._web_tasks: list[asyncio.Task[None]] = []
        self._logger = log.get("app")
        self._demo = demo
        self._web = web_server(app, app.loaded, demo=demo)
        self._web_stop = asyncio.Event()
        self._prune_soon = asyncio.Event()
        #: Held by a command that polls and delivers, and while a reload swaps the road under it.
        self._road_in_use = asyncio.Lock()
        self._desk = LoginDesk(app)

    def stop(self) -> None:
        """Stop polling, give deliveries their grace, leave the rest on disk."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def reload(self) -> None:
        """Read the settings again, or once more if that is under way; a bad file is refused."""
        self._reload.set()

    async def run(self, ready: Callable[[list[str]], None] = lambda _: None) -> None:
        """Open, run until `stop`, close. `ready` is called with the addresses of the page.

        Raises PollerError if it cannot start: the port or the data directory is taken, …
        """
        app = self._app
        folder = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or app.loaded.settings.data_dir
        control = ControlServer(Path(folder) / SOCKET_NAME, self._commands())
        tasks: list[asyncio.Task[None]] = []
        ending = 0.0
        try:
            # The lock first: a second poller is told of the first, not of its port.
            await self._open()
            self._web.bind()
            await control.start()
            app.running = True
            self._start_road()
            self._start_web()
            tasks = self._side_tasks()
            self._manager.ready(headline(app))
            data_dir = str(app.loaded.settings.data_dir)
            self._logger.info("app.started", page=self._web.urls, data_dir=data_dir)
            self._name_orphans()
            ready(self._web.urls)
            await self._until_stopped()
            self._manager.stopping()
            self._logger.info("app.stopping")
            ending = asyncio.get_running_loop().time() + app.loaded.settings.shutdown_grace
            await asyncio.gather(self._stop_road(), self._stop_web(), control.stop(), _finish(tasks, CLOSING))
        finally:
            await self._desk.close()
            await _finish([*tasks, *self._road_tasks, *self._web_tasks], 0)
            self._web.close()
            await control.stop()
            # A refresh of a login under way may still end well, but the grace is for all together.
            await app.close(within=max(0.2, ending - asyncio.get_running_loop().time()))
        self._logger.info("app.stopped")

    async def _open(self) -> None:
        """Open the app; the service manager hears of it when that takes long: a journal is migrated."""
        opening = asyncio.create_task(self._app.open())
        try:
            for _ in range(LONGEST_START):
                done, _ = await asyncio.wait({opening}, timeout=WORD_EVERY)
                if done:
                    break
                self._manager.starting("opening the journal", 3 * WORD_EVERY)
            await opening
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    def _commands(self) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
        table = {
            name: functools.partial(self._on_the_road, command)
            if name in USES_ROAD
            else functools.partial(command, self._app)
            for name, command in TABLE.items()
        }
        return {**table, "login": self._desk.begin, "login-standing": self._desk.standing}

    def _side_tasks(self) -> list[asyncio.Task[None]]:
        app = self._app
        runs = {"look": self._look, "prune": self._prune, "watch": app.watch.run}
        return [
            asyncio.create_task(
                supervise(name, run, stop=self._stop, clock=app.clock, metrics=app.metrics), name=name
            )
            for name, run in runs.items()
        ]

    def _start_web(self) -> None:
        self._web_stop = asyncio.Event()
        app = self._app
        serving = supervise("web", self._web.run, stop=self._web_stop, clock=app.clock, metrics=app.metrics)
        self._web_tasks = [asyncio.create_task(serving, name="web")]

    async def _stop_web(self) -> None:
        self._web_stop.set()
        await _finish(self._web_tasks, CLOSING)

    def _start_road(self) -> None:
        self._road_stop = asyncio.Event()
        self._road_tasks = self._app.road.start(self._road_stop)

    async def _stop_road(self) -> None:
        self._app.road.timer.stop()
        self._road_stop.set()
        await _finish(self._road_tasks, self._app.loaded.settings.shutdown_grace)

    async def _until_stopped(self) -> None:
        while not self._stop.is_set():
            await wait_for_any((self._stop, self._reload), self._app.clock, None)
            if self._reload.is_set() and not self._stop.is_set():
                self._reload.clear()
                await self._reload_now()

    async def _reload_now(self) -> None:
        """Read the settings and swap the road; whatever goes wrong before, the old one stays."""
        if self._again is None:
            return
        self._manager.reloading()
        preparing = asyncio.create_task(self._prepare(self._again))
        await self._unless_stopped(preparing)
        if preparing.cancelled():
            return
        try:
            loaded, web, road = preparing.result()
        except PollerError as error:
            self._refuse(error)
        except Exception as error:
            self._logger.exception("reload.crashed")
            self._refuse(PollerError(f"a bug in this program: {type(error).__name__}", hint="see the log"))
        else:
            await self._swap(loaded, web, road)
        if not self._stop.is_set():
            self._manager.ready(headline(self._app))

    async def _prepare(self, again: Callable[[], Loaded]) -> tuple[Loaded, WebServer, Road]:
        """Everything that can fail. Raises PollerError, with nothing changed."""
        loaded, before = await asyncio.to_thread(again), self._app.loaded
        if loaded.path != before.path:
            # A file that is away for a moment must not put another one of the machine's in force.
            words = f"{before.path or 'no file'} was in force, and {loaded.path or 'no file'} would be read"
            raise ConfigError([words], hint="put it back; or restart the poller to go by another file")
        # Password, names and display may have changed; the addresses stay.
        web = web_server(self._app, loaded, bound=self._web.addresses, demo=self._demo)
        return loaded, web, await self._app.prepare(loaded)

    async def _unless_stopped(self, task: asyncio.Task[Any]) -> None:
        """Wait until `task` is over; a stop that comes before cancels it."""
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _refuse(self, error: PollerError) -> None:
        problems = list(error.problems) if isinstance(error, ConfigError) else [error.message]
        self._logger.error("reload.refused", problems=problems, hint=error.hint)
        more = f" (and {len(problems) - 1} more: see the log)" if len(problems) > 1 else ""
        hint = error.hint or "mend it and reload again; `poller check` says whether it is good"
        self._app.reload_failure = Failure(self._app.clock.now(), "configuration", problems[0] + more, hint)

    async def _swap(self, loaded: Loaded, web: WebServer, road: Road) -> None:
        if self._road_in_use.locked():
            self._logger.info("reload.waiting", hint="for `poller once` or `poller doctor` to be done")
        entering = asyncio.create_task(self._road_in_use.acquire())
        await self._unless_stopped(entering)
        try:
            if not self._stop.is_set():
                await self._stop_road()
            if self._stop.is_set():
                await road.close(0)
                return  # the grace was spent on this; whoever stops us would have to wait for it twice
            await self._take_over(road, loaded)
            self._start_road()
        finally:
            if not entering.cancelled():
                self._road_in_use.release()
        log.configure(loaded.settings.log.level, loaded.settings.log.format)
        await self._stop_web()
        self._web = web
        self._start_web()
        self._logger.info("reload.completed", file=str(loaded.path))
        for warning in loaded.warnings:
            self._logger.warning("config.careless", warning=warning)
        self._name_orphans()
        self._prune_soon.set()

    async def _take_over(self, road: Road, loaded: Loaded) -> None:
        """Put the new road in the old one's place; it starts when it knows what the old one did."""
        app = self._app
        try:
            await app.reload(road, loaded)
        except PollerError as error:
            self._logger.error("reload.stalled", error=error.message, hint=error.hint)
        else:
            return
        while not await wait(self._stop, app.clock, STALLED * app.clock.rate):
            with contextlib.suppress(PollerError):
                await road.catch_up()
                return

    async def _on_the_road(self, command: Command, args: dict[str, Any]) -> Json:
        async with self._road_in_use:
            return await command(self._app, args)

    def _name_orphans(self) -> None:
        """Say which sinks left the configuration: that is how a rename shows."""
        for sink, backlog in self._app.status().journal.orphans:
            hint = f"name a sink so again, or let it go: `poller sinks forget {sink}`"
            self._logger.warning("sink.orphaned", sink=sink, backlog=backlog, hint=hint)

    async def _look(self, stop: asyncio.Event) -> None:
        """Refresh the status, feed the watchdog while everything makes progress."""
        app = self._app
        every = LOOK_EVERY
        if self._manager.watchdog_seconds:
            every = min(every, self._manager.watchdog_seconds / 3)
        while not await wait(stop, app.clock, every * app.clock.rate):
            await app.refresh()
            await app.keep_ends()
            if not app.pulse.silent():
                self._manager.alive()
            self._manager.status(headline(app))

    async def _prune(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await wait_for_any((stop, self._prune_soon), self._app.clock, PRUNE_EVERY)
            self._prune_soon.clear()
            if not stop.is_set():
                await self._prune_now()

    async def _prune_now(self) -> None:
        try:
            await self._app.prune()
        except JournalError as error:
            self._logger.warning("prune.failed", error=error.message, hint=error.hint)


def web_server(
    app: App, loaded: Loaded, *, bound: Sequence[tuple[str, int]] = (), demo: bool = False
) -> WebServer:
    """Page, API, metrics and health as configured, where the app listens already.

    Raises ConfigError for an impossible password hash.
    """
    web, display = loaded.settings.web, loaded.settings.display
    return WebServer(
        app,
        listen=app.loaded.settings.web.listen,
        bound=bound,
        display=Display(display.units, display.zone),
        clock=app.clock,
        password=web.password.get_secret_value() if web.password else None,
        base_path=web.base_path,
        allowed_hosts=web.allowed_hosts,
        demo=demo,
    )


def headline(app: App) -> str:
    """The page's first line, and the first thing that is wrong, for the service manager."""
    verdict, refused = page_headline(app.status()), app.reload_failure
    more = f": {verdict.problems[0]}" if verdict.problems else f". {verdict.more}" if verdict.more else ""
    if refused is not None and refused.message not in more:
        more += f"; the last reload was refused: {refused.message}"
    return verdict.text + more


async def run_daemon(
    loaded: Loaded,
    *,
    speed: float = 1.0,
    again: Callable[[], Loaded] | None = None,
    clock: Clock | None = None,
    simulated: bool = False,
    ready: Callable[[list[str]], None] = lambda _: None,
) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Raises PollerError if it cannot start.

    At a `speed`, or with a warped `clock`, only addresses of this machine are taken, after a reload too.
    """
    os.umask(0o077)
    if speed != 1.0 or (clock is not None and clock.rate != 1.0):
        refuse_warping(loaded)
        again = again and reloading_warped(again)
        clock = clock or rehearsal_clock(speed, loaded.settings.data_dir)
    daemon = Daemon(App(loaded, clock=clock, simulated=simulated), again=again, demo=simulated)
    with signals(daemon):
        await daemon.run(ready)


@contextlib.contextmanager
def signals(daemon: Daemon) -> Iterator[None]:
    """SIGTERM and SIGINT stop, a second one ends at once, SIGHUP reloads; the old handlers come back."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if daemon.stopping:
            os._exit(1)
        daemon.stop()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: daemon.reload}
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, old)


async def _finish(tasks: list[asyncio.Task[None]], grace: float) -> None:
    """Let tasks end within `grace` real seconds, then cancel; what they held is on disk."""
    if tasks and grace:
        await asyncio.wait(tasks, timeout=grace)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
