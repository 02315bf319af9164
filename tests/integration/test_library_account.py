"""An account from Python: every way that a script may use it, over HTTP against the simulator."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from library_cloud import served
from mybmw_cloud import AUTHENTICATE, CHARGING, CONFIG, LIST, PROFILE, STATE, TOKEN, HastyClock, WatchedCloud

from poller.errors import (
    ArgumentRefused,
    CommandFailed,
    CommandRefused,
    ConfigError,
    LoginRequired,
    MalformedAnswer,
    RateLimited,
    SourceBlocked,
    SourceUnavailable,
)
from poller.library.account import Account, Region
from poller.library.keys import vehicle_json
from poller.library.remote_services import PointOfInterest
from poller.library.words import ChargingMode, VehicleViewDirection
from poller.simulator import china_login as china
from poller.simulator.fleet import BEV_VIN, ICE_VIN
from poller.simulator.garage import CarGarage, all_cars_garage
from poller.simulator.login import PASSWORD, REFRESH_TOKEN, USER
from poller.vehicle.command import SETTLED_AFTER, CommandState, Order

EVENT_STATUS = "/eadrax-vrccs/v3/presentation/remote-commands/eventStatus"
FLASH = "/eadrax-vrccs/v4/presentation/remote-commands/light-flash"


@pytest.fixture
def clock():
    return HastyClock()


@pytest.fixture
def watched(clock):
    cars = all_cars_garage().cars
    return WatchedCloud(CarGarage([cars[BEV_VIN], cars[ICE_VIN]]), clock)


@pytest.fixture
def url(watched):
    with served(watched) as url:
        yield url


@pytest.fixture
def account(url, clock):
    return Account(USER, PASSWORD, captcha_token="P1_once", base_url=url, clock=clock)


@pytest.fixture
def car(account):
    asyncio.run(account.get_vehicles())
    return account.get_vehicle(BEV_VIN)


# --- event loops --------------------------------------------------------------------------------


def test_one_event_loop_after_another(account, watched) -> None:
    """Lists, profiles and the login are had once; what is bound to a loop goes with it."""
    for _ in range(3):
        asyncio.run(account.get_vehicles())
    counts = watched.counts()
    assert (counts[CONFIG], counts[LIST], counts[PROFILE], counts[STATE]) == (1, 3, 2, 6)


def test_loops_in_several_threads_at_once(url) -> None:
    account = Account(USER, PASSWORD, captcha_token="P1_once", base_url=url)
    asyncio.run(account.get_vehicles())
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            asyncio.run(account.get_vehicles())
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test wants to see it
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not failed
    assert account.failures == {}
    assert {one.vin for one in account.vehicles} == {ICE_VIN, BEV_VIN}


def test_tasks_of_one_loop_share_one_login(account, watched) -> None:
    async def both() -> None:
        await asyncio.gather(account.get_vehicles(), account.get_vehicles())

    asyncio.run(both())
    assert watched.counts()[TOKEN] == 1


def test_a_call_leaves_no_connection_behind(account) -> None:
    asyncio.run(account.get_vehicles())
    assert account._lines.held == {}


def test_a_block_keeps_one_connection_and_lets_go_of_it(account, watched) -> None:
    async def kept() -> None:
        async with account as same:
            assert same is account
            await account.get_vehicles()
            line = account._lines.held[asyncio.get_running_loop()]
            await account.get_vehicles()
            assert account._lines.held[asyncio.get_running_loop()] is line
        assert account._lines.held == {}
        await account.close()
        await account.get_vehicles()

    asyncio.run(kept())


def test_a_call_under_way_keeps_its_connection_when_another_ends_the_block(account, watched) -> None:
    """What was begun in a block may go wrong when the block ends, but never touches what came after."""

    async def run() -> None:
        await account.get_vehicles()
        before = account._lines.enter()
        before.users = 1
        await account.close()
        after = account._lines.enter()
        await account._lines.hang_up(before)
        assert account._lines.held[asyncio.get_running_loop()] is after
        await account.close()

    asyncio.run(run())


# --- the login ----------------------------------------------------------------------------------


def test_a_login_in_a_folder_serves_the_next_script(url, clock, tmp_path, watched) -> None:
    first = Account(USER, PASSWORD, captcha_token="P1_once", base_url=url, clock=clock, directory=tmp_path)
    asyncio.run(first.get_vehicles())
    second = Account(USER, base_url=url, clock=clock, directory=str(tmp_path))
    asyncio.run(second.get_vehicles())
    assert watched.counts()[AUTHENTICATE] == 2
    assert second.refresh_token == first.refresh_token is not None
    assert second.gcid == first.gcid is not None


def test_a_refresh_token_that_is_set_counts_more_than_a_stored_login(account, watched) -> None:
    asyncio.run(account.get_vehicles())
    account.set_refresh_token(REFRESH_TOKEN)
    asyncio.run(account.get_vehicles())
    assert account.refresh_token == f"{REFRESH_TOKEN}.1"
    watched.counts()
    asyncio.run(account.get_vehicles())
    assert watched.counts()[TOKEN] == 0


def test_the_librarys_store_is_taken_over(url, clock, tmp_path) -> None:
    store = tmp_path / ".bimmer_connected.json"
    store.write_text(f'{{"refresh_token": "{REFRESH_TOKEN}", "gcid": "g", "session_id": null}}')
    account = Account(USER, base_url=url, clock=clock)
    account.take_over(str(store))
    asyncio.run(account.get_vehicles())
    assert len(account.vehicles) == 2


def test_in_china_no_human_is_needed_and_a_refresh_token_comes_with_its_gcid(url, clock) -> None:
    by_password = Account(china.USER, china.PASSWORD, "china", base_url=url, clock=clock)
    asyncio.run(by_password.get_vehicles())
    car = by_password.get_vehicle(BEV_VIN)
    assert car is not None
    assert car.vehicle_location.account_region == "cn"
    by_token = Account(china.USER, None, Region.CHINA, base_url=url, clock=clock)
    by_token.set_refresh_token(china.REFRESH_TOKEN, china.GCID)
    asyncio.run(by_token.get_vehicles())
    assert by_token.gcid == china.GCID


def test_without_a_login_the_error_says_how_to_log_in_from_python(url, clock) -> None:
    account = Account(USER, PASSWORD, base_url=url, clock=clock)
    with pytest.raises(LoginRequired, match="captcha") as caught:
        asyncio.run(account.get_vehicles())
    assert "captcha_token" in (caught.value.hint or "")
    assert "poller login" not in (caught.value.hint or "")
    assert caught.value.hint in "".join(traceback.format_exception(caught.value))


def test_a_captcha_token_that_bmw_has_seen_is_not_sent_again(url, clock, watched) -> None:
    account = Account(USER, "wrong", captcha_token="P1_once", base_url=url, clock=clock)
    for _ in range(2):
        with pytest.raises(LoginRequired):
            asyncio.run(account.get_vehicles())
    assert watched.counts()[AUTHENTICATE] == 1


def test_a_captcha_token_that_bmw_has_not_seen_is_kept(account, watched) -> None:
    watched.fail(CONFIG, 503, times=3)
    with pytest.raises(SourceUnavailable):
        asyncio.run(account.get_vehicles())
    asyncio.run(account.get_vehicles())
    assert len(account.vehicles) == 2


def test_a_login_of_its_own_goes_with_the_account(url, clock) -> None:
    account = Account(USER, base_url=url, clock=clock)
    folder = account._directory
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    del account
    gc.collect()
    assert not folder.exists()


def test_what_is_no_account_is_refused_without_its_password() -> None:
    for given in (
        {"username": ""},
        {"username": USER, "region": "mars"},
        {"username": USER, "base_url": "x"},
    ):
        with pytest.raises(ConfigError) as caught:
            Account(password="hunter2", **given)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_region_is_known_by_its_name_in_any_case() -> None:
    assert Region("China") is Region.CHINA
    assert Account(USER, region="NORTH_AMERICA").region is Region.NORTH_AMERICA
    assert Account(USER, region=Region.CHINA).region is Region.CHINA


# --- vehicles -----------------------------------------------------------------------------------


def test_a_vehicle_is_found_by_its_vin_in_any_case(account, car) -> None:
    assert account.get_vehicle(BEV_VIN.lower()) is car
    assert account.get_vehicle("WBA99999999999999") is None
    assert (car.name, car.brand, car.vin) == ("i4 eDrive40", "bmw", BEV_VIN)
    assert car.is_remote_horn_enabled is car.last.capabilities.is_remote_horn_enabled is True


def test_a_vehicle_has_no_other_attributes(car) -> None:
    with pytest.raises(AttributeError, match="wheels"):
        _ = car.wheels
    assert copy.copy(car).vin == car.vin


def test_a_vehicle_that_is_held_shows_what_is_new(account, car, clock) -> None:
    before = car.last
    clock._move(clock.monotonic() + 86_400)
    asyncio.run(car.get_vehicle_state())
    assert account.get_vehicle(BEV_VIN) is car
    assert car.timestamp > before.timestamp
    assert car.answer.bodies["state"] != b""


def test_one_vehicle_that_fails_keeps_its_last_state(account, car, watched) -> None:
    watched.spoil(STATE, "broken_json")
    asyncio.run(account.get_vehicles())
    (failed,) = account.failures
    assert isinstance(account.failures[failed], MalformedAnswer | SourceUnavailable)
    assert len(account.vehicles) == 2
    asyncio.run(account.get_vehicles())
    assert account.failures == {}


def test_when_all_fail_the_reason_is_raised(account, car, watched) -> None:
    watched.fail(STATE, 503, times=None)
    with pytest.raises(SourceUnavailable):
        asyncio.run(account.get_vehicles())
    assert len(account.failures) == len(account.vehicles) == 2


def test_bmws_refusal_of_third_parties_has_its_own_name(account, car, watched) -> None:
    watched.fail(STATE, 489, "Blocked")
    with pytest.raises(SourceBlocked):
        asyncio.run(account.get_vehicles())


def test_where_bmw_has_told_us_to_wait_nobody_is_asked_before(account, car, watched, clock) -> None:
    """Neither for a vehicle nor for an order: a script's loop must not ask servers that said no."""
    watched.counts()
    watched.fail(FLASH, 489, "Blocked", times=None)
    with pytest.raises(SourceBlocked) as first:
        asyncio.run(car.remote_services.trigger_remote_light_flash())
    assert watched.counts()[FLASH] == 1
    for call in (car.remote_services.trigger_remote_light_flash, account.get_vehicles, car.get_vehicle_state):
        with pytest.raises(SourceBlocked) as again:
            asyncio.run(call())
        assert (again.value.until, again.value.hint) == (first.value.until, first.value.hint)
    assert watched.requests == []
    clock._move(clock.monotonic() + 86_401)
    asyncio.run(account.get_vehicles())
    assert account.failures == {}


def test_what_the_look_after_an_order_is_told_holds_too(account, car, watched) -> None:
    path = "/eadrax-vrccs/v4/presentation/remote-commands/door-lock"
    watched.on_request = lambda request: (
        watched.fail(STATE, 429, "in 600 seconds") if request.path == path else None
    )
    assert asyncio.run(car.remote_services.trigger_remote_door_lock()).state is CommandState.EXECUTED
    watched.counts()
    with pytest.raises(RateLimited):
        asyncio.run(account.get_vehicles())
    assert watched.requests == []


def test_so_does_what_came_in_the_place_of_an_orders_end(account, car, watched) -> None:
    watched.fail(EVENT_STATUS, 489, "Blocked")
    with pytest.raises(CommandFailed):
        asyncio.run(car.remote_services.trigger_remote_light_flash())
    watched.counts()
    with pytest.raises(SourceBlocked):
        asyncio.run(account.get_vehicles())
    assert watched.requests == []


# --- orders -------------------------------------------------------------------------------------


def test_the_minute_of_an_order_begins_before_the_login(account, watched, clock) -> None:
    """A line so slow that the script's owner has gone: nothing opens behind their back."""

    def slow(request) -> None:
        if request.path == TOKEN:
            clock.jump(61)

    watched.on_request = slow
    with pytest.raises(CommandRefused, match="was not sent any more"):
        asyncio.run(account.execute(Order(BEV_VIN, "light_flash")))
    assert watched.counts()[FLASH] == 0


def test_what_an_order_changes_is_asked_for_afterwards(car) -> None:
    services = car.remote_services
    assert asyncio.run(services.trigger_charging_settings_update(target_soc=70)).state == "executed"
    assert car.fuel_and_battery.charging_target == 70
    asyncio.run(services.trigger_charging_profile_update(ChargingMode.IMMEDIATE_CHARGING, True))
    assert car.charging_profile.charging_mode is ChargingMode.IMMEDIATE_CHARGING
    asyncio.run(services.trigger_remote_door_unlock())
    assert car.doors_and_windows.door_lock_state == "UNLOCKED"
    asyncio.run(services.trigger_remote_door_lock())
    assert car.doors_and_windows.door_lock_state != "UNLOCKED"
    asyncio.run(services.trigger_remote_air_conditioning())
    assert car.climate.is_climate_on
    asyncio.run(services.trigger_remote_air_conditioning_stop())
    assert not car.climate.is_climate_on


def test_bmw_is_given_time_to_know_of_it(car, watched, clock) -> None:
    asked: list[tuple[str, float]] = []
    watched.on_request = lambda request: asked.append((request.path, clock.monotonic()))
    asyncio.run(car.remote_services.trigger_remote_door_unlock())
    done = max(when for path, when in asked if path == EVENT_STATUS)
    again = max(when for path, when in asked if path == STATE)
    assert again - done >= SETTLED_AFTER


def test_two_orders_to_one_car_at_once_are_one_too_many(account, car, watched) -> None:
    """As the daemon has it; other cars are others, and what comes afterwards is sent."""
    watched.counts()
    flash = car.remote_services.trigger_remote_light_flash
    other = account.get_vehicle(ICE_VIN).remote_services.trigger_remote_light_flash

    async def at_once() -> list[object]:
        return await asyncio.gather(flash(), flash(), other(), return_exceptions=True)

    first, second, third = asyncio.run(at_once())
    assert first.state is third.state is CommandState.EXECUTED
    assert isinstance(second, CommandRefused)
    assert "under way" in str(second)
    assert watched.counts()[FLASH] == 2
    assert asyncio.run(flash()).state is CommandState.EXECUTED


def test_what_changes_nothing_costs_no_state(car, watched) -> None:
    watched.counts()
    assert asyncio.run(car.remote_services.trigger_remote_light_flash()).state is CommandState.EXECUTED
    counts = watched.counts()
    assert (counts[FLASH], counts[CHARGING]) == (1, 0)
    place = {"lat": 54.7, "lon": 2.2, "name": "buoy", "postal_code": "1"}
    assert asyncio.run(car.remote_services.trigger_send_poi(place)).state is CommandState.EXECUTED
    (sent,) = [request for request in watched.requests if request.path.endswith("/send-to-car")]
    assert sent.json["places"][0]["position"] == {"lat": 54.7, "lng": 2.2}
    assert sent.json["places"][0]["title"] == "buoy"


def test_a_place_has_the_librarys_names_and_no_others(car) -> None:
    place = PointOfInterest(54.7, 2.2, "buoy")
    assert asyncio.run(car.remote_services.trigger_send_poi(place)).state is CommandState.EXECUTED
    with pytest.raises(TypeError, match="latitude"):
        asyncio.run(car.remote_services.trigger_send_poi({"latitude": 54.7, "lon": 2.2}))


def test_the_vehicle_finder_is_told_where_the_observer_is(account, car, watched) -> None:
    account.set_observer_position(54.0, 2.0)
    found = asyncio.run(car.remote_services.trigger_remote_vehicle_finder()).found
    (asked,) = [request for request in watched.requests if request.path.endswith("/eventPosition")]
    assert (asked.headers["latitude"], asked.headers["longitude"]) == ("54.0", "2.0")
    assert found.latitude == car.vehicle_location.location.latitude
    assert car.vehicle_location.remote_service_position is not None


def test_any_other_call_can_be_made(car, watched) -> None:
    watched.counts()
    call = car.remote_services.trigger_remote_service("light-flash", {"times": "1"}, {"a": 1})
    assert asyncio.run(call).state is CommandState.EXECUTED
    (sent,) = watched.to(FLASH)
    assert (sent.query, sent.json) == ({"times": "1"}, {"a": 1})
    assert watched.counts()[STATE] > 0


def test_charging_a_car_that_is_not_plugged_in_is_ignored(car) -> None:
    assert not car.fuel_and_battery.is_charger_connected
    for order in (car.remote_services.trigger_charge_start, car.remote_services.trigger_charge_stop):
        assert asyncio.run(order()).state is CommandState.IGNORED


def test_what_makes_no_sense_is_refused_before_it_is_sent(account, car, watched) -> None:
    with pytest.raises(ArgumentRefused):
        asyncio.run(car.remote_services.trigger_charging_settings_update(target_soc=91))
    with pytest.raises(CommandRefused):
        asyncio.run(account.get_vehicle(ICE_VIN).remote_services.trigger_charge_start())


@contextmanager
def order_fails(watched):
    watched.fail(EVENT_STATUS, 200, '{"eventStatus": "ERROR"}')
    yield


def test_an_order_that_the_car_does_not_do_is_raised(car, watched) -> None:
    with order_fails(watched), pytest.raises(CommandFailed) as caught:
        asyncio.run(car.remote_services.trigger_remote_horn())
    assert caught.value.state is CommandState.ERROR
    assert str(caught.value)


def test_an_order_counts_as_done_although_the_state_cannot_be_had_afterwards(account, car, watched) -> None:
    order = car.remote_services.trigger_remote_door_lock
    path = "/eadrax-vrccs/v4/presentation/remote-commands/door-lock"
    watched.on_request = lambda request: (
        watched.fail(STATE, 503, times=None) if request.path == path else None
    )
    assert asyncio.run(order()).state is CommandState.EXECUTED
    assert BEV_VIN in account.failures


def test_pictures(car) -> None:
    picture = asyncio.run(car.get_vehicle_image(VehicleViewDirection.REAR_VIEW))
    assert picture.startswith(b"\x89PNG")
    with pytest.raises(CommandRefused):
        asyncio.run(car.get_vehicle_image(VehicleViewDirection.UNKNOWN))


# --- in somebody else's program -----------------------------------------------------------------


def test_log_lines_go_to_the_programs_own_logging(account, car, watched, caplog, capsys) -> None:
    structlog.reset_defaults()
    Account(USER)
    watched.fail("/eadrax-crccs/v2/vehicles", 404, times=None)
    with caplog.at_level(logging.WARNING):
        asyncio.run(account.get_vehicles())
    assert any("charging_settings.unavailable" in line for line in caplog.messages)
    assert BEV_VIN not in caplog.text
    assert capsys.readouterr().out == ""


def test_logging_that_is_set_up_is_left_alone() -> None:
    chosen = [structlog.processors.KeyValueRenderer()]
    structlog.configure(processors=chosen)
    Account(USER)
    assert structlog.get_config()["processors"] is chosen


def test_the_package_says_that_it_has_types() -> None:
    import poller

    assert (Path(poller.__file__).parent / "py.typed").is_file()


def test_an_accounts_vehicle_is_written_like_its_last_answer_and_shows_who_it_is(car) -> None:
    """Whoever comes from the library writes ``vehicle_json(vehicle)``; its `repr` has no whole VIN."""
    assert vehicle_json(car) == vehicle_json(car.last)
    assert "available_attributes" in vehicle_json(car)
    assert BEV_VIN[-7:] in repr(car)
    assert BEV_VIN not in repr(car)
