"""Every hint of a shipped scenario is true: the day is played to the real daemon, and looked at as told.

A hint is ``place: words``, and what stands in backticks among its words is literal, save that ``…``
stands for anything. These signs are seen there one after another, the first of them not before the
scenario began; with "no" before it, one is never seen; "all the time" means at every look.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar, get_args

import pytest
from fault_house import INTERVAL, House
from fault_page import LogLine, Span

from poller.cli.status import lines
from poller.commands import TABLE
from poller.errors import LoginRequired
from poller.schedule.backoff import LONGEST
from poller.settings import Loaded
from poller.settings import load as load_settings
from poller.simulator.cardata.cloud import PREFIX, FakeCarData
from poller.simulator.cardata.login import CLIENT_ID, GCID
from poller.simulator.cloud import FakeCloud
from poller.simulator.fault import Kind
from poller.simulator.garage import cardata_cars, demo_garage
from poller.simulator.scenario import Scenario, load, names
from poller.sources.base import NoMemory, SourceContext
from poller.sources.cardata.source import CarDataSource

GARAGE = demo_garage()
#: How long the rehearsal goes on after the last fault, or while one never ends: our longest back-off.
AFTERWARDS = LONGEST + 2 * INTERVAL
#: So many looks in a row say that nobody is asked any more.
A_WHILE = 10
T = TypeVar("T")
CARDATA_CONFIG = """
[vehicles.i4]
vin = "WBA00000000000004"
[sources.home]
type = "cardata"
client_id = "{client}"
auth_url = "{cloud}{prefix}"
api_url = "{cloud}{prefix}"
stream_url = "{stream}"
"""
KINDS = get_args(Kind)
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
    """A house of the cars that scenarios are played with; `strides` are of so many seconds at most."""

    strides = INTERVAL / 2

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = FakeCloud(GARAGE, self.clock)
        self.cloud_door._app = self.cloud

    async def look(self) -> Look:
        sight = await self.looks()
        health = await self._client.get(self._url + "healthz")
        status: dict[str, Any] = await TABLE["status"](self.app, {})
        shown = {
            "/healthz": str(health.status_code),
            "/readyz": "\n".join([str(sight.code), *sight.reasons]),
            "/metrics": sight.exposition,
            "the page": sight.page,
            "poller status": "\n".join(lines(status)),
        }
        return Look(shown, self.requests_that_stand_still(), sight.log)

    def requests_that_stand_still(self) -> int:
        """How many there were of what a scenario says no more of should come."""
        return self.cloud.requests.total()


class CarDataRehearsal(Rehearsal):
    """Besides, a car at CarData. Where another program is on its stream, time goes in strides that are
    shorter than the poller's idea of being thrown off.
    """

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        super().__init__(folder)
        if any(fault.kind == "second_program" for fault in scenario.faults):
            self.strides = 15.0
        self.stream_url = ""
        self.cardata = FakeCarData(cardata_cars(), self.clock, automatic=True)
        self.cloud = FakeCloud(GARAGE, self.clock, cardata=self.cardata)
        self.cloud_door._app = self.cloud

    async def run(self, stack: AsyncExitStack) -> None:
        self.stream_url = await stack.enter_async_context(self.cardata.serve_stream())
        await super().run(stack)

    def configure(self, **values: str) -> Loaded:
        self.extra = CARDATA_CONFIG.format(
            client=CLIENT_ID, cloud=self.cloud_door.url, prefix=PREFIX, stream=self.stream_url
        )
        return super().configure(**values)

    async def log_in(self, captcha_token: str | None = None) -> None:
        await super().log_in(captcha_token)
        settings = load_settings(self.config, environ={"TZ": "UTC"}).settings.sources["home"]
        context = SourceContext(self.clock, NoMemory(), self.data, self.folder, UTC)
        source = CarDataSource("home", settings, context)
        await source.open()
        code = await source.begin_login()
        waiting = asyncio.create_task(source.finish_login(code))
        await self.clock.settle()
        await self.clock.stride(code.interval)
        await waiting
        await source.close()

    def requests_that_stand_still(self) -> int:
        return self.cardata.rest.requests.total()

    async def settles(self) -> None:
        """Also until the poller knows what has become of its connection to the stream."""
        await super().settles()
        await asyncio.sleep(0.005)  # a packet on its way tells nobody
        await self.until(self._knows)

    def _knows(self) -> bool:
        state = self.app.road.sources["home"].channels().stream.state
        return state != "connecting" and (state != "connected" or bool(self.cardata.broker.subscribers(GCID)))


async def rehearse(folder: Path, scenario: Scenario) -> Day:
    """Play a scenario from the first answer on, as `poller simulate` does, until all of it is over."""
    async with AsyncExitStack() as stack:
        house = CarDataRehearsal(folder, scenario) if is_about_cardata(scenario) else Rehearsal(folder)
        await house.run(stack)
        day = Day(await house.look())
        house.cloud.at_first_state(lambda: scenario.play(house.cloud))
        ends = [fault.after + (fault.lasts or 0.0) for fault in scenario.faults]
        polls = (max(filter(math.isfinite, ends), default=0.0) + AFTERWARDS) / INTERVAL
        for _ in range(math.ceil(polls)):
            await house.passes(INTERVAL, house.strides)
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


def is_about_cardata(scenario: Scenario) -> bool:
    return any(KINDS.index(fault.kind) >= KINDS.index("cardata_error") for fault in scenario.faults)


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
    # What was connected in between can be lost anew.
    changes = [line for line in told if "answer.quarantined" not in line and "stream.lost" not in line]
    assert len(set(changes)) == len(changes), "the log tells of changes, not of repetitions"
