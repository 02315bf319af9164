"""Quiet hours: what waits, what passes, and what is never told because it was over by then."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from alert_stage import NOON, Stage

from poller.derive.alerts.quiet import Quiet
from poller.vehicle.alert import alert_of

OPEN = {"window_open.front_left": True}
SHUT = {"window_open.front_left": False}
#: In minutes after noon, UTC.
TEN_PM, SEVEN_AM = 600, 1140


def night(**settings) -> Stage:
    stage = Stage(quiet="22:00-07:00", **settings)
    stage.say(0)
    return stage


def test_what_happens_at_night_is_told_in_the_morning() -> None:
    stage = night()
    told = stage.every(range(TEN_PM + 30, SEVEN_AM + 60, 5), OPEN)
    assert told == [f"{SEVEN_AM}: raised warning window_open"]
    alert = alert_of(stage.records[0])
    assert alert.told_at == NOON + timedelta(minutes=SEVEN_AM)
    assert alert.raised_at < NOON + timedelta(minutes=TEN_PM + 45)
    assert "open for 8 hours" in alert.text


def test_it_is_on_the_page_all_the_same() -> None:
    stage = night()
    stage.every(range(TEN_PM + 30, TEN_PM + 60, 5), OPEN)
    assert stage.records == []
    assert stage.raised == ["window_open"]


def test_what_is_over_by_then_is_never_told() -> None:
    stage = night()
    assert stage.every(range(TEN_PM + 30, TEN_PM + 60, 5), OPEN) == []
    assert stage.every(range(TEN_PM + 60, SEVEN_AM + 60, 5), SHUT) == []


def test_an_all_clear_waits_too_and_falls_away_if_it_was_none() -> None:
    stage = night()
    assert len(stage.every(range(TEN_PM - 60, TEN_PM, 5), OPEN)) == 1
    assert stage.every(range(TEN_PM, TEN_PM + 60, 5), SHUT) == []
    assert stage.raised == []
    told = stage.every(range(TEN_PM + 60, SEVEN_AM + 5, 5), OPEN)
    assert told == [f"{SEVEN_AM}: reminded warning window_open"]
    stage.every(range(SEVEN_AM + 5, SEVEN_AM + 10, 5), SHUT)
    assert [alert_of(record).state for record in stage.records] == ["raised", "reminded", "cleared"]


def test_an_all_clear_of_the_night_bears_its_own_time() -> None:
    stage = night()
    stage.every(range(TEN_PM - 60, TEN_PM, 5), OPEN)
    assert stage.every(range(TEN_PM + 30, SEVEN_AM + 30, 5), SHUT) == [
        f"{SEVEN_AM}: cleared warning window_open"
    ]
    assert alert_of(stage.records[-1]).cleared_at == NOON + timedelta(minutes=TEN_PM + 30)


def test_no_reminder_at_night_and_one_in_the_morning() -> None:
    stage = night()
    told = stage.every(range(TEN_PM - 45, SEVEN_AM + 30, 5), OPEN)
    assert told == [
        f"{TEN_PM - 40}: raised warning window_open",
        f"{SEVEN_AM}: reminded warning window_open",
    ]


def test_the_critical_passes() -> None:
    stage = night()
    flat = {"tire_pressure_kpa.rear_left": 110, "tire_pressure_target_kpa.rear_left": 230}
    told = stage.every(range(TEN_PM + 30, TEN_PM + 90, 5), flat)
    assert told == [f"{TEN_PM + 60}: raised critical tire_pressure_low"]


def test_the_end_of_charging_waits_for_the_morning() -> None:
    stage = night()
    stage.say(TEN_PM, {"plugged": True, "charging": True, "charging_state": "charging"})
    done = {"charging": False, "charging_state": "target_reached", "soc_percent": 80}
    told = stage.every(range(TEN_PM + 60, SEVEN_AM + 30, 5), done)
    assert told == [f"{SEVEN_AM}: raised info target_reached"]
    alert = alert_of(stage.records[0])
    assert alert.text == "Charging stopped at 80 %, at 23:00."
    assert alert.raised_at == NOON + timedelta(minutes=TEN_PM + 60)


@pytest.mark.parametrize(
    ("zone", "hour", "quiet"),
    [("UTC", 22, True), ("UTC", 6, True), ("UTC", 7, False), ("UTC", 21, False),
     ("Europe/Berlin", 21, True), ("Europe/Berlin", 6, False), ("America/New_York", 3, True)],
)  # fmt: skip
def test_hours_are_the_owners(zone, hour, quiet) -> None:
    moment = NOON.replace(hour=hour)
    assert Quiet.of("22:00-07:00", ZoneInfo(zone)).at(moment) is quiet


def test_hours_within_a_day_and_none_at_all() -> None:
    assert Quiet.of("12:00-14:00", ZoneInfo("UTC")).at(NOON)
    assert not Quiet.of("12:00-14:00", ZoneInfo("UTC")).at(NOON.replace(hour=14))
    assert not any(Quiet.of("", ZoneInfo("UTC")).at(NOON.replace(hour=hour)) for hour in range(24))


def test_what_is_opened_again_before_the_all_clear_is_another_trouble() -> None:
    stage = Stage(quiet="22:00-07:00")
    assert stage.every(range(540, 561, 10), {"trunk_open": True}) == ["550: raised warning trunk_open"]
    assert stage.every(range(600, 640, 10), {"trunk_open": False}) == []
    assert stage.say(18 * 60 + 59, {"trunk_open": True}) == []
    assert stage.say(19 * 60) == ["cleared warning trunk_open"]
    assert stage.say(19 * 60 + 2) == ["raised warning trunk_open"]
    assert stage.records[-1].body["text"].startswith("The trunk has been open for 3 minutes")
