"""Lists, profiles, states and charging settings over HTTP: what they cost, and what a bad day costs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import traceback
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from mybmw_cloud import (
    AUTHENTICATE,
    CHARGING,
    CONFIG,
    LIST,
    PROFILE,
    STATE,
    TOKEN,
    CaseGarage,
    case,
    stage,
)

from poller.errors import (
    JournalFull,
    LoginRequired,
    MalformedAnswer,
    RateLimited,
    SourceBlocked,
    SourceError,
    SourceUnavailable,
)
from poller.runtime import log
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.sources.base import Target
from poller.sources.mybmw.transport import Limits
from poller.testing.memory import DictMemory

ELECTRIC, COMBUSTION = Target("WBYTEST0000000001"), Target("WMWTEST0000000005")


@pytest.fixture
async def road(tmp_path):
    async with stage(tmp_path) as set_up:
        yield set_up


async def listed(road):
    """A source that knows its vehicles; nothing is counted yet."""
    source = await road.logged_in()
    await source.targets()
    road.watched.counts()
    return source


# --- what a poll costs ------------------------------------------------------------------------


async def test_a_first_poll_asks_for_everything_once(road) -> None:
    source = await road.logged_in()
    for target in await source.targets():
        await source.fetch(target)
    assert road.watched.counts() == {LIST: 3, STATE: 2, PROFILE: 2, CHARGING: 1}


async def test_an_electric_car_costs_two_requests_a_poll_and_another_one(road) -> None:
    source = await road.logged_in()
    for target in await source.targets():
        await source.fetch(target)
    road.watched.counts()
    for _ in range(3):
        assert await source.targets() == [ELECTRIC, COMBUSTION]
        await source.fetch(ELECTRIC)
        assert road.watched.counts() == {STATE: 1, CHARGING: 1}
        await source.fetch(COMBUSTION)
        assert road.watched.counts() == {STATE: 1}


async def test_a_restart_asks_for_no_list_and_no_profile(road) -> None:
    source = await road.logged_in()
    for target in await source.targets():
        await source.fetch(target)
    road.watched.counts()
    again = await road.source()
    for target in await again.targets():
        await again.fetch(target)
    assert road.watched.counts() == {STATE: 2, CHARGING: 1}


async def test_lists_and_profiles_are_asked_for_once_a_day(road) -> None:
    source = await road.logged_in()
    await source.fetch((await source.targets())[0])
    road.clock.jump(timedelta(hours=23).total_seconds())
    await source.fetch((await source.targets())[0])
    assert road.watched.counts()[LIST] == 3
    road.clock.jump(timedelta(hours=2).total_seconds())
    await source.fetch((await source.targets())[0])
    counts = road.watched.counts()
    assert (counts[LIST], counts[PROFILE]) == (3, 1)


async def test_the_bodies_are_exactly_what_was_sent(road) -> None:
    source = await listed(road)
    answer = await source.fetch(ELECTRIC)
    assert answer.bodies == case("electric_charging").bodies
    assert (answer.source, answer.kind, answer.vin) == ("bmw", "mybmw", ELECTRIC.vin)
    assert answer.received_at.microsecond % 1000 == 0
    again = await road.source()
    assert (await again.fetch(ELECTRIC)).bodies == answer.bodies
    assert source.parse(answer).value("soc_percent") == 61


async def test_only_the_wanted_vehicles_are_polled_in_any_case(road) -> None:
    source = await road.logged_in(vins=["wmwtest0000000005", "WBA00000000000000"])
    assert await source.targets() == [COMBUSTION]


async def test_every_brand_is_asked_as_itself(tmp_path) -> None:
    """The brand is part of the user agent, for the list and for every request about its cars."""
    cars = [case("electric_charging"), case("combustion_mini_open"), case("supra")]
    async with stage(tmp_path, CaseGarage(cars)) as road:
        source = await road.logged_in()
        targets = await source.targets()
        brands = [r.headers["x-user-agent"].split(";")[1] for r in road.watched.requests]
        assert brands == ["bmw", "mini", "toyota"]
        for target, brand in zip(targets, ("bmw", "mini", "toyota"), strict=True):
            road.watched.counts()
            assert source.parse(await source.fetch(target)).value("brand") == brand
            assert {r.headers["x-user-agent"].split(";")[1] for r in road.watched.requests} == {brand}


async def test_a_request_looks_like_the_apps(road) -> None:
    source = await listed(road)
    await source.fetch(ELECTRIC)
    state, profile, charging = road.watched.requests[-3:]
    common = {
        "accept": "application/json",
        "accept-language": "en",
        "x-raw-locale": "en-US",
        "user-agent": "Dart/3.3 (dart:io)",
        "x-identity-provider": "gcdm",
        "bmw-units-preferences": "d=KM;v=L;p=B;ec=KWH100KM;fc=L100KM;em=GKM;",
        "24-hour-format": "true",
        "bmw-vin": ELECTRIC.vin,
    }
    for request in (state, profile, charging):
        assert {name: request.headers.get(name) for name in common} == common
        assert UUID(request.headers["x-correlation-id"]).version == 4
        assert request.headers["x-correlation-id"] == request.headers["bmw-correlation-id"]
        assert request.headers["authorization"].startswith("Bearer ")
    ids = [request.headers["x-correlation-id"] for request in road.watched.requests]
    assert len(set(ids)) == len(ids)
    assert state.query == {"apptimezone": "0", "appDateTime": f"{int(road.clock.now().timestamp())}000"}
    assert charging.query == {"fields": "charging-profile", "has_charging_settings_capabilities": "true"}
    assert charging.headers["bmw-current-date"] == "2026-11-21T14:00:00+00:00"


async def test_an_account_without_vehicles_says_so_and_is_asked_again(tmp_path) -> None:
    async with stage(tmp_path, CaseGarage([])) as road:
        source = await road.logged_in()
        for _ in range(2):
            with pytest.raises(SourceUnavailable, match="lists no vehicle"):
                await source.targets()
        assert road.watched.counts()[LIST] == 6


# --- a bad day --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "half_body"])
async def test_a_transient_fault_is_mended_within_the_poll(road, kind) -> None:
    source = await listed(road)
    road.watched.spoil(STATE, kind, times=2)
    assert "state" in (await source.fetch(ELECTRIC)).bodies
    assert road.watched.counts()[STATE] == 3


async def test_a_5xx_is_mended_within_the_poll_and_waits_in_between(road) -> None:
    source = await listed(road)
    road.watched.fail(STATE, 503, "", times=2)
    road.clock.slept.clear()
    await source.fetch(ELECTRIC)
    assert len(road.clock.slept) == 2
    assert all(0 <= seconds <= 8 for seconds in road.clock.slept)


@pytest.mark.parametrize(
    ("kind", "reason"), [("reset", "network"), ("half_body", "network"), ("slow", "timeout")]
)
async def test_three_tries_are_enough(road, kind, reason) -> None:
    source = await road.logged_in(limits=Limits(timeout=0.15))
    await source.targets()
    road.watched.counts()
    road.watched.spoil(STATE, kind, times=None)
    with pytest.raises(SourceUnavailable) as raised:
        await source.fetch(ELECTRIC)
    assert raised.value.reason == reason
    assert road.watched.counts()[STATE] == 3


async def test_a_server_that_only_drips_is_left_in_the_end(tmp_path) -> None:
    """Each byte comes within the time-out, the answer never: the whole has an end too."""
    clients: list[asyncio.Task[None]] = []

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(asyncio.current_task())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.02)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server, stage(tmp_path) as road:
        road.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        source = await road.source(limits=Limits(timeout=0.1))
        with pytest.raises(SourceUnavailable) as raised:
            await asyncio.wait_for(source.login(refresh_token=REFRESH_TOKEN), 5)
        assert raised.value.reason == "timeout"
    await asyncio.wait_for(asyncio.gather(*clients), 5)


async def test_nobody_there_is_a_network_fault(tmp_path) -> None:
    async with stage(tmp_path) as road:
        road.url = "http://127.0.0.1:9"
        source = await road.source()
        with pytest.raises(SourceUnavailable) as raised:
            await source.login(refresh_token=REFRESH_TOKEN)
        assert raised.value.reason == "network"


async def test_an_answer_without_end_is_cut_off(road) -> None:
    await listed(road)
    source = await road.source(limits=Limits(largest_body=1000))
    with pytest.raises(SourceUnavailable, match="larger"):
        await source.fetch(ELECTRIC)
    assert road.watched.counts() == {STATE: 1}


@pytest.mark.parametrize("status", [404, 422, 418, 302, 204])
async def test_what_is_not_transient_is_asked_once(road, status) -> None:
    source = await listed(road)
    road.watched.fail(STATE, status, "", times=None)
    with pytest.raises(SourceUnavailable, match=str(status)):
        await source.fetch(ELECTRIC)
    assert road.watched.counts()[STATE] == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds", "reason"),
    [
        (429, {"retry-after": "37"}, "", 37, "rate_limited"),
        (429, {"retry-after": "Sat, 21 Nov 2026 14:10:00 GMT"}, "", 600, "rate_limited"),
        (429, {}, '{"message": "Rate limit is exceeded. Try again in 12 seconds."}', 12, "rate_limited"),
        (429, {}, "", 300, "rate_limited"),
        (403, {}, '{"message": "Out of call volume quota. Will be replenished in 02:12:20."}', 7940, "quota"),
        (403, {}, '{"message": "Out of call volume quota."}', 3600, "quota"),
    ],
)  # fmt: skip
async def test_a_limit_is_kept_to_and_never_tried_again(road, status, headers, body, seconds, reason) -> None:
    source = await listed(road)
    road.watched.fail(STATE, status, body, headers=headers, times=None)
    with pytest.raises(RateLimited) as raised:
        await source.fetch(ELECTRIC)
    assert raised.value.until - road.clock.now() == timedelta(seconds=seconds)
    assert raised.value.reason == reason
    assert road.watched.counts() == {STATE: 1}


async def test_489_says_what_it_means_and_keeps_the_login(road) -> None:
    source = await listed(road)
    version = source.login_state().version
    road.watched.fail(STATE, 489, "Blocked", times=None)
    with pytest.raises(SourceBlocked) as raised:
        await source.fetch(ELECTRIC)
    assert "third" not in raised.value.message
    assert "own app" in raised.value.message
    assert "cardata" in raised.value.hint
    assert raised.value.until - road.clock.now() == timedelta(hours=24)
    assert road.watched.counts() == {STATE: 1}
    assert source.login_state().version == version


async def test_a_second_401_needs_a_human(road) -> None:
    source = await listed(road)
    road.watched.fail(STATE, 401, "", times=None)
    with pytest.raises(LoginRequired):
        await source.fetch(ELECTRIC)
    assert road.watched.counts() == {STATE: 2, CONFIG: 1, TOKEN: 1}


async def test_a_403_without_quota_needs_a_human(road) -> None:
    source = await listed(road)
    road.watched.fail(STATE, 403, '{"message": "forbidden"}', times=None)
    with pytest.raises(LoginRequired) as raised:
        await source.fetch(ELECTRIC)
    assert raised.value.hint == "run `poller login bmw`"


@pytest.mark.parametrize("body", ["<html>maintenance</html>", "", "[]", '{"capabilities": {}}'])
async def test_a_200_without_a_state_is_kept_and_malformed(road, body) -> None:
    """The journal keeps the bytes; nobody guesses what they mean."""
    source = await listed(road)
    road.watched.fail(STATE, 200, body)
    answer = await source.fetch(ELECTRIC)
    assert answer.bodies["state"] == body.encode()
    with pytest.raises(MalformedAnswer):
        source.parse(answer)


async def test_one_vehicle_failing_does_not_touch_another(road) -> None:
    source = await listed(road)
    road.watched.fail(STATE, 500, "", times=None, vin=ELECTRIC.vin)
    with pytest.raises(SourceUnavailable):
        await source.fetch(ELECTRIC)
    assert source.parse(await source.fetch(COMBUSTION)).value("odometer_km") == 9246


@pytest.mark.parametrize("status", [401, 403, 404, 429, 489, 500])
async def test_failing_charging_settings_never_cost_the_snapshot(road, status) -> None:
    source = await listed(road)
    road.watched.fail(CHARGING, status, "quota", times=None)
    answer = await source.fetch(ELECTRIC)
    assert sorted(answer.bodies) == ["profile", "state"]
    assert source.parse(answer).value("soc_percent") == 61
    road.cloud.faults.clear()
    assert "charging_settings" in (await source.fetch(ELECTRIC)).bodies


@pytest.mark.parametrize("path", [CHARGING, PROFILE])
async def test_a_rate_limit_met_beside_the_state_holds_for_the_whole_account(road, path) -> None:
    """The snapshot is kept, and nobody is asked again before the server's time."""
    source = await listed(road)
    road.watched.fail(path, 429, '{"message": "Try again in 600 seconds."}', times=None)
    assert "state" in (await source.fetch(ELECTRIC)).bodies
    asked = len(road.watched.requests)
    with pytest.raises(RateLimited) as limited:
        await source.targets()
    assert (limited.value.until - road.clock.now()).total_seconds() == pytest.approx(600, abs=1)
    assert len(road.watched.requests) == asked


async def test_a_clock_set_back_and_right_again_takes_nothing_from_the_wait(road) -> None:
    """Nor does asking meanwhile: the server allows it three hours after it said so, not two."""
    source = await listed(road)
    road.watched.fail(CHARGING, 429, '{"message": "Try again in 10800 seconds."}', times=None)
    await source.fetch(ELECTRIC)
    allowed = road.clock.now() + timedelta(hours=3)
    for hours in (-1, 1, -2, 2):
        road.clock.jump(hours * 3600)
        with pytest.raises(RateLimited) as limited:
            await source.targets()
    assert abs(limited.value.until - allowed) < timedelta(seconds=1)
    await road.clock.sleep(3 * 3600)
    assert await source.targets() == [ELECTRIC, COMBUSTION]


async def test_a_refusal_met_beside_the_state_is_raised_as_what_it_is(road) -> None:
    source = await listed(road)
    road.watched.fail(PROFILE, 489, "Blocked", times=None)
    await source.fetch(ELECTRIC)
    raised = []
    for _ in range(2):
        with pytest.raises(SourceBlocked) as blocked:
            await source.targets()
        raised.append(blocked.value)
    assert raised[0] is not raised[1]
    assert (raised[0].message, raised[0].hint) == (raised[1].message, raised[1].hint)
    assert "own app" in raised[0].message


async def test_a_failing_profile_never_costs_the_snapshot(road) -> None:
    """The last good one serves; without any, the state alone does; and it is not asked for at every poll."""
    source = await listed(road)
    road.watched.fail(PROFILE, 404, "", times=None)
    answer = await source.fetch(ELECTRIC)
    assert "profile" not in answer.bodies
    assert source.parse(answer).value("soc_percent") == 61
    await source.fetch(ELECTRIC)
    assert road.watched.counts()[PROFILE] == 1
    road.cloud.faults.clear()
    road.clock.jump(16 * 60)
    assert "profile" in (await source.fetch(ELECTRIC)).bodies
    road.watched.fail(PROFILE, 200, "<html>", times=None)
    road.clock.jump(timedelta(hours=25).total_seconds())
    kept = (await source.fetch(ELECTRIC)).bodies["profile"]
    assert kept == case("electric_charging").bodies["profile"]


async def test_a_clock_that_was_ahead_does_not_prolong_the_pause_after_a_failure(road) -> None:
    source = await listed(road)
    road.watched.fail(PROFILE, 404, "")
    road.clock.jump(timedelta(days=300).total_seconds())
    assert "profile" not in (await source.fetch(ELECTRIC)).bodies
    road.clock.jump(timedelta(days=-300).total_seconds())
    await road.clock.sleep(16 * 60)
    assert "profile" in (await source.fetch(ELECTRIC)).bodies


async def test_one_brands_list_failing_does_not_lose_the_others(road) -> None:
    source = await road.logged_in()
    road.watched.fail(LIST, 500, "", times=3)  # all three tries of the first brand
    assert await source.targets() == [COMBUSTION]
    road.clock.jump(16 * 60)
    assert await source.targets() == [ELECTRIC, COMBUSTION]


async def test_a_failing_refresh_of_the_lists_keeps_the_vehicles(road) -> None:
    source = await listed(road)
    road.clock.jump(timedelta(hours=25).total_seconds())
    road.watched.fail(LIST, 200, '{"mappingInfos": 5}', times=None)
    assert await source.targets() == [ELECTRIC, COMBUSTION]


async def test_all_lists_failing_is_an_error_if_nothing_is_known(road, logged) -> None:
    """Which whoever asked for them tells, so that nothing is told here."""
    source = await road.logged_in()
    road.watched.fail(LIST, 500, "", times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()
    assert complaints(logged) == []


async def test_each_list_that_fails_is_named_once(road, logged) -> None:
    source = await road.logged_in()
    road.watched.fail(LIST, 500, "", times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()
    road.cloud.faults.clear()
    road.watched.fail(LIST, 500, "", times=3)
    for _ in range(2):
        assert await source.targets() == [COMBUSTION]
    assert [(line["event"], line["brand"]) for line in complaints(logged)] == [
        ("vehicles.unavailable", "bmw")
    ]


async def test_a_profile_that_fails_is_named_by_its_vehicle(road, logged) -> None:
    source = await listed(road)
    road.watched.fail(PROFILE, 500, "", times=None)
    for target in (ELECTRIC, COMBUSTION):
        await source.fetch(target)
    assert len({line["vehicle"] for line in complaints(logged)}) == 2


async def test_a_limit_at_the_first_list_stops_the_others(road) -> None:
    source = await road.logged_in()
    road.watched.fail(LIST, 429, "", times=None)
    with pytest.raises(RateLimited):
        await source.targets()
    assert road.watched.counts() == {LIST: 1}


async def test_a_strange_list_entry_costs_only_itself(road) -> None:
    source = await road.logged_in()
    entries = [{"vin": None}, 7, {}, {"vin": ELECTRIC.vin}, {"vin": ""}]
    # What would move a terminal, or end a header.
    entries += [{"vin": vin} for vin in ("\x1b[2JVIN 1", "A\r\nB", "../../etc", "é", "V" * 33)]
    road.watched.fail(LIST, 200, json.dumps({"mappingInfos": entries}))
    assert await source.targets() == [ELECTRIC, COMBUSTION]


async def test_closing_twice_is_fine_and_opening_again_too(road) -> None:
    source = await road.logged_in()
    await source.close()
    await source.close()
    await source.open()
    assert len(await source.targets()) == 2


# --- what nobody may read ---------------------------------------------------------------------


@pytest.fixture
def logged():
    """Everything that was logged, at debug, as a user would have it."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    log.configure("debug", "json", stream)
    yield stream
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def complaints(logged: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    return [line for line in lines if line["level"] in ("warning", "error")]


ECHO = json.dumps(
    {
        "message": f"quota of {USER} for {ELECTRIC.vin} at 54.7211, 2.2504",
        "error_description": f"{PASSWORD} P1_secret {REFRESH_TOKEN}",
    }
)


@pytest.mark.parametrize("path", [CONFIG, AUTHENTICATE, TOKEN, LIST, PROFILE, STATE, CHARGING])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 489, 500, "reset", "half_body"])
async def test_no_secret_and_no_vin_in_any_error_or_log(road, logged, path, status) -> None:
    """Even if the server says it all in its error text."""
    source = await road.source()
    if isinstance(status, int):
        road.watched.fail(path, status, ECHO, times=None)
    else:
        road.watched.spoil(path, status, times=None)
    texts = []
    steps = [
        lambda: source.login(captcha_token="P1_secret"),
        lambda: source.login(refresh_token=REFRESH_TOKEN),
        source.targets,
        lambda: source.fetch(ELECTRIC),
    ]
    for step in steps:
        try:
            await step()
        except SourceError as error:
            texts += [str(error), error.hint or "", repr(error), "".join(traceback.format_exception(error))]
    texts += [logged.getvalue(), repr(source), repr(source.login_state())]
    said = "\n".join(texts)
    tokens = {r.headers.get("authorization", "Bearer ?").split()[-1] for r in road.watched.requests} - {"?"}
    forms = [r.form for r in road.watched.requests]
    tokens |= {
        form[name] for form in forms for name in ("refresh_token", "code", "code_verifier") if name in form
    }
    secret = {USER, ELECTRIC.vin, "54.7211", "P1_secret", REFRESH_TOKEN, f" {PASSWORD} ", *tokens}
    assert [word for word in secret if word in said] == []


class FullMemory(DictMemory):
    """A memory without room."""

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:  # noqa: ARG002  # takes none
        raise JournalFull


async def test_a_full_journal_costs_requests_and_no_poll(road) -> None:
    """Lists and profiles are then kept as long as the process lives."""
    road.memory = FullMemory()
    source = await listed(road)
    await source.fetch(ELECTRIC)
    await source.fetch((await source.targets())[0])
    assert road.watched.counts() == {STATE: 2, PROFILE: 1, CHARGING: 2}
