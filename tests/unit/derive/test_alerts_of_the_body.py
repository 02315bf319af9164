"""Windows, doors, locks and tyres: what is told, when, and in which words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alert_stage import NOON, VIN, Stage, snapshot

from poller.derive.alerts.settings import OwnAlerts
from poller.vehicle.alert import alert_of

OPEN = {"window_open.front_left": True, "locked": False}
SHUT = {"window_open.front_left": False, "locked": True}
NEVER = ["unlocked"]  # of no interest where windows are


def test_a_window_is_told_after_ten_minutes_once_and_its_end() -> None:
    stage = Stage(off=NEVER)
    assert stage.say(0) == []
    assert stage.every(range(5, 65, 5), OPEN) == ["15: raised warning window_open"]
    assert stage.raised == ["window_open"]
    assert stage.say(70, SHUT) == ["cleared warning window_open"]
    assert stage.every(range(75, 200, 5)) == []
    raised, cleared = (alert_of(record) for record in stage.records)
    assert raised.title == "MINI: a window is open"
    assert raised.text == "The front left window has been open for 10 minutes while the car is parked."
    assert raised.vin == VIN
    assert cleared.text == "All windows are closed again."
    assert cleared.cleared_at == NOON + timedelta(minutes=70)
    assert cleared.raised_at == raised.raised_at == NOON + timedelta(minutes=15)


def test_of_a_locked_car_it_is_told_after_two() -> None:
    stage = Stage()
    stage.say(0)
    assert stage.every(range(1, 6), {**OPEN, "locked": True}) == ["3: raised warning window_open"]
    assert alert_of(stage.records[0]).text.endswith("although the car is locked.")


def test_a_traffic_jam_is_no_parking() -> None:
    """Cars lock themselves when they drive; from outside they are secured."""
    stage = Stage()
    stage.say(0, {**OPEN, "locked": True, "lock_state": "locked"})
    jam = [45123, 45124, 45124, 45125, 45126, 45126]
    assert [told for n, km in enumerate(jam, 1) for told in stage.say(5 * n, {"odometer_km": km})] == []
    assert stage.every(range(32, 34), {"lock_state": "secured"}) == ["32: raised warning window_open"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"lock_state": "secured"}, 3),
        ({"lock_state": "locked", "moving": False}, 3),
        ({"lock_state": "locked"}, 11),
    ],
)
def test_a_locked_car_that_may_be_driving_is_given_ten_minutes_and_not_two(said, told) -> None:
    stage = Stage()
    stage.say(0)
    car = {**OPEN, "locked": True, **said}
    assert stage.every(range(1, 13), car) == [f"{told}: raised warning window_open"]


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("sunroof_open", "MINI: the sunroof is open"),
        ("door_open.front_left", "MINI: a door is open"),
        ("hood_open", "MINI: the hood is open"),
        ("trunk_open", "MINI: the trunk is open"),
    ],
)
def test_whatever_else_stands_open_is_told_likewise(key, title) -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    rule = key.partition(".")[0]
    assert stage.every(range(5, 30, 5), {key: True, "locked": False}) == [f"15: raised warning {rule}"]
    assert alert_of(stage.records[0]).title == title
    assert stage.say(30, {key: False}) == [f"cleared warning {rule}"]


def test_four_windows_are_one_message_and_a_fifth_thing_another() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    both = {**OPEN, "window_open.rear_right": True}
    assert stage.every(range(5, 20, 5), both) == ["15: raised warning window_open"]
    alert = alert_of(stage.records[0])
    assert alert.title == "MINI: 2 windows are open"
    assert alert.text.startswith("The front left and rear right windows have been open for 10 minutes")
    assert alert.values["positions"] == ["front_left", "rear_right"]
    assert stage.say(20, {"window_open.rear_right": False}) == []
    assert stage.say(25, {"window_open.front_left": False}) == ["cleared warning window_open"]


def test_a_window_more_is_told_when_it_too_has_been_open_for_so_long() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    stage.every(range(5, 20, 5), OPEN)
    more = stage.every(range(20, 45, 5), {"window_open.rear_right": True})
    assert more == ["30: reminded warning window_open"]


def test_while_it_drives_nothing_is_told_and_the_drive_ends_what_was() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    for minute in range(5, 60, 5):
        assert stage.say(minute, {**OPEN, "odometer_km": 45123 + minute}) == []
    assert stage.every(range(60, 75, 5)) == ["65: raised warning window_open"]
    assert stage.say(75, {"odometer_km": 45190}) == ["cleared warning window_open"]
    assert alert_of(stage.records[-1]).text == "It is being driven again."


def test_a_car_that_says_that_it_moves_is_believed() -> None:
    stage = Stage(off=NEVER)
    stage.say(0, {"moving": True})
    assert stage.every(range(5, 60, 5), OPEN) == []
    assert stage.every(range(60, 80, 5), {"moving": False}) == ["70: raised warning window_open"]


def test_reminders_come_in_growing_gaps_then_daily_while_the_car_speaks() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    told = stage.every(range(5, 60 * 90, 15), OPEN)
    minutes = [int(one.partition(":")[0]) for one in told]
    hours = [round((minute - minutes[0]) / 60) for minute in minutes]
    assert hours == [0, 1, 3, 7, 15, 39, 63, 87]
    assert [one.partition(": ")[2] for one in told[1:]] == ["reminded warning window_open"] * 7
    assert len({record.id for record in stage.records}) == 8


def test_a_car_that_fell_silent_is_not_nagged_about_for_ever() -> None:
    """What it last said may be wrong by now: half a day later nobody is reminded any more."""
    stage = Stage(off=NEVER)
    stage.say(0)
    opened = NOON + timedelta(minutes=5)
    told = stage.every(range(5, 60 * 40, 15), OPEN, observed=opened)
    assert [one.partition(": ")[2].split()[0] for one in told] == [
        "raised",
        "reminded",
        "reminded",
        "reminded",
    ]


def test_without_reminders_there_are_none() -> None:
    stage = Stage(off=NEVER, reminders=())
    stage.say(0)
    assert len(stage.every(range(5, 60 * 50, 30), OPEN)) == 1


def test_an_old_reading_raises_nothing() -> None:
    stage = Stage()
    long_ago = NOON - timedelta(days=2)
    assert stage.every(range(0, 600, 5), OPEN, observed=long_ago) == []
    assert stage.raised == []


def test_the_cars_own_time_counts_so_a_late_look_tells_at_once() -> None:
    stage = Stage(off=NEVER)
    assert stage.say(0, OPEN, observed=NOON - timedelta(hours=2)) == ["raised warning window_open"]
    assert "open for 2 hours" in alert_of(stage.records[0]).text


def test_what_is_not_known_neither_raises_nor_clears() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    stage.every(range(5, 20, 5), OPEN)
    assert stage.every(range(20, 50, 5), {"window_open.front_left": None}) == []
    assert stage.raised == ["window_open"]


def test_unlocked_is_told_unless_somebody_is_busy_at_the_car() -> None:
    stage = Stage(off=["trunk_open"])
    stage.say(0)
    assert stage.every(range(5, 60, 5), {"locked": False, "trunk_open": True}) == []
    assert stage.every(range(60, 80, 5), {"trunk_open": False}) == ["60: raised warning unlocked"]
    assert stage.say(80, {"locked": True}) == ["cleared warning unlocked"]


def test_a_rule_that_is_switched_off_ends_what_it_raised() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    stage.every(range(5, 20, 5), OPEN)
    stage.settings = stage.settings.model_copy(update={"off": ("unlocked", "window_open")})
    assert stage.say(20) == ["cleared warning window_open"]
    assert stage.every(range(25, 60, 5)) == []


def test_a_car_may_have_thresholds_of_its_own() -> None:
    stage = Stage(own=OwnAlerts(open_for="1h", off=("unlocked",)))
    stage.say(0)
    assert stage.every(range(5, 90, 5), OPEN) == ["65: raised warning window_open"]


def tires(front_left: float) -> dict[str, float]:
    found = {f"tire_pressure_target_kpa.{p}": 230 for p in ("front_left", "front_right")}
    return {**found, "tire_pressure_kpa.front_left": front_left, "tire_pressure_kpa.front_right": 228}


def test_a_tyre_that_loses_air_is_told_when_low_and_again_when_flat() -> None:
    stage = Stage()
    stage.say(0, tires(230))
    assert stage.every(range(5, 120, 5), tires(190)) == ["35: raised warning tire_pressure_low"]
    assert alert_of(stage.records[0]).text.startswith("Front left 1.9 bar instead of 2.3 bar.")
    assert stage.every(range(120, 180, 5), tires(200)) == [], "between the thresholds nothing changes"
    assert stage.every(range(180, 300, 5), tires(120)) == ["210: reminded critical tire_pressure_low"]
    assert stage.say(300, tires(229)) == ["cleared critical tire_pressure_low"]


def test_a_cold_or_a_warm_tyre_is_no_news() -> None:
    stage = Stage()
    for minute, kpa in enumerate([230, 215, 200, 215, 260, 285, 230] * 20):
        assert stage.say(minute * 30, tires(kpa)) == []


def test_a_tyre_far_above_its_target_is_a_note() -> None:
    stage = Stage(units="imperial")
    stage.say(0, tires(230))
    assert stage.every(range(5, 60, 5), tires(310)) == ["35: raised info tire_pressure_high"]
    assert "45 psi instead of 33 psi" in alert_of(stage.records[0]).text


def test_two_sources_tell_once() -> None:
    stage = Stage(off=NEVER)
    told = []
    for minute in range(0, 120, 5):
        readings = {**stage.readings, **(OPEN if minute else {})}
        for source, later in (("bmw", 0), ("home", 2)):
            at = NOON + timedelta(minutes=minute, seconds=later)
            told += stage.take(snapshot(at, readings, source=source))
    assert told == ["raised warning window_open", "reminded warning window_open"]


def test_the_newer_of_two_sources_is_believed() -> None:
    """One whose answer is of yesterday must not open a window that the other saw closed."""
    stage = Stage(off=NEVER)
    yesterday = NOON - timedelta(hours=3)
    for minute in range(0, 60, 5):
        at = NOON + timedelta(minutes=minute)
        assert stage.take(snapshot(at, stage.readings, source="bmw")) == []
        stale = {**stage.readings, **OPEN}
        assert stage.take(snapshot(at, stale, source="home", observed=yesterday)) == []


def test_twice_late_or_out_of_order_changes_nothing() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    opened = [snapshot(NOON + timedelta(minutes=m), {**stage.readings, **OPEN}) for m in (5, 10, 15)]
    for shown in (opened[0], opened[0], opened[2], opened[1], opened[2], opened[0]):
        stage.take(shown)
    assert [alert_of(record).state for record in stage.records] == ["raised"]
    closed = snapshot(NOON + timedelta(minutes=8), {**stage.readings, **SHUT})
    assert stage.take(closed) == []


def test_captured_answers_alert_nobody() -> None:
    stage = Stage()
    for minute in range(0, 60, 5):
        at = NOON + timedelta(minutes=minute)
        assert stage.take(snapshot(at, {**stage.readings, **OPEN}, source="dumps")) == []
    assert stage.state == {}


def test_after_the_clock_was_set_back_it_goes_on() -> None:
    stage = Stage(off=NEVER)
    stage.say(0)
    stage.every(range(5, 20, 5), OPEN)
    back = -60 * 24 * 400
    assert stage.say(back) == []
    assert stage.raised == ["window_open"]
    assert stage.say(back + 5, SHUT) == ["cleared warning window_open"]


def test_no_text_holds_a_vin_or_a_position() -> None:
    stage = Stage(named=False, home="48.17718, 11.55672")
    stage.say(0, {"latitude_degrees": 48.17718, "longitude_degrees": 11.55672})
    stage.every(range(5, 60, 5), {**OPEN, "soc_percent": 5})
    told = " ".join(f"{record.body}" for record in stage.records)
    assert len(stage.records) == 3
    assert VIN[-7:] not in told
    assert "48.1" not in told
    assert "48.1" not in str(stage.state)
    assert alert_of(stage.records[0]).title.startswith("MINI Cooper SE: ")


def test_a_state_of_another_form_is_begun_anew() -> None:
    """After an update that keeps it differently; at worst what lasts is told once more."""
    stage = Stage(off=NEVER)
    stage.say(0)
    stage.every(range(5, 20, 5), OPEN)
    stage.state["form"] = 0
    assert stage.every(range(20, 60, 5)) == ["30: raised warning window_open"]


@pytest.mark.parametrize("kilometres", [(45123, 45124), (45124, 45123), (45123.929, 45124), (45123, 45123.4)])
def test_two_sources_that_round_the_odometer_differently_do_not_drive_the_car(kilometres) -> None:
    """Nor does one that is heard for the first time when an alert is raised already."""
    stage = Stage()
    stage.readings |= {"trunk_open": True, "locked": False}
    told = stage.every(range(0, 30, 5), {"odometer_km": kilometres[0]}, source="bmw")
    for minute in range(30, 60, 5):
        whose = ("bmw", kilometres[0]) if minute % 10 else ("home", kilometres[1])
        told += stage.say(minute, {"odometer_km": whose[1]}, source=whose[0])
    assert [line.split(": ")[-1] for line in told] == ["raised warning trunk_open"]


@pytest.mark.parametrize("source", ["bmw", "home"])
def test_a_drive_is_seen_for_all_that_though_two_sources_round(source) -> None:
    """By the source that was heard first at its next word; by the other once it is more than rounding."""
    stage = Stage()
    stage.readings |= {"trunk_open": True, "locked": False}
    told = []
    for minute in range(0, 30, 5):
        told += stage.say(minute, {"odometer_km": 45123.9}, source="bmw")
        told += stage.say(minute + 1, {"odometer_km": 45124}, source="home")
    assert told == ["raised warning trunk_open"]
    told = [
        *stage.say(30, {"odometer_km": 45125}, source=source),
        *stage.say(31, {"odometer_km": 45125}, source=source),
    ]
    told += stage.every(range(35, 50, 5), {"odometer_km": 45125}, source=source)
    assert any("cleared" in line for line in told), told


def test_an_odometer_that_is_told_of_for_the_first_time_is_no_drive() -> None:
    """CarData's values come one by one, each when it changes."""
    stage = Stage()
    stage.readings |= {"trunk_open": True, "locked": False, "odometer_km": None}
    assert stage.every(range(0, 20, 5)) == ["10: raised warning trunk_open"]
    assert stage.every(range(20, 60, 5), {"odometer_km": 45123}) == []


def test_a_short_drive_is_seen_by_the_word_of_the_source_that_was_heard_first() -> None:
    """Though the other told of it before, and later than that one's own time."""
    stage = Stage()
    stage.readings |= {"trunk_open": True, "locked": False}
    assert stage.every(range(0, 20, 5), {"odometer_km": 1000}, source="bmw") != []
    assert stage.say(30, {"odometer_km": 1000.2}, source="home") == []
    assert stage.say(40, {"odometer_km": 1000.9}, source="home") == []
    moved = {"odometer_km": 1001}
    told = [*stage.say(41, moved, source="bmw"), *stage.every(range(45, 60, 5), moved, source="bmw")]
    assert any("cleared" in line for line in told), told


def test_a_clock_that_was_an_hour_ahead_does_not_hide_an_hour() -> None:
    stage = Stage()
    assert stage.say(0) == []
    assert stage.say(59) == []
    assert stage.every(range(0, 20, 5), {"trunk_open": True}) == ["5: raised warning trunk_open"]
