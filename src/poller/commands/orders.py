"""Commands that tell a car to do something. The control socket and the command line lead here, no more."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from poller.app import App
from poller.commands.base import unknown
from poller.commands.choice import Chosen, choose
from poller.commands.polls import poll_now
from poller.errors import (
    PASSING,
    CommandRefused,
    ConfigError,
    JournalError,
    LoginRequired,
    PollerError,
    RateLimited,
    SourceError,
    SourceUnavailable,
)
from poller.runtime import log
from poller.runtime.redact import redact
from poller.sources.remote import Deadline, Remote
from poller.vehicle.command import (
    GOOD,
    SETTLED_AFTER,
    CommandState,
    Order,
    Outcome,
    Service,
    command_record,
)
from poller.vehicle.privacy import Rendering, short_vin
from poller.vehicle.records import Json, Record, milliseconds

logger = log.get("commands")


@dataclass(frozen=True, slots=True)
class _End:
    """How an order ended: what came of it, and the error where the car was not told."""

    outcome: Outcome
    error: PollerError | None = None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return int(self.outcome.state not in GOOD)


async def vehicle_choose(app: App, args: Mapping[str, Any]) -> Json:
    """Which vehicle is meant, before it is told anything: `vehicle`, `title`, `vin`, `source`, `file`."""
    return (await choose(app, app.road, args)).shown(app)


async def vehicle_order(app: App, args: Mapping[str, Any]) -> Json:
    """Tell a vehicle to do something, wait for the end, and say what came of it.

    Arguments: `vehicle`, `source`, `service`, `arguments` (`sources.remote`), `ordered_at`: when the owner
    gave it, in seconds since 1970 by this machine's clock, if not now. Gives what
    `vehicle_choose` gives, and `record`, `found`, `stale`, `hint`, `unkept`, `exit_code`. The order is in the
    journal before it is sent, and again with its end, once the journal takes that: if we are stopped
    between, it stays "ordered", and nobody knows. For the owner: positions and VINs are whole. A second
    order to the same car is refused while one is under way.
    """
    service = str(args.get("service"))
    if service not in get_args(Service):
        raise ConfigError(
            [f"no car can be told to {service}"], hint="the poller that runs is another version"
        )
    deadline = Deadline(app.clock, waited=_waited(args))
    deadline.check()
    async with _remote(app, args) as (chosen, source):
        deadline.check()
        order = Order(chosen.vin, service, dict(args.get("arguments") or {}))  # type: ignore[arg-type]  # looked up above
        with _alone(app, chosen):
            return await _carry_out(app, chosen, source, order, deadline)


def _waited(args: Mapping[str, Any]) -> float:
    """Real seconds that the order lay unread: a daemon that was stopped finds it when it goes on."""
    now = time.time()  # not the app's clock, which may be warped: the owner's is not
    return max(0.0, now - float(args.get("ordered_at") or now))


async def vehicle_reread(app: App, args: Mapping[str, Any]) -> Json:
    """After an order: have its source asked for news, once the maker's servers know of it.

    Gives `error` and `hint` where that did not go; what a server told us to wait for is respected.
    """
    await app.clock.sleep(SETTLED_AFTER)
    name = str(args["source"])
    rounds = app.road.rounds.get(name)  # a reload may have taken it away
    if rounds is None:
        return {"error": None}
    # The order may have been carried out by the source that was there before a reload.
    await app.road.sources[name].open()
    if not app.running:
        return await poll_now(name, rounds)
    rounds.mark_due()
    return rounds.told_to_wait() or {"error": None}


async def vehicle_pictures(app: App, args: Mapping[str, Any]) -> Json:
    """What `vehicle_choose` gives, and `pictures`: view → PNG in base64. Arguments: its own and `views`."""
    async with _remote(app, args) as (chosen, source):
        try:
            pictures = await source.pictures(chosen.vin, [str(view) for view in args["views"]])
        except SourceError as error:
            await _heed(app, chosen, error)
            raise
    shown = {view: base64.b64encode(png).decode() for view, png in pictures.items()}
    return {**chosen.shown(app), "pictures": shown}


@asynccontextmanager
async def _remote(app: App, args: Mapping[str, Any]) -> AsyncIterator[tuple[Chosen, Remote]]:
    """The vehicle that is meant, and its account, which stays open although a reload takes its road away."""
    chosen = await choose(app, app.road, args)
    road = app.road  # a reload may have put another in its place just now
    if chosen.source not in road.sources:
        raise unknown("source", chosen.source, road.sources)
    async with road.using(chosen.source) as source:
        if not isinstance(source, Remote):
            raise unknown("source that can tell a car anything", chosen.source, {})
        yield chosen, source


@contextmanager
def _alone(app: App, chosen: Chosen) -> Iterator[None]:
    vin = chosen.vin.upper()  # another account may spell it otherwise
    if vin in app.ordered:
        raise CommandRefused(
            f"another order to {chosen.slug} is under way; this one was not sent",
            hint="it ends within four minutes: wait for it, then order again",
        )
    app.ordered.add(vin)
    try:
        yield
    finally:
        app.ordered.discard(vin)


async def _carry_out(app: App, chosen: Chosen, source: Remote, order: Order, deadline: Deadline) -> Json:
    ordered_at = milliseconds(app.clock.now())
    await _note(app, command_record(order, chosen.source, ordered_at, at=ordered_at))
    if app.running:  # without a daemon the terminal is told, which is where the log would go
        logger.info(
            "command.ordered", source=chosen.source, vehicle=short_vin(order.vin), service=order.service
        )
    end = await _end_of(source, order, deadline)
    await _heed(app, chosen, end.error)
    ended_at = milliseconds(app.clock.now())
    record = command_record(order, chosen.source, ordered_at, outcome=end.outcome, at=ended_at)
    unkept = None
    try:
        await _note(app, record)
    except JournalError as error:
        # What the car did is done: the owner hears of it all the same, and the journal when it can.
        unkept = error.message
        app.unkept[record.id] = record
        app.orders.know(record)
    if app.running:
        _log(chosen, order, end)
    return {
        **chosen.shown(app),
        "record": Rendering(app.loaded.settings.names).render(record),
        "found": asdict(end.outcome.found) if end.outcome.found else None,
        "stale": end.outcome.stale,
        "hint": _hint(end.error),
        "unkept": unkept,
        "exit_code": end.exit_code,
    }


def _hint(error: PollerError | None) -> str | None:
    """Polls are repeated, and say so; an order never is."""
    if isinstance(error, SourceUnavailable) and error.reason in PASSING:
        return "nothing was sent, and nothing will be by itself: give the order again"
    return error.hint if error else None


def _log(chosen: Chosen, order: Order, end: _End) -> None:
    logger.info(
        "command.ended",
        source=chosen.source,
        vehicle=short_vin(order.vin),
        service=order.service,
        state=str(end.outcome.state),
        reason=end.outcome.reason or None,
    )


async def _end_of(source: Remote, order: Order, deadline: Deadline) -> _End:
    try:
        outcome = await source.execute(order, deadline)
    except (CommandRefused, SourceError) as error:
        return _End(Outcome(CommandState.REFUSED, reason=redact(error.message)), error)
    except Exception as bug:
        logger.exception("command.crashed", service=order.service)
        words = f"a bug in this program ({type(bug).__name__}): nobody knows whether the car did it"
        return _End(Outcome(CommandState.UNKNOWN, reason=words), PollerError(hint="see the log"))
    return _End(replace(outcome, reason=redact(outcome.reason)))


async def _heed(app: App, chosen: Chosen, error: PollerError | None) -> None:
    """Let the account know what an order met.

    Whoever orders again before its time, perhaps in another process, must not ask the maker again;
    and a login that was refused shows at once: a poll now tells whether it is the login or the order.
    """
    rounds = app.road.rounds.get(chosen.source)  # a reload may have taken it away
    if rounds is None:
        return
    if isinstance(error, RateLimited):
        with suppress(JournalError):
            await rounds.heed(error)
    elif isinstance(error, LoginRequired) and app.running:
        rounds.mark_due()


async def _note(app: App, record: Record) -> None:
    await app.orders.append(record)
    app.road.wake()
