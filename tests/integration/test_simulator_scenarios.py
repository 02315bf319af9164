"""The shipped scenarios, played: each fault is met over HTTP at its time, and gone after it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from simulated_app import GARAGE, STATE, App, app_of

from poller.errors import ConfigError
from poller.simulator.cloud import FakeCloud
from poller.simulator.fault import Fault
from poller.simulator.fleet import MINI_VIN
from poller.simulator.login import REFRESH_TOKEN
from poller.simulator.scenario import Scenario, load, names
from poller.testing.clock import ManualClock

#: What a client meets of each kind that shipped scenarios use.
SEEN = {
    "unreachable": "ConnectError",
    "slow": "late",
    "maintenance": "503",
    "server_error": "500",
    "rate_limit": "429",
    "quota": "403",
    "login_refused": "401",
    "half_body": "RemoteProtocolError",
    "reset": "ReadError",
    "broken_json": "no JSON",
    "wrong_types": "other JSON",
    "blocked": "489",
}


async def look(app: App, bearer: dict[str, str], clock: ManualClock) -> str:
    """Ask for a state: "well", or what is wrong with it."""
    try:
        answer = await app.http.get(STATE, headers={**bearer, "bmw-vin": MINI_VIN})
    except httpx.ReadTimeout:
        return "late"
    except httpx.TransportError as error:
        return type(error).__name__
    if answer.status_code != 200:
        return str(answer.status_code)
    try:
        answer.json()
    except ValueError:
        return "no JSON"
    return "well" if answer.content == GARAGE.state(MINI_VIN, clock.now()) else "other JSON"


@asynccontextmanager
async def played(scenario: Scenario) -> AsyncIterator[tuple[App, dict[str, str], ManualClock]]:
    clock = ManualClock()
    cloud = FakeCloud(GARAGE, clock, token_lifetime=1e6, quota_per_day=scenario.quota_per_day)
    async with app_of(cloud) as app:
        bearer = await app.enter()
        # What a day of a car costs to live is paid before anybody looks at the time.
        GARAGE.state(MINI_VIN, clock.now())
        scenario.play(cloud)
        app.http.timeout = httpx.Timeout(1.0)
        yield app, bearer, clock


#: Those about CarData; whether they come true is looked at in tests/acceptance/test_scenarios_seen.py.
CARDATA = ["cardata-calls-spent", "second-program-on-the-stream"]


def test_eight_scenarios_are_shipped() -> None:
    assert names() == [
        "bmw-closes-the-door", "bmw-maintenance", "cardata-calls-spent", "garbage-from-bmw",
        "internet-outage", "password-changed", "quota-used-up", "second-program-on-the-stream",
    ]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_a_shipped_scenario_tells_its_story_and_where_to_look(name) -> None:
    """Whether it is true is looked at in tests/acceptance/test_scenarios_seen.py."""
    scenario = load(name)
    assert scenario.faults
    assert len(scenario.description.split()) > 30
    assert scenario.look_at


@pytest.mark.parametrize("name", sorted(set(names()) - set(CARDATA)))
async def test_a_shipped_scenario_comes_true(name) -> None:
    """Before its time each fault is not there, then it is, and after its end it is gone."""
    scenario = load(name)
    faults = [fault for fault in scenario.faults if fault.kind != "captcha_demanded"]
    async with played(scenario) as (app, bearer, clock):
        passed = 0.0
        for fault in sorted(faults, key=lambda fault: fault.after):
            await clock.advance(fault.after - 1 - passed)
            assert await look(app, bearer, clock) != SEEN[fault.kind]
            await clock.advance(1)
            passed = fault.after
            for _ in range(fault.limit or 1):
                assert await look(app, bearer, clock) == SEEN[fault.kind]
            passed += await _until_gone(fault, app, bearer, clock)
        if scenario.faults[-1].lasts != math.inf and name != "password-changed":
            assert await look(app, bearer, clock) == "well"


async def _until_gone(fault: Fault, app: App, bearer: dict[str, str], clock: ManualClock) -> float:
    """Wait for the end of a fault, which it keeps until then; the seconds that passed."""
    if fault.lasts is None:
        if fault.kind != "login_refused":
            assert await look(app, bearer, clock) == "well"
        return 0
    last = 30 * 86_400 if math.isinf(fault.lasts) else fault.lasts - 1
    await clock.advance(last)
    assert await look(app, bearer, clock) == SEEN[fault.kind]
    if math.isinf(fault.lasts):
        return last
    await clock.advance(1)
    assert await look(app, bearer, clock) != SEEN[fault.kind]
    return fault.lasts


async def test_a_changed_password_is_mended_by_the_second_captcha() -> None:
    async with played(load("password-changed")) as (app, bearer, clock):
        await clock.advance(600)
        assert (await app.refresh(f"{REFRESH_TOKEN}.1")).status_code == 400
        assert (await app.give_password(captcha="P1")).status_code == 401
        tokens = (await app.log_in(captcha="P2")).json()
        bearer["authorization"] = f"Bearer {tokens['access_token']}"
        assert await look(app, bearer, clock) == "well"


async def test_a_scenarios_quota_is_the_clouds() -> None:
    scenario = Scenario(title="t", description="d", quota_per_day=2)
    async with played(scenario) as (app, bearer, clock):
        # Reading the login's configuration was the first call.
        assert [await look(app, bearer, clock) for _ in range(2)] == ["well", "403"]


def test_an_unknown_name_is_answered_with_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r'is "internet-outage" meant\? shipped: bmw-closes-the-door, '):
        load("internet-outige")


def test_a_file_is_played_and_its_answers_lie_beside_it(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\ndescription = "d"\nanswers = "captures"\n')
    assert load(str(path)).answers == tmp_path / "captures"


def test_a_file_that_cannot_be_read_says_so(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b'title = "\xff"')
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(str(path))
