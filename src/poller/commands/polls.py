"""Commands that poll and deliver now: `once` and `doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poller.app import App
from poller.errors import LoginRequired
from poller.road import Road
from poller.runtime.status import Silence
from poller.schedule.rounds import Rounds
from poller.sinks.base import Attended, Standing
from poller.sources.findings import Examined, Finding
from poller.vehicle.records import Json

#: Reasons of a failed poll that a human mends by logging in, after a step in the portal if need be.
_HUMAN = frozenset({LoginRequired.reason, "scope"})


async def once(app: App, _args: Mapping[str, Any]) -> Json:
    """Poll every source now, deliver, and say how it went; `exit_code` is 0, 1 or 3.

    What a server or a login told us to wait for is respected: it is reported, not asked again. `idle`:
    sinks that show the newest state, which takes a poller that goes on running.
    """
    road = app.road  # a reload meanwhile puts another in its place
    sources = [await poll_now(name, rounds) for name, rounds in road.rounds.items()]
    sinks = await _deliver(app, road)
    await app.refresh()
    idle = [] if app.running else list(road.live)
    return {"sources": sources, "sinks": sinks, "idle": idle, "exit_code": _exit_code(sources, sinks)}


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
            polled = await poll_now(name, rounds)
            login_required |= polled["reason"] == LoginRequired.reason
            findings.append(_how_it_went(f"source {name}", polled, f"snapshots: {polled['good']}"))
    for sink in await _deliver(app, road):
        findings.append(_how_it_went(f"sink {sink['name']}", sink, _delivered(sink)))
    shows = "shows the newest state" if app.running else "will show the newest state once a poller runs"
    findings += [_found(f"sink {n}", Finding("ok", "", shows)) for n in road.live if n not in road.deliveries]
    await app.refresh()
    bad = any(finding["level"] == "bad" for finding in findings)
    return {
        "findings": findings,
        "calls": calls,
        "exit_code": LoginRequired.exit_code if login_required else int(bad),
    }


async def poll_now(name: str, rounds: Rounds) -> Json:
    """Poll one source, unless it was told to wait: `good`, `bad`; `error`, `hint`, `reason` if it failed."""
    told_to_wait = rounds.told_to_wait()
    if told_to_wait is not None:
        return {"name": name, "good": 0, "bad": 0, "silences": [], **told_to_wait}
    outcome = await rounds.round()
    shown: Json = {"name": name, "good": outcome.good, "bad": outcome.bad, "error": None, "reason": None}
    if outcome.error is not None:
        shown.update(error=outcome.error.message, hint=outcome.error.hint, reason=outcome.error.reason)
    silences = rounds.status.silences
    # Values that were had before are read without a login; that does not make it whole.
    if shown["reason"] is None and any(_wants_login(name, one) for one in silences):
        shown["reason"] = LoginRequired.reason
    shown["silences"] = [one.message for one in silences if one.message != shown["error"]]
    return shown


def _wants_login(name: str, silence: Silence) -> bool:
    """Whether a login alone mends it: a subscription may be left out on purpose, a container is no login."""
    step = f"run `poller login {name}`"
    return silence.condition == "refused" and not silence.vehicle and (silence.hint or "").startswith(step)


async def _deliver(app: App, road: Road) -> list[Json]:
    """Hand every queued sink what waits for it, and say how that went."""
    sinks: list[Json] = []
    for name, delivery in road.deliveries.items():
        await delivery.drain()
        left = await app.journal.backlog(name)
        sink, status = road.live.get(name), delivery.status()
        standing = sink.standing() if isinstance(sink, Attended) else Standing()
        failure = status.failure or standing.failure
        error, hint = (failure.message, failure.hint) if failure else (None, None)
        tried = (status.up, standing.up) != (None, None)
        sinks.append({"name": name, "backlog": left.records, "tried": tried, "error": error, "hint": hint})
    return sinks


def _delivered(sink: Json) -> str:
    """How a sink stands that has not failed: what was never tried is not called good."""
    if sink["backlog"]:
        return f"{sink['backlog']} records wait for it"
    return "everything delivered" if sink["tried"] else "nothing waits for it, and nothing was tried yet"


def _found(subject: str, finding: Finding) -> Json:
    return {"level": finding.level, "subject": subject, "text": finding.text, "mend": finding.mend}


def _how_it_went(subject: str, part: Json, well: str) -> Json:
    error = part["error"]
    level, text = ("bad", error) if error else ("ok", well)
    return {"level": level, "subject": subject, "text": text, "mend": part.get("hint") if error else None}


def _exit_code(sources: Sequence[Json], sinks: Sequence[Json]) -> int:
    if any(source.get("reason") in _HUMAN for source in sources):
        return LoginRequired.exit_code
    failed = any(source.get("error") for source in sources) or any(sink["error"] for sink in sinks)
    return int(failed)
