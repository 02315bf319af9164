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
from poller.commands import TABLE
from poller.errors import ConfigError, JournalError, PollerError
from poller.runtime import log
from poller.runtime.clock import Clock, wait, wait_for_any
from poller.runtime.supervise import supervise
from poller.runtime.systemd import ServiceManager
from poller.settings import Loaded
from poller.warp import refuse_warping, rehearsal_clock, reloading_warped
from poller.web.control import SOCKET_NAME, ControlServer
from poller.web.display import Display
from poller.web.server import WebServer

#: Real seconds between two looks at journal, clock and progress.
LOOK_EVERY = 15.0
#: Seconds between two rounds of pruning.
PRUNE_EVERY = 3600.0
#: Real seconds that web and watches get to end, beside the deliveries' grace.
CLOSING = 2.0


class Daemon:
    """Runs an `App` until told to stop. `again` loads the settings anew for a reload."""

    def __init__(
        self, app: App, *, again: Callable[[], Loaded] | None = None, manager: ServiceManager | None = None
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
        self._web = web_server(app, app.loaded)
        self._web_stop = asyncio.Event()

    def stop(self) -> None:
        """Stop polling, give deliveries their grace, leave the rest on disk."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def reload(self) -> None:
        """Read the settings again; a bad file is refused and the old one kept."""
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
            await app.open()
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
            await _finish([*tasks, *self._road_tasks, *self._web_tasks], 0)
            self._web.close()
            await control.stop()
            # A refresh of a login under way may still end well, but the grace is for all together.
            await app.close(within=max(0.2, ending - asyncio.get_running_loop().time()))
        self._logger.info("app.stopped")

    def _commands(self) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
        return {name: functools.partial(command, self._app) for name, command in TABLE.items()}

    def _side_tasks(self) -> list[asyncio.Task[None]]:
        app = self._app
        runs = {"look": self._look, "prune": self._prune}
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
        if self._again is None:
            return
        self._manager.reloading()
        try:
            loaded = self._again()
            # Password, names and display may have changed; the addresses stay.
            web = web_server(self._app, loaded, bound=self._web.addresses)
            road = await self._app.prepare(loaded)
        except ConfigError as error:
            self._logger.error("reload.refused", problems=list(error.problems))
        except PollerError as error:
            self._logger.error("reload.refused", problems=[error.message], hint=error.hint)
        else:
            log.configure(loaded.settings.log.level, loaded.settings.log.format)
            await self._stop_road()
            if self._stop.is_set():
                await road.close(0)
                return  # the grace was spent on this; whoever stops us would have to wait for it twice
            await self._app.reload(road)
            self._start_road()
            await self._stop_web()
            self._web = web
            self._start_web()
            self._logger.info("reload.completed", file=str(loaded.path))
            for warning in loaded.warnings:
                self._logger.warning("config.careless", warning=warning)
            self._name_orphans()
            await self._prune_now()
        self._manager.ready(headline(self._app))

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
            if not app.pulse.silent():
                self._manager.alive()
            self._manager.status(headline(app))

    async def _prune(self, stop: asyncio.Event) -> None:
        while not await wait(stop, self._app.clock, PRUNE_EVERY):
            await self._prune_now()

    async def _prune_now(self) -> None:
        try:
            await self._app.prune()
        except JournalError as error:
            self._logger.warning("prune.failed", error=error.message, hint=error.hint)


def web_server(app: App, loaded: Loaded, *, bound: Sequence[tuple[str, int]] = ()) -> WebServer:
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
    )


def headline(app: App) -> str:
    """One line on how things stand, for the service manager."""
    reasons = app.status().reasons
    return reasons[0] if reasons else f"all well, {len(app.road.fleet.views())} vehicles"


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
    daemon = Daemon(App(loaded, clock=clock, simulated=simulated), again=again)
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
