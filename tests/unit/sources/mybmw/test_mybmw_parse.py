"""An answer in, a snapshot out; the table behind it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from poller.errors import MalformedAnswer
from poller.sources.mybmw.meaning.parse import parse
from poller.sources.mybmw.meaning.table import RULES
from poller.sources.mybmw.source import charging_capabilities
from poller.vehicle.answer import Answer
from poller.vehicle.signals import BY_KEY, CLOSED_DIMENSIONS

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
VIN = "WBYTEST0000000001"


def answer(state: bytes, **bodies: bytes) -> Answer:
    return Answer("bmw", "mybmw", VIN, NOW, {"state": state, **bodies})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"state": null}',
        b'{"state": []}',
        b"[" * 200_000,
    ],
)
def test_without_a_state_object_an_answer_is_malformed(body) -> None:
    with pytest.raises(MalformedAnswer) as error:
        parse(answer(body), UTC)
    assert VIN not in str(error.value)


def test_an_answer_without_a_state_body_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        parse(Answer("bmw", "mybmw", VIN, NOW, {"profile": b"{}"}), UTC)


def test_an_empty_state_is_a_snapshot_that_says_nothing() -> None:
    snapshot = parse(answer(b'{"state": {}}'), UTC)
    assert (dict(snapshot.readings), snapshot.observed_at, snapshot.unknown_tokens) == ({}, None, ())


@pytest.mark.parametrize("other", [b"", b"<html>", b"[1]", b"\xff", b"[" * 200_000])
def test_another_body_that_cannot_be_read_costs_only_its_own_signals(other) -> None:
    state = b'{"state": {"currentMileage": 12, "combustionFuelLevel": {"remainingFuelLiters": 3}}}'
    snapshot = parse(answer(state, profile=other, charging_settings=other), UTC)
    assert (snapshot.value("odometer_km"), snapshot.value("fuel_liters")) == (12, 3)


def test_a_number_of_5000_digits_costs_only_itself() -> None:
    """Python's own reader refuses the whole text."""
    state = b'{"state": {"currentMileage": %s, "isDeepSleepModeActive": true}}' % (b"9" * 5000)
    snapshot = parse(answer(state), UTC)
    assert snapshot.value("odometer_km") is None
    assert snapshot.value("deep_sleep") is True


def test_without_the_cars_own_time_there_is_no_observed_at() -> None:
    """`lastFetched` changes with every poll: taking it would make every answer look new."""
    state = b'{"state": {"lastFetched": "2026-03-02T11:59:00Z", "currentMileage": 12}}'
    snapshot = parse(answer(state), UTC)
    assert snapshot.observed_at is None
    assert snapshot.readings["odometer_km"].observed_at is None


def test_a_position_that_makes_no_sense_is_not_told() -> None:
    """Unknown words are logged; half a position is a position."""
    place = {"coordinates": {"latitude": "48.1", "longitude": 11.5}, "heading": 400}
    snapshot = parse(answer(json.dumps({"state": {"location": place}}).encode()), UTC)
    assert snapshot.unknown_tokens == ()


@pytest.mark.parametrize(("latitude", "heading"), [(0, None), (0.0, None), (54.7, 121)])
def test_on_the_null_island_no_car_heads_anywhere(latitude, heading) -> None:
    place = {"coordinates": {"latitude": latitude, "longitude": 0}, "heading": 121}
    snapshot = parse(answer(json.dumps({"state": {"location": place}}).encode()), UTC)
    assert snapshot.value("heading_degrees") == heading


def test_nothing_is_kept_from_one_answer_to_the_next() -> None:
    """A long-lived library keeps what is absent from a newer answer."""
    before = parse(answer(b'{"state": {"checkControlMessages": [{"type": "OIL", "severity": "LOW"}]}}'), UTC)
    after = parse(answer(b'{"state": {"checkControlMessages": []}}'), UTC)
    assert before.value("check_control.oil") == "low"
    assert after.value("check_control.oil") is None


def test_every_rule_is_of_the_catalogue() -> None:
    for rule in RULES:
        signal = BY_KEY[rule.key]
        assert (signal.dimension is not None) == (rule.spread or rule.dimension is not None)
        if rule.dimension is not None:
            assert rule.dimension in CLOSED_DIMENSIONS[signal.dimension]
        assert all(
            path.split(".")[0] in ("state", "profile", "charging_settings", "answer") for path in rule.paths
        )


def test_no_signal_has_two_rules() -> None:
    keys = [(rule.key, rule.dimension) for rule in RULES]
    assert len(set(keys)) == len(keys)


def test_every_signal_that_mybmw_has_is_read() -> None:
    """What the catalogue has and the table has not: known only to CarData."""
    assert set(BY_KEY) - {rule.key for rule in RULES} == {
        "moving",
        "charging_power_watts",
        "battery_capacity_kwh",
        "battery_health_percent",
        "aux_battery_volts",
    }


@pytest.mark.parametrize(
    ("capabilities", "wanted"),
    [
        ({"isChargingPlanSupported": True, "isChargingSettingsEnabled": True}, (True, True)),
        ({"isChargingPlanSupported": True}, (True, False)),
        ({"isChargingSettingsEnabled": True, "isChargingPlanSupported": None}, (False, True)),
        ({"isChargingPlanSupported": "true"}, (False, False)),
        ({}, (False, False)),
        (None, (False, False)),
        ([], (False, False)),
    ],
)
def test_charging_settings_are_asked_for_only_where_the_car_has_them(capabilities, wanted) -> None:
    assert charging_capabilities(json.dumps({"capabilities": capabilities}).encode()) == wanted


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 200_000])
def test_an_unreadable_state_asks_for_no_charging_settings(body) -> None:
    assert charging_capabilities(body) == (False, False)
