"""Services, messages, the 12 V battery, software."""

from __future__ import annotations

from datetime import timedelta

from alert_stage import NOON, Stage, snapshot

from poller.vehicle.alert import alert_of

DAY = 24 * 60
HOUR = 60


def due(days: float | None = None, km: float | None = None, state: str | None = None) -> dict:
    found = {"service_due_at.oil": None if days is None else NOON + timedelta(days=days)}
    return {**found, "service_due_km.oil": km, "service_state.oil": state}


def test_a_service_is_told_a_month_before_a_week_before_and_when_overdue() -> None:
    stage = Stage()
    told = stage.every(range(0, 45 * DAY, 3 * HOUR), due(40, 20_000, "ok"))
    days = [int(one.partition(":")[0]) / DAY for one in told]
    assert [one.partition(": ")[2] for one in told] == [
        "raised info service_due oil",
        "reminded warning service_due oil",
        "reminded warning service_due oil",
    ]
    assert [int(day) for day in days] == [10, 33, 40]
    texts = [alert_of(record).text for record in stage.records]
    assert texts == [
        "Engine oil is due in 30 days. Make an appointment.",
        "Engine oil is due in 7 days. Make an appointment.",
        "Engine oil is overdue. Make an appointment.",
    ]


def test_by_distance_too_in_the_owners_units() -> None:
    stage = Stage(units="uk")
    stage.say(0, due(300, 1600))
    told = stage.every(range(0, 5 * HOUR, HOUR), due(300, 1480))
    assert told == ["60: raised info service_due oil"]
    assert alert_of(stage.records[0]).text == "Engine oil is due in 920 mi. Make an appointment."
    assert stage.every(range(5 * HOUR, 10 * HOUR, HOUR), due(300, 1530)) == [], (
        "a little back is no all-clear"
    )
    assert stage.every(range(10 * HOUR, 15 * HOUR, HOUR), due(300, 290)) == [
        "660: reminded warning service_due oil"
    ]
    assert stage.every(range(15 * HOUR, 20 * HOUR, HOUR), due(700, 30_000)) == [
        "960: cleared warning service_due oil"
    ]
    assert alert_of(stage.records[-1]).text == "Engine oil is not due for a while."


def test_a_car_first_seen_with_a_service_due_tells_it_once() -> None:
    stage = Stage()
    told = stage.every(range(0, 3 * DAY, HOUR), due(-20, -500, "overdue"))
    assert told == ["60: raised warning service_due oil"]


def test_the_date_of_a_service_does_not_age() -> None:
    """The car said it weeks ago; that it comes near, nobody has to measure."""
    stage = Stage()
    told = stage.every(range(0, 45 * DAY, 6 * HOUR), due(40), observed=NOON)
    assert [one.partition(": ")[2].split()[0] for one in told] == ["raised", "reminded", "reminded"]


def test_a_service_of_which_the_car_stops_speaking_is_neither() -> None:
    stage = Stage()
    stage.every(range(0, 3 * HOUR, HOUR), due(20))
    assert stage.every(range(3 * HOUR, DAY, HOUR), due()) == []
    assert stage.raised == ["service_due"]


def test_two_services_are_two() -> None:
    stage = Stage()
    stage.readings["service_due_at.brake_fluid"] = NOON + timedelta(days=3)
    told = stage.every(range(0, 3 * HOUR, HOUR), due(20))
    assert told == [
        "60: raised warning service_due brake_fluid",
        "60: raised info service_due oil",
    ]


def test_own_days() -> None:
    stage = Stage(service_days=(10, 2))
    assert stage.every(range(0, 3 * HOUR, HOUR), due(20)) == []


def test_a_message_is_told_when_it_stands_and_when_it_is_gone() -> None:
    stage = Stage()
    stage.say(0)
    shown = {"check_control.washer_fluid": "low"}
    assert stage.every(range(5, 60, 5), shown) == ["20: raised info check_control washer_fluid"]
    assert alert_of(stage.records[0]).text.startswith("The car says: washer fluid (low).")
    gone = stage.every(range(60, 120, 5), {"check_control.washer_fluid": None})
    assert gone == ["75: cleared info check_control washer_fluid"]
    assert stage.every(range(120, 180, 5), shown) == ["135: raised info check_control washer_fluid"]


def test_a_message_that_flickers_is_told_once() -> None:
    stage = Stage()
    told = []
    for minute in range(0, 300, 5):
        shown = "high" if minute % 15 else None
        told += stage.say(minute, {"check_control.engine": shown})
    assert told in ([], ["raised warning check_control engine"])


def test_a_graver_message_is_told_again() -> None:
    stage = Stage()
    stage.every(range(0, 30, 5), {"check_control.engine": "medium"})
    told = stage.every(range(30, 90, 5), {"check_control.engine": "critical"})
    assert told == ["45: reminded critical check_control engine"]


def test_messages_of_a_source_that_knows_none_stay() -> None:
    """The other source of the car has no messages at all: what it leaves out says nothing."""
    stage = Stage()
    stage.every(range(0, 30, 5), {"check_control.engine": "high"})
    without = {key: value for key, value in stage.readings.items() if not key.startswith("check")}
    for minute in range(30, 120, 5):
        at = NOON + timedelta(minutes=minute)
        assert stage.take(snapshot(at, without, source="home")) == []
    assert stage.raised == ["check_control"]


def test_a_weak_battery_is_told_when_it_stays_weak() -> None:
    stage = Stage()
    stage.say(0, {"aux_battery_volts": 12.6})
    assert stage.every(range(5, 30, 5), {"aux_battery_volts": 11.8}) == []
    assert stage.every(range(30, 40, 5), {"aux_battery_volts": 12.1}) == []
    assert stage.every(range(40, 120, 5), {"aux_battery_volts": 11.8}) == [
        "100: raised warning aux_battery_low"
    ]
    assert stage.every(range(120, 180, 5), {"aux_battery_volts": 12.2}) == []
    assert stage.say(180, {"aux_battery_volts": 14.1}) == ["cleared warning aux_battery_low"]


def test_new_software_is_told_once_by_the_source_that_first_told_of_it() -> None:
    stage = Stage()
    told = []
    for hour in range(20):
        version = "11/2026.50" if hour < 10 else "03/2027.10"
        for source, spelt in (("bmw", version), ("home", f"S18A-{version}")):
            at = NOON + timedelta(hours=hour, seconds=source == "home")
            told += stage.take(snapshot(at, {**stage.readings, "software_version": spelt}, source=source))
    assert told == ["raised info software_changed"]
    assert alert_of(stage.records[0]).text == "It was 11/2026.50 and is 03/2027.10 now."


def test_messages_that_are_gone_do_not_add_up() -> None:
    stage = Stage()
    for number in range(50):
        stage.say(number * 60, {f"check_control.m{number}": "low"})
        stage.readings[f"check_control.m{number}"] = None
    assert sum(key.startswith("check_control") for key in stage.state["known"]["held"]) < 20
