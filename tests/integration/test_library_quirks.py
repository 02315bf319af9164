"""The library's fifteen quirks, under the numbers by which they are known here: what is better with us.

What it means for reading is shown in the signals and in the table of ``poller vehicle status``; only
``format = "bimmerconnected"`` keeps the library's values. What it means for asking and telling is shown
in the client over HTTP and in the commands.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from library_cars import LibraryCar, own_cars
from library_cloud import served
from mybmw_cloud import (
    CHARGING,
    LIST,
    PROFILE,
    STATE,
    TOKEN,
    CaseGarage,
    HastyClock,
    Stage,
    WatchedCloud,
    case,
    stage,
    stored,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from test_vehicle_end_to_end import Owner, owning

from poller.app import App
from poller.cli.main import run
from poller.errors import RateLimited, SourceBlocked, SourceUnavailable
from poller.library.account import Account
from poller.settings import load
from poller.simulator.fault import Fault
from poller.simulator.fleet import BEV_VIN
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.sources.base import Target
from poller.sources.library_json import understand
from poller.sources.mybmw.meaning.gcj02 import to_wgs84
from poller.sources.mybmw.remote.geocoder import Geocoder
from poller.vehicle.snapshot import Snapshot

CARS = {car.name: car for car in own_cars()}
ELECTRIC, COMBUSTION = Target("WBYTEST0000000001"), Target("WMWTEST0000000005")


def both(name: str) -> tuple[Snapshot, dict[str, Any]]:
    """Our snapshot of a car, and the library's keys."""
    car: LibraryCar = CARS[name]
    return understand(car.answer(), car.zone), car.keys()


@pytest.fixture
def table(capsys, monkeypatch):
    """What ``poller vehicle status`` tells people of a captured car: label → value."""
    monkeypatch.setenv("TZ", "UTC")

    def told(name: str) -> dict[str, str]:
        car = CARS[name]
        capsys.readouterr()
        assert run(["vehicle", "status", "--answers", str(car.folder), "--at", car.at.isoformat()]) == 0
        rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
        return dict(re.split(r"\s{2,}", row.strip(), maxsplit=1) for row in rows)

    return told


@pytest.fixture
async def road(tmp_path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as set_up:
        yield set_up


@pytest.fixture
async def owner(tmp_path, capsys) -> AsyncIterator[Owner]:
    async with owning(tmp_path, capsys) as made:
        yield made


# --- 1: quota ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {"retry-after": "37"}, "Try again in 2 seconds.", 37),
        (429, {}, '{"message": "Rate limit is exceeded. Try again in 12 seconds."}', 12),
        (403, {}, '{"message": "Out of call volume quota. Quota will be replenished in 02:12:20."}', 7940),
    ],
)
async def test_1_client_the_servers_own_time_is_kept_to_and_the_login_kept(
    road, status, headers, body, seconds
) -> None:
    source = await road.logged_in()
    (target, *_) = await source.targets()
    road.watched.counts()
    before = stored(road)
    road.watched.fail(STATE, status, body, headers=headers, times=None)
    with pytest.raises(RateLimited) as raised:
        await source.fetch(target)
    assert raised.value.until - road.clock.now() == timedelta(seconds=seconds)
    assert road.watched.counts() == {STATE: 1}
    assert stored(road) == before


async def test_1_command_line_a_spent_quota_is_told_and_nobody_asks_again_also_after_a_restart(owner) -> None:
    owner.cloud.faults.add(Fault(kind="quota", count=None))
    await owner.app.road.rounds["bmw"].round()
    asked = owner.cloud.requests.total()
    assert await owner.types("lightflash", "big") == 1
    assert "the day's calls are used up" in owner.err
    assert "the login is kept" in owner.err
    again = App(load(owner.folder / "config.toml", environ={"TZ": "UTC"}), clock=owner.app.clock)
    await owner.app.close()
    await again.open()
    told = again.road.rounds["bmw"].told_to_wait()
    await again.close()
    assert told is not None
    assert told["reason"] == "quota"
    assert owner.cloud.requests.total() == asked


# --- 2: could not ask is not refused ----------------------------------------------------------


@pytest.mark.parametrize("status", [429, 489, 500, 503])
async def test_2_client_a_refresh_that_could_not_be_asked_for_keeps_the_login(road, status) -> None:
    source = await road.logged_in()
    (target, *_) = await source.targets()
    before = stored(road)
    road.cloud.login.expire_access_tokens()
    road.watched.fail(TOKEN, status, "INTERNAL SERVER ERROR", times=None)
    with pytest.raises((RateLimited, SourceBlocked, SourceUnavailable)) as raised:
        await source.fetch(target)
    assert "captcha" not in f"{raised.value.message} {raised.value.hint}".lower()
    assert stored(road)["refresh_token"] == before["refresh_token"]
    road.cloud.faults.clear()
    road.clock.jump(86_400)
    assert (await source.fetch(target)).vin == target.vin


async def test_2_command_line_nobody_is_sent_to_a_captcha_for_nothing(owner) -> None:
    owner.cloud.login.expire_access_tokens()
    owner.cloud.faults.add(Fault(path_prefix=TOKEN, kind="status", status=500, count=None))
    assert await owner.types("lightflash", "big") == 1
    assert [word for word in ("captcha", "poller login") if word in owner.err.lower()] == []


# --- 3: stale values --------------------------------------------------------------------------


def test_3_signals_nothing_stays_from_an_older_answer() -> None:
    """Each answer speaks for itself: after a charging car, one that says nothing has no charge."""
    both("electric_charging")
    snapshot, keys = both("nothing_at_all")
    assert dict(snapshot.readings) == {}
    assert keys["fuel_and_battery"]["charging_end_time"] is None


async def test_3_client_a_long_lived_process_forgets_what_bmw_no_longer_says(tmp_path) -> None:
    """Charging, climate, services, messages and place of the first poll are gone in the second."""
    charging = case("electric_charging")
    garage = CaseGarage([charging])
    async with stage(tmp_path, garage) as road:
        source = await road.logged_in()
        (target,) = await source.targets()
        first = source.parse(await source.fetch(target))
        said = {"isLscSupported": True, "lastFetched": "2026-05-06T07:00:00Z", "currentMileage": 7}
        body = json.dumps({"state": said, "capabilities": {}}).encode()
        garage._cases[target.vin] = replace(charging, bodies={**charging.bodies, "state": body})
        second = source.parse(await source.fetch(target))
    gone = {"charging_state", "soc_percent", "latitude_degrees", "climate_state"}
    assert gone <= first.readings.keys()
    assert gone & second.readings.keys() == set()
    assert second.value("odometer_km") == 7


# --- 4 and 5: times of charging ---------------------------------------------------------------


def test_4_signals_an_end_of_charging_is_there_only_while_it_charges_and_does_not_creep(table) -> None:
    snapshot, keys = both("electric_unplugged_with_minutes_left")
    assert snapshot.value("charging_end_at") is None
    assert keys["fuel_and_battery"]["charging_end_time"] == "2026-05-07T07:09:10+00:00"
    car = CARS["electric_charging"]
    later = replace(car.answer(), received_at=car.at + timedelta(minutes=5))
    assert understand(later, UTC).value("charging_end_at") == both(car.name)[0].value("charging_end_at")
    assert "Charging ends" in table(car.name)
    assert "Charging ends" not in table("electric_unplugged_with_minutes_left")


def test_5_signals_a_start_of_charging_is_a_moment_not_a_face(table) -> None:
    snapshot, keys = both("electric_waiting_until_this_minute")
    assert snapshot.value("charging_start_at") == CARS["electric_waiting_until_this_minute"].at
    assert keys["fuel_and_battery"]["charging_start_time"] == "2026-05-06T16:08:00"
    assert table("electric_waiting_until_this_minute")["Charging starts"] == "16:08"


# --- 6: one bad field -------------------------------------------------------------------------


def test_6_signals_one_bad_field_costs_itself_alone(table) -> None:
    snapshot, keys = both("one_bad_field_in_each_area")
    assert (snapshot.value("soc_percent"), snapshot.value("range_electric_km")) == (50, 9)
    assert snapshot.value("service_state.oil") == "ok"
    assert snapshot.value("door_open.front_left") is False
    assert snapshot.value("tire_pressure_kpa.front_left") == 1
    assert keys["fuel_and_battery"]["remaining_battery_percent"] is None
    assert keys["condition_based_services"]["messages"] == []
    assert keys["doors_and_windows"]["lids"] == []
    assert keys["tires"] is None
    told = table("one_bad_field_in_each_area")
    assert (told["Charge"], told["Service engine oil"], told["Door open front left"]) == ("50 %", "ok", "no")


def test_6_command_line_a_null_stops_nothing(table) -> None:
    """The library stops at the null commands; here the car is printed in either form."""
    snapshot, keys = both("commands_and_words_are_null")
    assert snapshot.value("charging_state") == "charging"
    assert snapshot.value("locked") is None
    assert keys["is_remote_charge_start_enabled"] is False
    assert table("commands_and_words_are_null")["Charging"] == "yes"


# --- 7: one failing vehicle -------------------------------------------------------------------


async def test_7_client_one_failing_vehicle_does_not_touch_another(road) -> None:
    source = await road.logged_in()
    await source.targets()
    road.watched.fail(STATE, 500, "", times=None, vin=ELECTRIC.vin)
    with pytest.raises(SourceUnavailable):
        await source.fetch(ELECTRIC)
    assert source.parse(await source.fetch(COMBUSTION)).value("odometer_km") == 9246


@pytest.mark.parametrize("form", [(), ("--json",), ("--format", "bimmerconnected")])
def test_7_command_line_the_good_vehicles_are_printed_beside_a_bad_one(tmp_path, capsys, form) -> None:
    for path in CARS["plug_in_hybrid"].folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bmw-eadrax-vcs_v4_vehicles_state_WBA00000000LIB999.json").write_text("INTERNAL SERVER ERROR")
    assert run(["vehicle", "status", "--answers", str(tmp_path), *form]) == 1
    said = capsys.readouterr()
    assert "WBA00000000LIB005" in said.out
    assert "LIB999" in said.err


# --- 8 and 9: what is stored ------------------------------------------------------------------


async def test_8_client_a_new_token_is_on_disk_at_once_and_for_the_owner_alone(road) -> None:
    """Also when the process is killed right after: nothing waits for an orderly end."""
    source = await road.logged_in()
    (target, *_) = await source.targets()
    before = stored(road)
    road.cloud.login.expire_access_tokens()
    on_disk = []
    road.watched.on_request = lambda request: on_disk.append((request.path, stored(road)["refresh_token"]))
    await source.fetch(target)
    after = [token for path, token in on_disk if path in (STATE, CHARGING)]
    assert (after[0], len(set(after))) == (before["refresh_token"], 2)
    files = list((road.directory / "accounts").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


async def test_9_client_device_and_session_are_an_installations_own_and_outlive_it(road, tmp_path) -> None:
    await (await road.logged_in()).targets()
    again = await road.source()
    road.memory.values.clear()
    await again.targets()
    elsewhere = await road.source(directory=tmp_path / "elsewhere")
    road.memory.values.clear()
    await road.log_in_again(elsewhere)
    await elsewhere.targets()
    seen = [
        (r.headers["x-user-agent"].split(";")[0], r.headers["bmw-session-id"]) for r in road.watched.to(LIST)
    ]
    assert len({*seen[:6]}) == 1
    assert len({*seen}) == 2
    assert seen[0][0] != seen[-1][0]


# --- 10: requests -----------------------------------------------------------------------------


async def test_10_client_a_poll_costs_two_requests_also_after_a_restart(road) -> None:
    source = await road.logged_in()
    await source.targets()
    await source.fetch(ELECTRIC)
    road.watched.counts()
    for asking in (source, await road.source()):
        await asking.targets()
        await asking.fetch(ELECTRIC)
        assert road.watched.counts() == {STATE: 1, CHARGING: 1}


async def test_10_command_line_looking_asks_nobody(owner) -> None:
    source = owner.app.road.sources["bmw"]
    await owner.app.road.collector.poll(source, Target(BEV_VIN))
    asked = owner.cloud.requests.total()
    assert await owner.types("status") == 0
    assert BEV_VIN in owner.out
    assert owner.cloud.requests.total() == asked


# --- 11: at the same time, and without end ----------------------------------------------------


async def test_11_client_five_refusals_at_once_make_one_refresh(road) -> None:
    source = await road.logged_in()
    await source.targets()
    road.cloud.login.expire_access_tokens()
    road.watched.counts()
    await asyncio.gather(*(source.fetch(COMBUSTION) for _ in range(5)))
    assert road.watched.counts()[TOKEN] == 1


def test_11_signals_the_way_back_from_chinas_coordinates_ends_everywhere() -> None:
    """At the edge of the box the library swings for ever between two points."""
    rng = random.Random(11)
    for _ in range(1000):
        north = rng.choice([0.8293, 55.8271]) + rng.uniform(-0.01, 0.01)
        east = rng.choice([72.004, 137.8347]) + rng.uniform(-0.01, 0.01)
        found = to_wgs84(north, east)
        assert abs(found[0] - north) < 0.1
        assert abs(found[1] - east) < 0.1


# --- 12: the commands -------------------------------------------------------------------------


async def test_12_command_line_what_the_owner_types_is_what_the_car_is_told(owner) -> None:
    assert await owner.types("chargingprofile", "big", "--precondition-climate", "False") == 0, owner.err
    assert owner.told()[2]["isPreconditionForDepartureActive"] is False
    assert await owner.types("chargingprofile", "big", "--charging-mode", "NO_ACTION") == 0, owner.err
    assert owner.told()[2]["chargingMode"]["type"] == "NO_ACTION"
    address = ["-a", "Am", "Hart", "1", "Munich"]
    assert await owner.types("sendpoi_from_address", "big", *address) == 0, owner.err
    (place,) = owner.told()[2]["places"]
    assert place["position"] == {"lat": 48.17718, "lng": 11.55672}


async def test_12_client_an_address_keeps_its_city_whatever_the_geocoder_calls_it() -> None:
    async def search(_request: Request) -> JSONResponse:
        parts = {"road": "Am Hart", "house_number": "1", "town": "Garching", "country": "Germany"}
        return JSONResponse([{"lat": "48.25", "lon": "11.65", "address": parts}])

    async with serve(Starlette(routes=[Route("/search", search)])) as url:
        place = await Geocoder(url).find("Am Hart 1, Garching")
    assert (place.latitude, place.longitude) == (48.25, 11.65)
    assert (place.address.street, place.address.city) == ("Am Hart 1", "Garching")


def test_12_command_line_each_vehicle_is_told_of_once(capsys) -> None:
    folder = CARS["plug_in_hybrid"].folder.parent
    assert run(["vehicle", "status", "--answers", str(folder)]) == 0
    out = capsys.readouterr().out
    assert {out.count(car.expected["vin"]) for car in CARS.values()} == {1}


# --- 13: ranges of a plug-in hybrid -----------------------------------------------------------


def test_13_signals_a_plug_in_hybrids_fuel_range_is_its_own_and_never_below_nothing(table) -> None:
    snapshot, keys = both("plug_in_hybrid")
    total, electric = (
        keys["fuel_and_battery"]["remaining_range_total"][0],
        snapshot.value("range_electric_km"),
    )
    assert snapshot.value("range_fuel_km") == total - electric
    assert snapshot.value("range_total_km") == total
    snapshot, keys = both("plug_in_hybrid_with_less_than_nothing")
    assert snapshot.value("range_fuel_km") == 0
    assert keys["fuel_and_battery"]["remaining_range_fuel"] == [-19, "km"]
    assert table("plug_in_hybrid_with_less_than_nothing")["Fuel range"] == "0 km"


# --- 14: event loops --------------------------------------------------------------------------


def test_14_client_one_account_serves_one_loop_after_another_and_several_threads() -> None:
    watched = WatchedCloud(CaseGarage([case("electric_charging")]), HastyClock())
    with served(watched) as url:
        account = Account(USER, base_url=url)  # threads wait for one another in real time
        account.set_refresh_token(REFRESH_TOKEN)
        asyncio.run(account.get_vehicles())
        asyncio.run(account.get_vehicles())
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                asyncio.run(account.get_vehicles())
            except BaseException as error:  # noqa: BLE001  # whatever it is, the test wants to see it
                failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert failed == []
    counts = watched.counts()
    assert (counts[TOKEN], counts[LIST], counts[PROFILE], counts[STATE]) == (1, 3, 1, 4)


# --- 15: missing data -------------------------------------------------------------------------


def test_15_signals_what_is_missing_is_no_good_news(table) -> None:
    snapshot, keys = both("supra_that_says_nothing")
    assert not any(key.startswith(("door_open", "window_open")) for key in snapshot.readings)
    assert (snapshot.value("odometer_km"), snapshot.value("plugged")) == (None, None)
    assert (keys["mileage"], keys["doors_and_windows"]["all_lids_closed"]) == ([0, "km"], True)
    assert keys["fuel_and_battery"]["is_charger_connected"] is False
    told = table("supra_that_says_nothing")
    assert [row for row in told if row.startswith(("Mileage", "Plugged", "Door", "Window"))] == []
    snapshot, keys = both("combustion_all_open")
    assert snapshot.value("window_open.rear") is None
    unknown = {"name": "rear", "state": "UNKNOWN", "is_closed": False}
    assert unknown in keys["doors_and_windows"]["open_windows"]


def test_15_signals_a_null_island_is_no_position(table) -> None:
    snapshot, keys = both("mild_hybrid_with_a_battery_that_does_not_count")
    assert snapshot.value("latitude_degrees") is None
    assert keys["vehicle_location"]["location"] == {"latitude": 0, "longitude": 0}
    assert "Latitude" not in table("mild_hybrid_with_a_battery_that_does_not_count")


def test_every_quirk_has_a_test() -> None:
    names = [name for name in globals() if name.startswith("test_")]
    assert [n for n in range(1, 16) if not any(name.startswith(f"test_{n}_") for name in names)] == []
