"""What remote services do to the simulated cars, as the app's cloud and CarData tell of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from remote_stage import KNOWN, START, Stage, stage_of

from poller.simulator.cardata import answers
from poller.simulator.cardata.cloud import FakeCarData
from poller.simulator.cardata.streaming import STREAMABLE, messages
from poller.simulator.cardata.telling import TellingCar
from poller.simulator.fleet import BEV_VIN, BMW_VIN, ICE_VIN, MINI_VIN
from poller.simulator.garage import all_cars_garage
from poller.sources.mybmw.meaning.parse import parse
from poller.testing.clock import ManualClock
from poller.vehicle.answer import Answer

HALF_AN_HOUR = 1800.0


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with stage_of() as made:
        yield made


async def test_unlocked_and_locked_is_told_with_a_new_time(stage: Stage) -> None:
    """The report is there when the event is executed; the alarm goes with the lock."""
    await stage.parked()
    before = await stage.state()
    for service, security, alarm in (
        ("door-unlock", "UNLOCKED", "NOT_ARMED"),
        ("door-lock", "SECURED", "ARMED"),
    ):
        acts = stage.clock.now() + timedelta(seconds=8)
        assert await stage.tell(service) == "EXECUTED"
        state = await stage.state()
        assert state["doorsState"]["combinedSecurityState"] == security
        assert state["securityOverviewMode"] == alarm
        assert state["lastUpdatedAt"] == f"{acts:%Y-%m-%dT%H:%M:%SZ}" > before["lastUpdatedAt"]


async def test_flash_horn_finder_and_destination_move_no_report(stage: Stage) -> None:
    await stage.parked()
    before = await stage.state()
    for service in ("light-flash", "horn-blow", "vehicle-finder"):
        assert await stage.tell(service) == "EXECUTED"
    assert (await stage.state())["lastUpdatedAt"] == before["lastUpdatedAt"]


async def test_nothing_has_happened_before_the_car_acts(stage: Stage) -> None:
    await stage.parked()
    assert (await stage.post("/eadrax-vrccs/v4/presentation/remote-commands/door-unlock", BEV_VIN)).is_success
    await stage.clock.advance(KNOWN - 1)
    assert (await stage.state())["doorsState"]["combinedSecurityState"] == "SECURED"
    await stage.clock.advance(1)
    assert (await stage.state())["doorsState"]["combinedSecurityState"] == "UNLOCKED"


@pytest.mark.parametrize(("vin", "activity"), [(BEV_VIN, "HEATING"), (ICE_VIN, "VENTILATION")])
async def test_the_cabin_is_kept_and_the_seconds_run_down(stage: Stage, vin: str, activity: str) -> None:
    await stage.parked(vin)
    await stage.tell("climate-now?action=START", vin)
    first = (await stage.state(vin))["climateControlState"]
    await stage.clock.advance(100)
    second = (await stage.state(vin))["climateControlState"]
    assert (first["activity"], second["activity"]) == (activity, activity)
    assert first["remainingSeconds"] == pytest.approx(HALF_AN_HOUR, abs=5)
    assert first["remainingSeconds"] - second["remainingSeconds"] == 100
    await stage.clock.advance(HALF_AN_HOUR + 300)
    assert (await stage.state(vin))["climateControlState"] == {"activity": "INACTIVE"}
    await stage.tell("climate-now?action=START", vin)
    assert await stage.tell("climate-now?action=STOP", vin) == "EXECUTED"
    assert (await stage.state(vin))["climateControlState"] == {"activity": "INACTIVE"}


@pytest.mark.parametrize("vin", [BEV_VIN, BMW_VIN])
async def test_charging_stops_and_goes_on(stage: Stage, vin: str) -> None:
    """And the percent stand still meanwhile."""
    await stage.plugged(vin)
    assert await stage.tell("stop-charging", vin) == "EXECUTED"
    stopped = (await stage.state(vin))["electricChargingState"]
    assert (stopped["chargingStatus"], stopped["isChargerConnected"]) == ("NOT_CHARGING", True)
    assert "remainingChargingMinutes" not in stopped
    await stage.clock.advance(1200)
    still = (await stage.state(vin))["electricChargingState"]
    assert still["chargingLevelPercent"] == stopped["chargingLevelPercent"]
    assert await stage.tell("start-charging", vin) == "EXECUTED"
    assert (await stage.state(vin))["electricChargingState"]["chargingStatus"] == "CHARGING"
    await stage.clock.advance(1800)
    more = (await stage.state(vin))["electricChargingState"]
    assert more["chargingLevelPercent"] > still["chargingLevelPercent"]


async def test_without_a_cable_there_is_nothing_to_start(stage: Stage) -> None:
    await stage.parked()
    assert await stage.tell("start-charging") == "ERROR"
    event = stage.cloud.remote.diary[-1].id
    assert (await stage.status(event))["details"] == "The vehicle is not plugged in."


async def test_settings_are_read_back_in_state_and_details(stage: Stage) -> None:
    """What is null stays as it was; a car that charges does so by them at once."""
    await stage.plugged()
    before = (await stage.state())["electricChargingState"]
    assert (
        await stage.tell("charging-settings", body={"chargingTarget": 90, "acLimitValue": None}) == "EXECUTED"
    )
    assert (
        await stage.tell("charging-settings", body={"chargingTarget": None, "acLimitValue": 6}) == "EXECUTED"
    )
    state, details = await stage.state(), (await stage.settings())["chargingSettingsDetail"]
    assert state["electricChargingState"]["chargingTarget"] == details["chargingTarget"] == 90
    settings = state["chargingProfile"]["chargingSettings"]
    assert (settings["targetSoc"], settings["acCurrentLimit"]) == (90, 6)
    assert details["acLimit"]["current"] == {"unit": "A", "value": 6}
    assert details["acLimit"]["values"][0] == 6
    left = state["electricChargingState"]["remainingChargingMinutes"]
    assert left > 2 * before["remainingChargingMinutes"]


TIMER = {
    "daysOfTheWeek": ["MONDAY", "FRIDAY"],
    "id": 1,
    "time": "0001-01-01T07:35:00.000",
    "timerAction": "ACTIVATE",
}
IDLE = {"daysOfTheWeek": [], "id": 2, "time": "0001-01-01T00:00:00.000", "timerAction": "DEACTIVATE"}


def profile(
    kind: str, preference: str, *, start: str = "00:00", end: str = "00:00", climate: bool = True
) -> dict:
    return {
        "chargingMode": {
            "chargingPreference": preference,
            "endTimeSlot": f"0001-01-01T{end}:00.000",
            "startTimeSlot": f"0001-01-01T{start}:00.000",
            "type": kind,
            "timerChange": "NO_CHANGE",
        },
        "departureTimer": {"type": "TWO_DEPARTURE_TIMER", "weeklyTimers": [TIMER, IDLE]},
        "isPreconditionForDepartureActive": climate,
        "servicePack": "TCB1",
    }


@pytest.mark.parametrize("vin", [MINI_VIN, BMW_VIN, BEV_VIN])
async def test_a_profile_is_read_back_in_state_and_details(stage: Stage, vin: str) -> None:
    await stage.parked(vin)
    sent = profile("TIME_SLOT", "CHARGING_WINDOW", start="22:15", end="05:00")
    assert await stage.tell("charging-profile", vin, sent) == "EXECUTED"
    told, details = (await stage.state(vin))["chargingProfile"], await stage.settings(vin)
    assert told["chargingMode"] == "DELAYED_CHARGING"
    assert told["chargingPreference"] == "CHARGING_WINDOW"
    assert told["chargingControlType"] == "TWO_TIMES_TIMER"
    assert told["climatisationOn"] is True
    assert told["reductionOfChargeCurrent"] == {
        "start": {"hour": 22, "minute": 15},
        "end": {"hour": 5, "minute": 0},
    }
    first, second = told["departureTimes"]
    assert first == {
        "action": "ACTIVATE",
        "id": 1,
        "timerWeekDays": ["MONDAY", "FRIDAY"],
        "timeStamp": {"hour": 7, "minute": 35},
    }
    assert (second["action"], second["timerWeekDays"]) == ("DEACTIVATE", [])
    assert told["chargingSettings"]["targetSoc"] > 0
    detail = details["chargeAndClimateTimerDetail"]
    assert detail["isPreconditionForDepartureActive"] is True
    assert detail["chargingMode"] == {
        "chargingPreference": "CHARGING_WINDOW",
        "endTimeSlot": "0001-01-01T05:00:00",
        "startTimeSlot": "0001-01-01T22:15:00",
        "type": "TIME_SLOT",
    }
    assert detail["departureTimer"]["type"] == "TWO_DEPARTURE_TIMER"
    assert detail["departureTimer"]["weeklyTimers"][0] == {**TIMER, "time": "0001-01-01T07:35:00"}
    assert details["servicePack"]
    assert await stage.tell("charging-profile", vin, profile("NO_ACTION", "NO_PRESELECTION")) == "EXECUTED"
    told = (await stage.state(vin))["chargingProfile"]
    assert told["chargingMode"] == "NO_ACTION"
    assert "reductionOfChargeCurrent" not in told


async def test_a_profile_moves_the_window_in_which_it_charges(stage: Stage) -> None:
    """The MINI waits for the night; told to charge at once, it does."""
    car, now = stage.garage.cars[MINI_VIN], stage.clock.now()
    nights = car.truth(now, now + timedelta(days=20)).charges
    night = next(c for c in nights if c.place == "home" and c.flowed_from - c.start > timedelta(hours=2))
    await stage.until(night.start + timedelta(minutes=20))
    assert (await stage.state(MINI_VIN))["electricChargingState"]["chargingStatus"] == "WAITING_FOR_CHARGING"
    await stage.tell("charging-profile", MINI_VIN, profile("CHARGING_IMMEDIATELY", "NO_PRESELECTION"))
    assert (await stage.state(MINI_VIN))["electricChargingState"]["chargingStatus"] == "CHARGING"


async def test_the_parser_understands_every_word_of_a_car_that_was_told_things(stage: Stage) -> None:
    for vin in stage.garage.vins:
        await stage.parked(vin)
        for service in ("door-unlock", "climate-now?action=START"):
            await stage.tell(service, vin)
    await stage.plugged(BMW_VIN)
    await stage.tell("stop-charging", BMW_VIN)
    await stage.tell("charging-profile", BMW_VIN, profile("NO_ACTION", "CHARGING_WINDOW"))
    for vin in stage.garage.vins:
        now, garage = stage.clock.now(), stage.garage
        bodies = {"state": garage.state(vin, now), "charging_settings": garage.charging(vin, now)}
        snapshot = parse(Answer("demo", "mybmw", vin, now, bodies), ZoneInfo("Europe/London"))
        assert snapshot.unknown_tokens == ()
    assert (
        parse(
            Answer("demo", "mybmw", BMW_VIN, now, {"state": garage.state(BMW_VIN, now)}), ZoneInfo("UTC")
        ).value("charging_state")
        == "not_charging"
    )


# --- CarData --------------------------------------------------------------------------------------


async def test_cardata_tells_the_same_of_the_same_car(stage: Stage) -> None:
    """Lock, cabin, charging, limit and plan, by REST and by stream."""
    await stage.plugged()
    car = TellingCar(stage.garage.cars[BEV_VIN])
    since = stage.clock.now()
    await stage.tell("door-unlock")
    await stage.tell("stop-charging")
    await stage.tell("charging-settings", body={"chargingTarget": 95, "acLimitValue": 10})
    await stage.tell(
        "charging-profile", body=profile("TIME_SLOT", "CHARGING_WINDOW", start="01:00", end="02:00")
    )
    await stage.tell("climate-now?action=START")
    now = stage.clock.now()
    charging = "vehicle.drivetrain.electricEngine.charging"
    expected = {
        "vehicle.cabin.door.lock.status": "UNLOCKED",
        "vehicle.cabin.hvac.preconditioning.status.comfortState": "COMFORT_HEATING",
        "vehicle.powertrain.electric.battery.charging.acLimit.selected": "10",
        "vehicle.powertrain.electric.battery.stateOfCharge.target": "95",
        f"{charging}.status": "CHARGINGPAUSED",
        f"{charging}.profile.mode": "DELAYED_CHARGING",
        f"{charging}.profile.climatizationActive": "true",
    }
    rest = answers.telematic(car, tuple(expected), now)
    assert {name: entry["value"] for name, entry in rest.items()} == expected
    heard = [
        message.descriptor
        for arrival in car.arrivals(since, now)
        for message in messages(car, arrival, seed=1, entity="e")
    ]
    assert set(expected) & STREAMABLE <= set(heard)


async def test_an_order_wakes_the_stream_before_the_next_report_of_its_own() -> None:
    clock, garage = ManualClock(START), all_cars_garage()
    car = garage.cars[BEV_VIN]
    cardata = FakeCarData([car], clock)
    async with stage_of(garage, clock=clock, cardata=cardata) as stage:
        await stage.parked()
        sending = asyncio.create_task(cardata.streaming.run())
        await clock.settle()
        assert car.next_arrival(clock.now()) - clock.now() > timedelta(minutes=2)
        assert await stage.tell("door-unlock") == "EXECUTED"
        await clock.advance(60)
        assert cardata.streaming.sent > 20
        sending.cancel()
        await asyncio.wait([sending])
