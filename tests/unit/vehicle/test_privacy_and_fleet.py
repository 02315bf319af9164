"""What a reader may see, and what is shown as the newest."""

from datetime import UTC, datetime, timedelta

import pytest

from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record, dumps
from poller.vehicle.snapshot import Reading, Snapshot

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
VIN = "WMW00000000000001"
READINGS = {
    "soc_percent": 80,
    "latitude_degrees": 51.123456,
    "longitude_degrees": -1.98765,
    "heading_degrees": 90,
}


def record(**changes):
    return Record("ab" * 16, "snapshot", VIN, "bmw", NOON, NOON, {"readings": READINGS}, **changes)


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("exact", READINGS),
        ("rounded", READINGS | {"latitude_degrees": 51.12, "longitude_degrees": -1.99}),
        ("none", {"soc_percent": 80}),
    ],
)
def test_position_goes_as_far_as_allowed(location, kept):
    assert Rendering({}, location=location).render(record())["readings"] == kept


@pytest.mark.parametrize("mode", ["short", "hash"])
def test_the_whole_vin_appears_nowhere_unless_allowed(mode):
    assert VIN not in dumps(Rendering({}, vin=mode, key=b"k").render(record()))


def test_hashing_hides_the_last_seven_too_unless_the_owner_chose_a_name():
    hidden = Rendering({}, vin="hash", key=b"k")
    assert VIN[-7:].lower() not in dumps(hidden.render(record())).lower()
    assert Rendering({VIN: "mini"}, vin="hash", key=b"k").slug(VIN) == "mini"


@pytest.mark.parametrize("vin", ["../../etc", "a/b", "", "..", "WMW\0 0001"])
def test_a_vendors_text_cannot_leave_its_folder(vin):
    slug = Rendering({}).slug(vin)
    assert slug
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_hash_is_stable_and_differs_between_installations():
    one, two = Rendering({}, vin="hash", key=b"1"), Rendering({}, vin="hash", key=b"2")
    assert one.shown_vin(VIN) == one.shown_vin(VIN) != two.shown_vin(VIN)


def test_the_envelope_comes_first_and_in_the_documented_order():
    keys = list(Rendering({}).render(record(replayed=True, revision=2)))
    assert keys == [
        "id", "kind", "schema", "vehicle", "vin", "source", "observed_at", "received_at", "revision",
        "replayed", "readings",
    ]  # fmt: skip


def test_the_key_is_not_printed():
    assert "secret" not in repr(Rendering({}, key=b"secret"))


def snapshot(minutes=0, source="bmw", **readings):
    at = NOON + timedelta(minutes=minutes)
    return Snapshot(source, VIN, at, at, {key: Reading(value, at) for key, value in readings.items()})


def test_an_older_snapshot_never_replaces_a_newer_one():
    fleet = Fleet()
    assert fleet.update(snapshot(5, soc_percent=79))
    assert not fleet.update(snapshot(0, soc_percent=80))
    assert fleet.view(VIN).readings["soc_percent"][0].value == 79


def test_what_the_newer_answer_does_not_say_is_gone():
    """The library keeps such values for ever: a charging end three days after unplugging."""
    fleet = Fleet()
    fleet.update(snapshot(0, soc_percent=80, charging=True))
    fleet.update(snapshot(5, soc_percent=81))
    assert set(fleet.view(VIN).readings) == {"soc_percent"}


def test_a_failed_poll_keeps_the_values_and_says_so():
    fleet = Fleet()
    fleet.update(snapshot(0, soc_percent=80))
    fleet.mark_failed(VIN, "bmw")
    mark = fleet.view(VIN).sources["bmw"]
    assert (mark.up, mark.last_success_at) == (False, NOON)
    assert fleet.view(VIN).readings


def test_a_vanished_vehicle_vanishes_when_its_last_source_drops_it():
    fleet = Fleet()
    fleet.update(snapshot(0, soc_percent=80))
    fleet.update(snapshot(0, source="dumps", odometer_km=9))
    fleet.retire(VIN, "bmw")
    assert set(fleet.view(VIN).readings) == {"odometer_km"}
    fleet.retire(VIN, "dumps")
    assert fleet.views() == ()
