"""Commands on what was set aside: list, retry, drop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from poller.app import App
from poller.errors import MalformedAnswer, PollerError
from poller.journal.base import DeadLetter, Entry
from poller.runtime import log
from poller.runtime.redact import redact
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import Json, rfc3339, snapshot_record

logger = log.get("commands")
_PAGE = 50


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
