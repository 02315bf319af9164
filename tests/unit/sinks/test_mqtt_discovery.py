"""Topics and Home Assistant's discovery: every signal of the catalogue, as a broker would have it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from home_assistant import DeviceTracker, accepted

from poller.sinks.mqtt.discovery import Announcer
from poller.sinks.mqtt.topics import Names, state, written
from poller.testing.records import VIN, snapshot_number
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_of
from poller.vehicle.signals import CLOSED_DIMENSIONS, SIGNALS, Kind

WHEN = datetime(2027, 3, 1, tzinfo=UTC)
_VALUES = {
    Kind.NUMBER: lambda signal: signal.bounds[0] + 1,
    Kind.BOOL: lambda _: True,
    Kind.ENUM: lambda signal: signal.states[0],
    Kind.TIME: lambda _: WHEN,
    Kind.TEXT: lambda _: "MINI Cooper SE",
}


def everything() -> dict:
    """A value for every signal that there is."""
    found = {}
    for signal in SIGNALS:
        values = CLOSED_DIMENSIONS.get(signal.dimension, ["brake_fluid"]) if signal.dimension else [None]
        for dimension in sorted(values, key=str):
            found[f"{signal.key}.{dimension}" if dimension else signal.key] = _VALUES[signal.kind](signal)
    return found


def view(readings=None, vin=VIN):
    fleet = Fleet()
    fleet.update(snapshot_of(snapshot_number(0, readings or everything(), vin=vin)[1]))
    return fleet.view(vin)


def announcer(location="exact", vin="short", names=None) -> Announcer:
    rendering = Rendering({VIN: "mini"} if names is None else names, location, vin, b"key")
    return Announcer("homeassistant", Names("poller", rendering), "poller_1234")


def entities(of: Announcer, shown=None) -> dict:
    """unique_id → entity, each accepted."""
    shown = shown or view()
    found = {**of.about_poller(), **of.about(shown, frozenset(shown.readings))}
    made = [accepted(topic, payload) for topic, payload in found.items()]
    by_id = {entity.unique_id: entity for entity in made}
    assert len(by_id) == len(made), "unique_ids are unique"
    return by_id


def test_home_assistant_accepts_every_message_and_every_state() -> None:
    """Of each signal of the catalogue; and a topic that was cleared is a value that is not known."""
    topics = state(view(), announcer().names) | {"poller/status": "online"}
    found = entities(announcer())
    assert len(found) > 60
    for entity in found.values():
        topic = entity.json_attributes_topic if isinstance(entity, DeviceTracker) else entity.state_topic
        assert entity.state(topics[topic]) is not None, entity.unique_id
        if topic != "poller/status":
            assert entity.state("") in (None, False, "{}")


@pytest.mark.parametrize("signal", [s for s in SIGNALS if s.kind is Kind.ENUM], ids=lambda s: s.key)
def test_every_state_of_an_enumeration_is_an_option_or_not_known(signal) -> None:
    key = (
        f"{signal.key}.{'front_left' if signal.dimension == 'position' else 'oil'}"
        if signal.dimension
        else signal.key
    )
    (entity,) = [
        e
        for e in entities(announcer(), view({key: signal.states[0]})).values()
        if key.replace(".", "_") in e.unique_id
    ]
    for word in signal.states:
        assert entity.state(word) is not None or word == "unknown"


def test_what_is_measured_has_unit_and_classes() -> None:
    found = entities(announcer())
    soc = found["poller_0000001_soc_percent"]
    assert (soc.device_class, soc.unit_of_measurement, soc.state_class) == ("battery", "%", "measurement")
    odometer = found["poller_0000001_odometer_km"]
    assert (odometer.device_class, odometer.state_class) == ("distance", "total_increasing")
    assert found["poller_0000001_soc_target_percent"].state_class is None
    assert found["poller_0000001_tire_pressure_kpa_front_left"].name == "Tyre pressure front left"
    assert found["poller_0000001_aux_battery_volts"].entity_category == "diagnostic"


def test_a_lock_is_on_when_it_is_open() -> None:
    lock = entities(announcer())["poller_0000001_locked"]
    assert lock.device_class == "lock"
    assert lock.state("true") is False
    assert lock.state("false") is True


def test_a_message_is_a_problem_for_as_long_as_it_is_there() -> None:
    message = entities(announcer(), view({"check_control.oil": "medium"}))["poller_0000001_check_control_oil"]
    assert message.device_class == "problem"
    assert message.state("medium") is True
    assert message.state("") is False


def test_every_entity_of_a_vehicle_is_unavailable_when_the_poller_is_gone() -> None:
    found = entities(announcer())
    poller = found.pop("poller_1234_connection")
    assert poller.state_topic == "poller/status"
    assert {(e.availability_topic, e.payload_available) for e in found.values()} == {
        ("poller/status", "online")
    }


def test_the_device_says_what_it_is() -> None:
    readings = {"model": "Cooper SE", "brand": "MINI", "software_version": "07/2026.30", "soc_percent": 1}
    device = entities(announcer(), view(readings))["poller_0000001_soc_percent"].device
    assert (device.name, device.model, device.manufacturer) == ("mini", "Cooper SE", "MINI")
    assert (device.sw_version, device.via_device) == ("07/2026.30", "poller_1234")
    unnamed = entities(announcer(names={}), view(readings))["poller_0000001_soc_percent"].device
    assert unnamed.name == "Cooper SE"


@pytest.mark.parametrize(
    ("mode", "uid"), [("full", f"poller_{VIN.lower()}"), ("short", "poller_0000001"), ("hash", None)]
)
def test_ids_hold_no_more_of_the_vin_than_the_sink_may_show(mode, uid) -> None:
    of = announcer(vin=mode)
    text = json.dumps({**of.about(view(), frozenset(view().readings)), **state(view(), of.names)})
    assert (VIN in text.upper()) == (mode == "full")
    assert (VIN[-7:] in text) == (mode != "hash")
    assert uid is None or of.uid(VIN) == uid
    assert of.uid(VIN) != of.uid("WBA00000000000002")


def test_ids_stay_when_the_owner_gives_the_car_another_name() -> None:
    """Home Assistant keeps history and names of entities by their unique_id."""
    assert entities(announcer()).keys() == entities(announcer(names={VIN: "cooper"})).keys()
    assert entities(announcer(names={})).keys() == entities(announcer()).keys()


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("exact", {"latitude": 48.123456, "longitude": 11.654321, "heading": 90, "gps_accuracy": 10}),
        ("rounded", {"latitude": 48.12, "longitude": 11.65, "heading": 90, "gps_accuracy": 1000}),
        ("none", None),
    ],
)
def test_the_position_is_as_exact_as_the_sink_may_have_it(location, where) -> None:
    shown = view({"latitude_degrees": 48.123456, "longitude_degrees": 11.654321, "heading_degrees": 90})
    of = announcer(location)
    topics = state(shown, of.names)
    assert json.loads(topics.get("poller/mini/location", "null")) == where
    assert [topic for topic in topics if "degrees" in topic] == []
    trackers = [e for e in entities(of, shown).values() if isinstance(e, DeviceTracker)]
    assert len(trackers) == (0 if where is None else 1)


def test_an_entity_stays_while_its_signal_pauses() -> None:
    of, now = announcer(), view({"soc_percent": 80})
    found = of.about(now, frozenset({"soc_percent", "charging_end_at", "gone_from_the_catalogue"}))
    ids = {accepted(topic, payload).unique_id for topic, payload in found.items()}
    assert "poller_0000001_charging_end_at" in ids
    assert "charging_end_at" not in "".join(state(now, of.names))
    assert not any("gone_from" in one for one in ids)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (80, "80"), (80.0, "80"), (63.5, "63.5"), (45123.4, "45123.4"),
     ("charging", "charging"), (WHEN, "2027-03-01T00:00:00.000Z")],
)  # fmt: skip
def test_values_are_plain_text(value, text) -> None:
    assert written(value) == text


def test_records_of_the_poller_itself_are_below_no_vehicle() -> None:
    names = announcer().names
    assert names.of_record("mini", "alert") == "poller/mini/alert"
    assert names.of_record("", "alert") == "poller/alert"
    rendered = Rendering({}, vin="hash", key=b"key").render(replace(snapshot_number(0)[1], vin=""))
    assert (rendered["vehicle"], rendered["vin"]) == ("", "")
