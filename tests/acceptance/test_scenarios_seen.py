"""Every hint of a shipped scenario is true: the day is played to the real daemon, and looked at as told.

A hint is ``place: words``, and what stands in backticks among its words is literal, save that ``…``
stands for anything. These signs are seen there one after another, the first of them not before the
scenario began; with "no" before it, one is never seen; "all the time" means at every look.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fault_house import INTERVAL, House
from fault_page import LogLine, Span

from poller.cli.status import lines
from poller.commands import TABLE
from poller.errors import LoginRequired
from poller.schedule.backoff import LONGEST
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.scenario import Scenario, load, names

GARAGE = demo_garage()
#: How long the rehearsal goes on after the last fault, or while one never ends: our longest back-off.
AFTERWARDS = LONGEST + 2 * INTERVAL
#: So many looks in a row say that nobody is asked any more.
A_WHILE = 10
T = TypeVar("T")
_SIGN = re.compile(r"(?P<no>\bno )?`(?P<text>[^`]+)`")


@dataclass(slots=True)
class Look:
    """One look around: what stands in each place, and what was logged since the look before."""

    shown: Mapping[str, str]
    requests: int
    logged: Sequence[Mapping[str, object]]


@dataclass(slots=True)
class Day:
    """A rehearsal: the look before the scenario, those after, and what `poller login` said."""

    before: Look
    after: list[Look] = field(default_factory=list)
    login: list[str] = field(default_factory=list)

    def logged(self) -> list[Mapping[str, object]]:
        return [line for look in self.after for line in look.logged]


class Rehearsal(House):
    """A house of the cars that scenarios are played with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = FakeCloud(GARAGE, self.clock)
        self.cloud_door._app = self.cloud

    async def look(self) -> Look:
        sight = await self.looks()
        health = await self._client.get(self._url + "healthz")
        metrics = await self._client.get(self._url + "metrics")
        status: dict[str, Any] = await TABLE["status"](self.app, {})
        shown = {
            "/healthz": str(health.status_code),
            "/readyz": "\n".join([str(sight.code), *sight.reasons]),
            "/metrics": metrics.text,
            "the page": sight.page,
            "poller status": "\n".join(lines(status)),
        }
        return Look(shown, self.cloud.requests.total(), sight.log)


async def rehearse(folder: Path, scenario: Scenario) -> Day:
    """Play a scenario from the first answer on, as `poller simulate` does, until all of it is over."""
    async with AsyncExitStack() as stack:
        house = Rehearsal(folder)
        await house.run(stack)
        day = Day(await house.look())
        house.cloud.at_first_state(lambda: scenario.play(house.cloud))
        ends = [fault.after + (fault.lasts or 0.0) for fault in scenario.faults]
        polls = (max(filter(math.isfinite, ends), default=0.0) + AFTERWARDS) / INTERVAL
        for _ in range(math.ceil(polls)):
            await house.passes(INTERVAL)
            day.after.append(await house.look())
        if house.app.status().sources[0].state == "login_required":
            await log_in(house, day)
        return day


async def log_in(house: Rehearsal, day: Day) -> None:
    """What the owner does when nothing else helps."""
    for captcha_token in ("P1_spent", "P1_fresh"):
        try:
            await house.log_in(captcha_token)
        except LoginRequired as refused:
            day.login.append(refused.message)
    await house.passes(INTERVAL)
    day.after.append(await house.look())


def untrue(hint: str, day: Day) -> list[str]:
    """What a hint says and is not so."""
    place, _, words = hint.partition(": ")
    signs = [Span(found["text"], bool(found["no"])) for found in _SIGN.finditer(words)]
    if not signs:
        return ["names nothing to see"]
    match place:
        case "the log":
            events = {sign: LogLine.of(sign) for sign in signs}
            return _untrue(signs, words, day.before.logged, day.logged(), lambda s, at: events[s].matches(at))
        case "poller login SOURCE":
            return _untrue(signs, words, [], day.login, Span.within)
        case "the cloud's /_sim/state":
            return [] if "stand still" in words and _stand_still(day) else ["the requests go on"]
    seen = [look.shown[place] for look in (day.before, *day.after)]
    return _untrue(signs, words, seen[:1], seen[1:], Span.within)


def _untrue(
    signs: Sequence[Span],
    words: str,
    before: Sequence[T],
    after: Sequence[T],
    shows: Callable[[Span, T], bool],
) -> list[str]:
    always = "all the time" in words
    wrong = [f"seen before: {signs[0].text}" for look in before if shows(signs[0], look) and not always]
    reached = 0
    for sign in signs:
        places = [number for number, look in enumerate(after) if shows(sign, look)]
        later = [number for number in places if number >= reached]
        if sign.absent and places:
            wrong.append(f"seen: {sign.text}")
        elif always and len(places) < len(after):
            wrong.append(f"not seen all the time: {sign.text}")
        elif not sign.absent and not later:
            wrong.append(f"not seen, or not after what stands before it: {sign.text}")
        reached = later[0] if later else reached
    return wrong


def _stand_still(day: Day) -> bool:
    counts = [look.requests for look in day.after]
    return any(counts[at] == counts[at + A_WHILE] for at in range(len(counts) - A_WHILE))


def quickened(scenario: Scenario) -> Scenario:
    """The same, but for the one thing that takes real time: what is slow."""
    faults = [fault.model_copy(update={"seconds": 0.01}) for fault in scenario.faults]
    return scenario.model_copy(update={"faults": tuple(faults)})


#: What is not so of a scenario, for the test's own sake.
LIES = {
    "internet-outage": [
        "the log: two lines",
        "the log: `source.unavailable reason=server`",
        "the log: `source.recovered`, then `source.unavailable reason=network`",
        "the log: no `source.unavailable`",
        "/readyz: `200` as soon as it begins, then `503`",
        "/readyz: `503` all the time",
        "poller status: `login required`",
        "poller login SOURCE: `refused user name, password or captcha token`",
        "the cloud's /_sim/state: `requests` go on",
        "/metrics: `poller_polls_total`",
    ]
}


@pytest.mark.parametrize("name", names())
async def test_what_a_shipped_scenario_tells_to_look_at_is_seen(name, tmp_path) -> None:
    scenario = quickened(load(name))
    day = await rehearse(tmp_path, scenario)
    assert {hint: wrong for hint in scenario.look_at if (wrong := untrue(hint, day))} == {}
    assert [lie for lie in LIES.get(name, ()) if not untrue(lie, day)] == []
    told = [json.dumps({**line, "timestamp": ""}) for line in day.logged() if line["level"] == "warning"]
    changes = [line for line in told if "answer.quarantined" not in line]
    assert len(set(changes)) == len(changes), "the log tells of changes, not of repetitions"
