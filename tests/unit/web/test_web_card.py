"""One vehicle as the page shows it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from poller.derive.alerts.upkeep import _NAMES as OF_ALERTS
from poller.runtime.status import QuotaStatus
from poller.vehicle.display import Display, service_words
from poller.web.card import card_of
from poller.web.known import Known


def card(stage, *, status=None, units="metric", named=True):
    known = Known(stage.fleet.view(stage.vin), status or stage.status())
    return card_of(known, Display(units, ZoneInfo("Europe/London")), slug="mini", named=named)


def facts(stage, **more):
    return {fact.label: fact for fact in card(stage, **more).facts}


def test_a_named_car_is_titled_by_its_name_another_by_its_model(stage):
    stage.car(model="Cooper SE", brand="mini", year="2022")
    named = card(stage)
    assert (named.title, named.subtitle) == ("mini", "MINI Cooper SE · 2022")
    other = card(stage, named=False)
    assert (other.title, other.subtitle) == ("MINI Cooper SE", "2022 · mini")


def test_a_car_of_which_little_is_known_has_a_short_card(stage):
    """Absent is absent: nothing is shown as 0, closed or no."""
    stage.car(odometer_km=5)
    shown = card(stage, named=False)
    assert (shown.title, shown.gauges, shown.chips) == ("mini", [], [])
    assert [fact.label for fact in shown.facts] == ["Mileage"]


def test_freshness_tells_the_cars_time_from_ours(stage):
    stage.car(2, 12, soc_percent=62)
    assert card(stage).freshness == ["car reported 12 min ago", "we asked 2 min ago"]


def test_a_failed_poll_is_told_beside_the_old_values(stage):
    stage.car(4, 12, soc_percent=62)
    stage.fleet.mark_failed(stage.vin, "bmw")
    assert card(stage).freshness[-1] == "the last try failed"


def test_an_electric_car_has_one_gauge_with_its_target(stage):
    stage.car(soc_percent=62, soc_target_percent=80, range_total_km=134)
    [gauge] = card(stage).gauges
    assert (gauge.amount.text, gauge.percent, gauge.target, gauge.range.text) == ("62 %", 62, 80, "134 km")


def test_a_plug_in_hybrid_has_two(stage):
    stage.car(
        soc_percent=9,
        range_electric_km=4,
        fuel_percent=55,
        fuel_liters=22,
        range_fuel_km=380,
        range_total_km=384,
    )
    charge, fuel = card(stage, units="uk").gauges
    assert (charge.amount.text, charge.range.text, charge.amount.tone) == ("9 %", "2 mi", "warn")
    assert (fuel.amount.text, fuel.range.text) == ("22 l", "236 mi")


def test_a_petrol_car_without_a_level_has_litres_and_no_bar(stage):
    stage.car(fuel_liters=40, range_total_km=510)
    [gauge] = card(stage).gauges
    assert (gauge.amount.text, gauge.percent, gauge.range.text) == ("40 l", None, "510 km")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"charging": True, "plugged": True}, ["Charging"]),
        ({"plugged": True, "charging_state": "target_reached"}, ["Plugged in, target reached"]),
        ({"plugged": True, "charging_state": "not_charging"}, ["Plugged in"]),
        ({"plugged": True, "charging_state": "unknown"}, ["Plugged in"]),
        ({"moving": True, "locked": True}, ["Driving"]),
        ({"locked": False, "lock_state": "partially_locked"}, ["Partially locked"]),
        ({"locked": False}, ["Unlocked"]),
    ],
)  # fmt: skip
def test_what_goes_on_is_said_at_the_top(stage, values, texts):
    stage.car(**values)
    assert [chip.text for chip in card(stage).chips] == texts


def test_charging_says_power_target_and_end(stage):
    stage.car(charging=True, charging_power_watts=7350, soc_target_percent=80, charging_end_at=stage.ago(-84))
    assert facts(stage)["Charging"].text == "7.3 kW to 80 %, done at 15:24"


def test_charging_without_particulars_is_just_charging(stage):
    stage.car(charging=True)
    assert facts(stage)["Charging"].text == "yes"


def test_open_things_are_named_and_stand_out(stage):
    stage.car(door_open__front_left=True, door_open__rear_left=False, window_open__rear=True, trunk_open=True)
    fact = facts(stage)["Doors, windows"]
    assert (fact.text, fact.tone) == ("open: front left door, rear window, trunk", "warn")


def test_closed_things_are_one_word(stage):
    stage.car(door_open__front_left=False, hood_open=False)
    assert facts(stage)["Doors, windows"].text == "all closed"


def test_the_most_urgent_service_comes_first(stage):
    far, near = stage.ago(-60 * 24 * 300), stage.ago(-60 * 24 * 28)
    stage.car(service_due_at__oil=far, service_due_at__brake_fluid=near, service_state__oil="ok")
    assert facts(stage)["Next service"].text == "brake fluid Dec 2026"
    stage.car(
        service_due_at__oil=far,
        service_state__oil="overdue",
        service_due_km__oil=400,
        service_due_at__brake_fluid=near,
    )
    fact = facts(stage)["Next service"]
    assert (fact.text, fact.tone) == ("engine oil Sep 2027 or in 400 km (overdue)", "bad")


def test_a_service_has_the_name_that_its_alert_has_too(stage):
    """BMW's own, "vehicle tuv", says nothing to an owner."""
    for name, told in OF_ALERTS.items():
        assert service_words(name) == told
    stage.car(service_due_at__vehicle_tuv=stage.ago(-60 * 24 * 28))
    assert facts(stage)["Next service"].text == "general inspection Dec 2026"
    labels = [fact.label for group in card(stage).groups for fact in group.facts]
    assert [label for label in labels if label.endswith(", general inspection")]


def test_messages_are_sorted_by_how_bad_they_are(stage):
    stage.car(check_control__washer_fluid="low", check_control__tire_pressure="critical")
    fact = facts(stage)["Messages"]
    assert (fact.text, fact.tone) == ("tire pressure (critical), washer fluid (low)", "bad")


def test_tyres_are_told_by_axle_and_a_low_one_is_named(stage):
    pressures = {"front_left": 230, "front_right": 240, "rear_left": 250, "rear_right": 190}
    values = {f"tire_pressure_kpa__{place}": kpa for place, kpa in pressures.items()}
    targets = {f"tire_pressure_target_kpa__{place}": 250 for place in pressures}
    stage.car(**values, **targets)
    fact = facts(stage)["Tyres"]
    assert (fact.text, fact.tone) == ("front 2.3 / 2.4, rear 2.5 / 1.9 bar; rear right low", "warn")
    assert facts(stage, units="imperial")["Tyres"].text == "front 33 / 35, rear 36 / 28 psi; rear right low"


def test_an_idle_climate_is_not_worth_a_line(stage):
    stage.car(climate_state="inactive")
    assert facts(stage) == {}
    stage.car(climate_state="heating", climate_end_at=stage.ago(-20))
    assert facts(stage)["Climate"].text == "heating until 14:20"


def test_a_value_the_car_has_not_renewed_for_a_day_looks_old(stage):
    stage.car(2, 12, soc_percent=62, odometer_km=(28412, 60 * 25))
    assert not card(stage).gauges[0].amount.old
    mileage = facts(stage)["Mileage"]
    assert (mileage.old, mileage.age) == (True, "25 h ago")


def test_what_changes_by_itself_is_old_after_an_hour(stage):
    stage.car(2, 90, charging=True, odometer_km=5)
    assert facts(stage)["Charging"].old
    assert not facts(stage)["Mileage"].old


def test_everything_looks_old_when_nobody_could_be_asked(stage):
    stage.car(40, 45, soc_percent=62, locked=True)
    shown = card(stage)
    assert shown.stale == "No answer for 40 min. This is what was last known."
    assert all(fact.old for fact in (*shown.facts, *(gauge.amount for gauge in shown.gauges)))
    assert all(fact.old for group in shown.groups for fact in group.facts)


def test_a_car_that_another_source_still_knows_is_not_stale(stage):
    stage.car(40, 45, soc_percent=62)
    stage.car(2, 3, source="home", odometer_km=5)
    status = stage.status(sources=[stage.source(), stage.source(name="home")])
    assert card(stage, status=status).stale == ""


def test_a_car_whose_source_left_the_configuration_says_so(stage):
    stage.car(2, 3, source="gone", soc_percent=62)
    assert card(stage).stale.startswith("No source asks for this car any more")


def test_every_reading_is_in_the_list_but_positions(stage):
    stage.car(2, 12, soc_percent=(62, 30), latitude_degrees=48.1, door_open__front_left=True, model="i4")
    groups = {group.title: group.facts for group in card(stage).groups}
    assert list(groups) == ["Battery and charging", "Doors, windows, locks", "What the car is"]
    [charge] = groups["Battery and charging"]
    assert (charge.label, charge.text, charge.age) == ("Charge", "62 %", "30 min ago")
    assert groups["Doors, windows, locks"][0].label == "Door open, front left"


def test_the_list_names_sources_only_where_there_are_several(stage):
    stage.car(soc_percent=62)
    assert not card(stage).shared
    stage.car(1, 1, source="home", odometer_km=5)
    assert card(stage).shared


def test_values_of_one_card_look_as_old_as_each_is(stage):
    """A merged state holds what came a minute ago beside what came last month."""
    day = 60 * 24
    stage.car(
        2,
        1,
        soc_percent=(62, 1),
        range_electric_km=(301, 2 * day),
        locked=(True, 5 * 60),
        odometer_km=(45123, 40 * day),
        moving=(True, 90),
        tire_pressure_kpa__front_left=(240, 6 * day),
    )
    shown, told = card(stage), facts(stage)
    [gauge] = shown.gauges
    assert (gauge.amount.old, gauge.amount.age) == (False, "")
    assert (gauge.range.old, gauge.range.age) == (True, "2 days ago")
    assert (told["Locks"].old, told["Locks"].age) == (False, "5 h ago")
    assert (told["Mileage"].old, told["Mileage"].age) == (True, "40 days ago")
    assert (told["Tyres"].old, told["Tyres"].age) == (True, "6 days ago")
    [driving] = shown.chips
    assert driving.old
    ages = {fact.label: (fact.old, fact.age) for group in shown.groups for fact in group.facts}
    assert ages["Charge"] == (False, "1 min ago")
    assert ages["Mileage"] == (True, "40 days ago")


def test_each_reading_names_the_way_by_which_it_came(stage):
    stage.car(2, 1, source="home", soc_percent=62, locked=True)
    ways = {"home": {"soc_percent": "stream", "locked": "rest"}}
    known = Known(stage.fleet.view(stage.vin), stage.status(sources=[stage.source(name="home")]), ways)
    shown = card_of(known, Display("metric", ZoneInfo("Europe/London")), slug="mini", named=True)
    assert shown.shared
    whence = {fact.label: fact.source for group in shown.groups for fact in group.facts}
    assert whence == {"Charge": "home, stream", "Locked": "home, rest"}


def test_a_metered_source_looks_more_often_than_it_asks(stage):
    stage.car(2, 12, source="home", soc_percent=62)
    status = stage.status(sources=[stage.source(name="home", quota=QuotaStatus(50, 38))])
    assert card(stage, status=status).freshness == ["car reported 12 min ago", "we looked 2 min ago"]
