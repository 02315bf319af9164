"""What the operator can ask for: the same functions behind the control socket and without a daemon.

Each takes the opened `App` and JSON arguments and gives JSON; errors are PollerErrors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from poller.app import App
from poller.disclosure import report
from poller.errors import ConfigError, LoginRequired, MalformedAnswer, PollerError
from poller.journal.base import DeadLetter, Entry
from poller.road import Road
from poller.runtime import log
from poller.runtime.redact import redact
from poller.schedule.rounds import Rounds
from poller.sinks.base import LIBRARY, Rehearsed
from poller.sources.findings import Examined, Finding
from poller.vehicle.alert import Alert, alert_record
from poller.vehicle.privacy import Rendering, short_vin
from poller.vehicle.records import Json, Record, rfc3339, snapshot_record

Command = Callable[[App, Mapping[str, Any]], Awaitable[Json]]

logger = log.get("commands")
_PAGE = 50
#: Reasons of a failed poll that a human mends by logging in, after a step in the portal if need be.
_HUMAN = frozenset({LoginRequired.reason, "scope"})


async def status(app: App, _args: Mapping[str, Any]) -> Json:
    """Everything that the page knows."""
    return {"running": app.running, **await app.status_json()}


async def vehicles(app: App, args: Mapping[str, Any]) -> Json:
    """The newest of every vehicle at every source: `record`, and `library`, its keys as in bimmerconnected.

    For the owner: positions and VINs are whole. Arguments: `units`, in place of the configured ones;
    `format`, without which `library` is left out.
    """
    display = app.loaded.settings.display
    offer = app.road.offer(Rendering(app.loaded.settings.names), units=args.get("units"))
    records = [record for record in await app.journal.newest() if record.source in app.road.sources]
    shown: list[Json] = []
    # One by one: an answer may be long, and they are many.
    for record in records:
        entry: Json = {"vehicle": offer.rendering.slug(record.vin), "record": offer.rendering.render(record)}
        if args.get("format") == LIBRARY:
            answers = await app.journal.answers_of([record])
            entry["library"] = offer.keys_of(record, answers.get(record.id))
        shown.append(entry)
    return {
        "now": rfc3339(app.clock.now()),
        "units": offer.units,
        "timezone": str(display.zone),
        "vehicles": shown,
    }


async def once(app: App, _args: Mapping[str, Any]) -> Json:
    """Poll every source now, deliver, and say how it went; `exit_code` is 0, 1 or 3.

    What a server or a login told us to wait for is respected: it is reported, not asked again.
    """
    road = app.road  # a reload meanwhile puts another in its place
    sources = [await _poll_now(name, rounds) for name, rounds in road.rounds.items()]
    sinks = await _deliver(app, road)
    await app.refresh()
    return {"sources": sources, "sinks": sinks, "exit_code": _exit_code(sources, sinks)}


async def doctor(app: App, _args: Mapping[str, Any]) -> Json:
    """Look at every source and sink: findings, the calls that they cost, and `exit_code` as of `once`.

    A source that can be examined is; any other one is polled.
    """
    road = app.road
    findings: list[Json] = []
    calls, login_required = 0, False
    for name, rounds in road.rounds.items():
        source = road.sources[name]
        if isinstance(source, Examined):
            examination = await source.examine()
            calls += examination.calls
            login_required |= examination.login_required
            findings += [_found(f"source {name}, {f.subject}", f) for f in examination.findings]
        else:
            polled = await _poll_now(name, rounds)
            login_required |= polled["reason"] == LoginRequired.reason
            findings.append(_how_it_went(f"source {name}", polled, f"snapshots: {polled['good']}"))
    for sink in await _deliver(app, road):
        findings.append(_how_it_went(f"sink {sink['name']}", sink, "delivered"))
    await app.refresh()
    bad = any(finding["level"] == "bad" for finding in findings)
    return {
        "findings": findings,
        "calls": calls,
        "exit_code": LoginRequired.exit_code if login_required else int(bad),
    }


async def descriptors(app: App, args: Mapping[str, Any]) -> Json:
    """What to tick in the maker's portal, by feature, and what has arrived; of one source, or of all."""
    known = {name: source for name, source in app.road.sources.items() if isinstance(source, Examined)}
    wanted = args.get("source")
    if wanted is not None and wanted not in known:
        raise _unknown("source with descriptors", str(wanted), known)
    shown = [
        {"name": name, "descriptors": [asdict(one) for one in source.wanted()]}
        for name, source in known.items()
        if wanted in (None, name)
    ]
    return {"sources": shown, "vehicles": _titles(app)}


async def dead_letters_list(app: App, args: Mapping[str, Any]) -> Json:
    """What was set aside, oldest first, without contents that are private."""
    limit = int(args.get("limit") or 1000)
    shown: list[Json] = []
    async for letter in _letters(app, args):
        if len(shown) == limit:
            break
        shown.append(_shown(letter))
    return {"dead_letters": shown}


async def dead_letters_retry(app: App, args: Mapping[str, Any]) -> Json:
    """Send refused records again, parse quarantined answers again; gives how many of each."""
    chosen = await _chosen(app, args)
    refused: list[int] = []
    parsed, still_bad = 0, 0
    async for letter in _letters(app, args):
        if letter.id not in chosen:
            continue
        if letter.answer is None:
            refused.append(letter.id)
        elif await _parse_again(app, letter):
            parsed += 1
        else:
            still_bad += 1
    marked = await app.journal.retry(refused)
    app.road.wake()
    return {"marked": marked, "parsed": parsed, "still_malformed": still_bad}


async def dead_letters_drop(app: App, args: Mapping[str, Any]) -> Json:
    """Delete for good; gives how many."""
    return {"dropped": await app.journal.drop_dead_letters(await _chosen(app, args))}


async def resend(app: App, args: Mapping[str, Any]) -> Json:
    """Move a sink's cursor back to a time; what it gets again is marked ``replayed``."""
    sink = str(args["sink"])
    if sink not in app.road.deliveries:
        raise _unknown("queued sink", sink, app.road.deliveries)
    count = await app.journal.rewind(sink, _moment(str(args["from"])))
    app.road.wake()
    return {"sink": sink, "records": count}


async def forget_sink(app: App, args: Mapping[str, Any]) -> Json:
    """Drop the cursor of a sink that left the configuration."""
    sink = str(args["sink"])
    if sink in app.road.deliveries:
        raise PollerError(
            f"sink {sink} is configured", hint=f"take [sinks.{sink}] out of the configuration first"
        )
    if not await app.journal.forget(sink):
        orphans = (await app.journal.stats()).orphans
        raise _unknown("sink that left the configuration", sink, orphans)
    return {"sink": sink, "forgotten": True}


async def alerts_test(app: App, args: Mapping[str, Any]) -> Json:
    """Send a sample through each channel, past queue and filters: what came of each, and `exit_code`.

    Arguments: `sinks`, the names in the file now; `unread` are those that we do not know.
    """
    road = app.road
    unread = [name for name in args.get("sinks", ()) if name not in app.loaded.settings.sinks]
    channels = {name: sink for name, sink in road.sinks.items() if isinstance(sink, Rehearsed)}
    if not channels:
        hint = "configure one: docs/sinks/notify.md, docs/sinks/webhook.md or docs/sinks/mqtt.md"
        if unread:
            hint = "the running poller has not read the file since it changed: reload it"
        raise PollerError("no sink leads to a person", hint=hint)
    sample = _sample(app.clock.now())
    tried: list[Json] = []
    for name, sink in channels.items():
        rendered = road.rendering(app.loaded.settings.sinks[name]).render(sample)
        tried += [{"sink": name, **asdict(one)} for one in await sink.rehearse(rendered)]
    return {"channels": tried, "unread": unread, "exit_code": int(any(one["error"] for one in tried))}


async def privacy(app: App, _args: Mapping[str, Any]) -> Json:
    """What leaves the house, by the configuration that is in force."""
    return report(app.loaded)


#: Name on the control socket → command.
TABLE: dict[str, Command] = {
    "status": status,
    "vehicles": vehicles,
    "once": once,
    "doctor": doctor,
    "descriptors": descriptors,
    "dead-letters-list": dead_letters_list,
    "dead-letters-retry": dead_letters_retry,
    "dead-letters-drop": dead_letters_drop,
    "resend": resend,
    "forget-sink": forget_sink,
    "privacy": privacy,
    "alerts-test": alerts_test,
}

#: Those that poll and deliver: the road under them must stay.
USES_ROAD = frozenset({"once", "doctor", "alerts-test"})


def _sample(now: datetime) -> Record:
    """An alert about nothing; each one is another, for channels remember what they had."""
    return alert_record(
        Alert(
            rule="test",
            state="raised",
            severity="info",
            subject="",
            raised_at=now,
            told_at=now,
            title="Test from the poller",
            text="Alerts reach you here. Nothing is wrong: somebody ran `poller alerts test`.",
            event=True,
        )
    )


def _titles(app: App) -> dict[str, str]:
    """Short VIN → what the owner calls the vehicle: his name for it, else its model."""
    titles: dict[str, str] = {}
    for view in app.fleet.views():
        model = view.readings.get("model")
        title = str(model[0].value) if model is not None else app.rendering.slug(view.vin)
        titles[short_vin(view.vin)] = app.rendering.names.get(view.vin, title)
    return titles


async def _deliver(app: App, road: Road) -> list[Json]:
    """Hand every queued sink what waits for it, and say how that went."""
    sinks: list[Json] = []
    for name, delivery in road.deliveries.items():
        await delivery.drain()
        left = await app.journal.backlog(name)
        failure = delivery.status().failure
        error, hint = (failure.message, failure.hint) if failure else (None, None)
        sinks.append({"name": name, "backlog": left.records, "error": error, "hint": hint})
    return sinks


def _found(subject: str, finding: Finding) -> Json:
    return {"level": finding.level, "subject": subject, "text": finding.text, "mend": finding.mend}


def _how_it_went(subject: str, part: Json, well: str) -> Json:
    error = part["error"]
    level, text = ("bad", error) if error else ("ok", well)
    return {"level": level, "subject": subject, "text": text, "mend": part.get("hint") if error else None}


async def _poll_now(name: str, rounds: Rounds) -> Json:
    told_to_wait = rounds.told_to_wait()
    if told_to_wait is not None:
        return {"name": name, "good": 0, "bad": 0, "silences": [], **told_to_wait}
    outcome = await rounds.round()
    shown: Json = {"name": name, "good": outcome.good, "bad": outcome.bad, "error": None, "reason": None}
    if outcome.error is not None:
        shown.update(error=outcome.error.message, hint=outcome.error.hint, reason=outcome.error.reason)
    silences = rounds.status.silences
    shown["silences"] = [one.message for one in silences if one.message != shown["error"]]
    return shown


def _exit_code(sources: Sequence[Json], sinks: Sequence[Json]) -> int:
    if any(source.get("reason") in _HUMAN for source in sources):
        return LoginRequired.exit_code
    failed = any(source.get("error") for source in sources) or any(sink["error"] for sink in sinks)
    return int(failed)


async def _letters(app: App, args: Mapping[str, Any]) -> AsyncIterator[DeadLetter]:
    """The dead letters that are spoken of, page by page: each may hold a whole answer."""
    after = 0
    while page := await app.journal.dead_letters(args.get("sink"), limit=_PAGE, after=after):
        after = page[-1].id
        for letter in page:
            yield letter


async def _chosen(app: App, args: Mapping[str, Any]) -> set[int]:
    """The ids that are spoken of: those given, or all. Raises PollerError for one that is not there."""
    there = {letter.id async for letter in _letters(app, args)}
    wanted = {int(number) for number in args.get("ids") or there}
    if missing := wanted - there:
        numbers = ", ".join(str(number) for number in sorted(missing))
        raise PollerError(f"no dead letter {numbers}", hint="`poller dead-letters list` shows what is there")
    return wanted


async def _parse_again(app: App, letter: DeadLetter) -> bool:
    """False where it is still not understood, or no source of its kind is configured to try it."""
    answer = letter.answer
    if answer is None:
        return False
    source = next((s for s in app.road.sources.values() if s.kind == answer.kind), None)
    if source is None:
        return False
    try:
        snapshot = source.parse(answer)
    except MalformedAnswer:
        return False
    except Exception:
        # A bug that is still there must not keep the other letters back.
        logger.exception("answer.unparsable", letter=letter.id)
        return False
    await app.journal.append(Entry(answer=answer, records=(snapshot_record(snapshot, answer),)))
    await app.journal.drop_dead_letters([letter.id])
    return True


def _shown(letter: DeadLetter) -> Json:
    what = letter.record or letter.answer
    vin = what.vin if what is not None else ""
    return {
        "id": letter.id,
        "sink": letter.sink,
        "kind": letter.record.kind if letter.record else "answer",
        "record": letter.record.id if letter.record else None,
        "vehicle": short_vin(vin),
        "reason": redact(letter.reason),
        "at": rfc3339(letter.at),
    }


def _moment(text: str) -> datetime:
    try:
        # Without a zone it is the machine's own time; UTC ends a little before some zones do.
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            [f"--from: cannot read {text!r}"], hint='write "2026-11-21" or "2026-11-21T14:00:00Z"'
        ) from error


def _unknown(what: str, name: str, known: Mapping[str, Any]) -> ConfigError:
    there = f"known: {', '.join(known)}" if known else "there is none at all"
    return ConfigError([f"no {what} is named {name}"], hint=there)
