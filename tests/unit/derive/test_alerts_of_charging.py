"""Charge and charging: one message when it is over, one when it should go on and does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alert_stage import NOON, Stage

from poller.vehicle.alert import alert_of

PLUGGED = {"plugged": True, "charging": False, "charging_state": "waiting"}
CHARGING = {"plugged": True, "charging": True, "charging_state": "charging"}
IDLE = {"plugged": True, "charging": False, "charging_state": "not_charging"}
OUT = {"plugged": False, "charging": False, "charging_state": "not_charging"}


def charged(stage: Stage, until: float = 80) -> None:
    """From noon on: plugged in at once, a percent every five minutes."""
    stage.say(0)
    stage.readings |= CHARGING
    for number, percent in enumerate(range(63, int(until) + 1), 1):
        assert stage.say(5 * number, {"soc_percent": percent}) == []


def test_that_the_target_is_reached_is_told_once() -> None:
    stage = Stage()
    charged(stage)
    done = {"plugged": True, "charging": False, "charging_state": "target_reached"}
    assert stage.say(100, done) == ["raised info target_reached"]
    alert = alert_of(stage.records[0])
    assert (alert.title, alert.text) == (
        "MINI has reached its charging target",
        "Charging stopped at 80 %, at 13:40.",
    )
    assert alert.event
    assert stage.raised == [], "it is over as soon as it is told"
    assert stage.every(range(105, 600, 5)) == []
    assert stage.say(600, OUT) == []


def test_a_full_battery_is_finished() -> None:
    stage = Stage()
    stage.readings["soc_target_percent"] = 100
    charged(stage, 100)
    done = {"plugged": True, "charging": False, "charging_state": "complete"}
    assert stage.say(200, done) == ["raised info charging_finished"]


def test_preheating_at_the_cable_is_no_second_charge() -> None:
    stage = Stage()
    charged(stage)
    done = {"plugged": True, "charging": False, "charging_state": "target_reached"}
    stage.say(100, done)
    for minute in range(105, 300, 20):
        assert stage.say(minute, {**CHARGING, "soc_percent": 79}) == []
        assert stage.say(minute + 10, {**done, "soc_percent": 80}) == []


def test_who_pulls_the_cable_at_the_target_hears_that_it_was_reached() -> None:
    stage = Stage()
    charged(stage)
    assert stage.say(100, OUT) == ["raised info target_reached"]


def test_who_pulls_the_cable_before_hears_nothing() -> None:
    stage = Stage()
    charged(stage, 70)
    assert stage.every(range(50, 300, 5), OUT) == []


@pytest.mark.parametrize("state", ["not_charging", "error"])
def test_an_interruption_is_told_and_its_end(state) -> None:
    stage = Stage()
    charged(stage, 70)
    stopped = stage.every(range(45, 90, 5), {**IDLE, "charging_state": state})
    assert stopped == ["55: raised warning charging_interrupted"]
    assert "at 70 % of 80 %" in alert_of(stage.records[0]).text
    assert ("reports an error" in alert_of(stage.records[0]).text) == (state == "error")
    assert stage.say(90, CHARGING) == ["cleared warning charging_interrupted"]
    assert alert_of(stage.records[-1]).text == "It charges again."


@pytest.mark.parametrize("state", ["waiting", "paused"])
def test_what_waits_on_purpose_is_not_interrupted(state) -> None:
    """A timer, a cheap hour, a wallbox that follows the sun."""
    stage = Stage()
    charged(stage, 70)
    assert stage.every(range(45, 600, 5), {**IDLE, "charging_state": state}) == []


def test_plugged_in_and_not_charging_is_told() -> None:
    stage = Stage()
    stage.say(0)
    assert stage.every(range(5, 60, 5), IDLE) == ["35: raised warning not_charging"]
    assert stage.say(60, OUT) == ["cleared warning not_charging"]
    assert alert_of(stage.records[-1]).text == "The cable is out."


def test_with_a_timer_or_with_enough_it_is_not() -> None:
    stage = Stage()
    stage.say(0)
    assert stage.every(range(5, 600, 5), PLUGGED) == []
    assert stage.every(range(600, 900, 5), {**IDLE, "soc_percent": 80}) == []


def test_little_charge_and_no_cable_is_told_and_reminded() -> None:
    stage = Stage()
    stage.say(0)
    told = stage.every(range(5, 200, 5), {"soc_percent": 12})
    assert told == ["30: raised warning charge_low", "90: reminded warning charge_low"]
    assert alert_of(stage.records[0]).title == "MINI has only 12 % and is not plugged in"
    assert stage.every(range(200, 300, 5), {"soc_percent": 17}) == [], "one percent more is no all-clear"
    assert stage.say(300, CHARGING) == ["cleared warning charge_low"]


def test_away_from_home_it_is_not() -> None:
    stage = Stage(home="48.17718, 11.55672")
    away = {"latitude_degrees": 48.2, "longitude_degrees": 11.5, "soc_percent": 9}
    assert stage.every(range(0, 300, 5), away) == []
    near = {"latitude_degrees": 48.1775, "longitude_degrees": 11.5570}
    assert stage.every(range(300, 320, 5), near) == ["300: raised warning charge_low"]


def test_a_plug_in_hybrid_is_empty_every_day() -> None:
    stage = Stage()
    assert stage.every(range(0, 600, 5), {"soc_percent": 3, "fuel_percent": 60}) == []


def test_while_it_drives_little_charge_is_no_message() -> None:
    stage = Stage()
    for minute in range(0, 300, 5):
        assert stage.say(minute, {"soc_percent": 9, "odometer_km": 45123 + minute}) == []


def test_an_old_end_of_charging_is_no_news() -> None:
    stage = Stage()
    charged(stage)
    done = {"charging": False, "charging_state": "target_reached"}
    assert stage.say(60 * 30, done, observed=NOON + timedelta(minutes=101)) == []


def test_first_seen_full_or_charging_is_no_news() -> None:
    for first in (CHARGING, {**IDLE, "charging_state": "complete", "soc_percent": 100}):
        stage = Stage()
        assert stage.every(range(0, 120, 5), first) == []
