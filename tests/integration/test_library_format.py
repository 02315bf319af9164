"""``format = "bimmerconnected"`` on the road: from a source by the journal to files, Axiom and the owner."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from library_cars import CASES, differences, own_cars

from poller.cli.main import run
from poller.deliver import Delivery
from poller.errors import ConfigError
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.library.offer import Offer
from poller.runtime.metrics import Metrics
from poller.settings import load
from poller.simulator.axiom import TOKEN, FakeAxiom
from poller.simulator.server import serve
from poller.sinks.axiom import AxiomSink
from poller.sinks.axiom.event import MAX_FIELDS, event_of
from poller.sinks.base import SinkContext
from poller.sinks.json_files.layouts import DailyLayout
from poller.sinks.settings import AxiomSettings, JsonFilesSettings
from poller.sources.library_json import understand
from poller.testing.leaping import LeapingClock
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_record
from poller.vehicle.snapshot import SnapshotBuilder

HEAD = """
data_dir = "data"
[web]
listen = ""
[display]
timezone = "UTC"
units = "{units}"
[sources.dumps]
type = "recorded"
directory = "dumps"
[vehicles.own]
vin = "WBA00000000LIB005"
"""
FILES = '[sinks.files]\ntype = "json_files"\nformat = "bimmerconnected"\ndirectory = "out"\n'
CARS = {car.name: car for car in own_cars()}
HYBRID = CARS["plug_in_hybrid"]
STATUS = "vehicle", "status", "--config"


class House:
    """A configuration in a folder of its own, and what the poller leaves there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"

    def configure(self, more: str = FILES, units: str = "metric") -> None:
        self.config.write_text(HEAD.format(units=units) + more)
        self.config.chmod(0o600)

    def take_in(self, *names: str) -> None:
        for name in names:
            target = self.folder / "dumps" / name
            target.mkdir(parents=True)
            for path in (CASES / name).iterdir():
                (target / path.name).write_bytes(path.read_bytes())

    def once(self) -> None:
        assert run(["once", "--config", str(self.config)]) == 0

    def written(self) -> list[dict[str, Any]]:
        lines = []
        for path in sorted((self.folder / "data" / "out").rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                lines += (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def as_fetched(name: str) -> dict[str, Any]:
    """What is expected of a car, read at its own time: that of BMW's fetch."""
    return CARS[name].expected


def apart_from_the_clock(wanted: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """The road reads an answer as at its own time, a second before that of the expected files."""
    moved = {".data.fetched_at", ".climate.activity_end_time", ".fuel_and_battery.charging_end_time"}
    return [line for line in differences(wanted, ours) if line.partition(":")[0] not in moved]


@pytest.mark.parametrize("layout", ["snapshot", "daily"])
def test_files_hold_the_librarys_keys_and_nothing_else(house, layout) -> None:
    house.configure(f'{FILES}layout = "{layout}"\n')
    names = ("plug_in_hybrid", "electric_charging", "combustion_all_open", "words_nobody_has_seen")
    house.take_in(*names)
    house.once()
    written = {vehicle["vin"]: vehicle for vehicle in house.written()}
    assert len(written) == len(names)
    for name in names:
        expected = as_fetched(name)
        assert apart_from_the_clock(expected, written[expected["vin"]]) == []


def test_a_day_file_has_each_snapshot_once_however_often_it_is_sent(house) -> None:
    house.configure(f'{FILES}layout = "daily"\n')
    house.take_in("plug_in_hybrid", "electric_charging")
    house.once()
    first = house.written()
    assert run(["resend", "--sink", "files", "--from", "2026-01-01", "--config", str(house.config)]) == 0
    house.once()
    assert house.written() == first
    assert len(first) == 2


def test_a_day_that_is_not_over_has_each_snapshot_once_after_a_restart(tmp_path) -> None:
    """Lines have no id in this form: they are told apart by their text."""
    record = snapshot_record(SnapshotBuilder("bmw", "WBA00000000LIB005", HYBRID.at).build(), HYBRID.answer())
    rendered = Offer(Rendering({})).render(record, HYBRID.answer())
    for _ in range(3):
        assert DailyLayout(tmp_path, 0o640).write([rendered, rendered]) == 2
    [path] = tmp_path.rglob("*.ndjson")
    assert path.read_text().count("\n") == 1


def test_files_follow_location_and_vin(house) -> None:
    house.configure(f'{FILES}location = "none"\nvin = "short"\n')
    house.take_in("plug_in_hybrid")
    house.once()
    [vehicle] = house.written()
    text = json.dumps(vehicle)
    assert vehicle["vin"] == vehicle["data"]["vin"] == "0LIB005"
    assert [word for word in ("63.82", "20.26", "Storgatan", "WBA00000000", "271") if word in text] == []


def test_files_can_go_without_bmws_own_answers(house) -> None:
    house.configure(f"{FILES}data = false\n")
    house.take_in("plug_in_hybrid")
    house.once()
    [vehicle] = house.written()
    assert list(vehicle) == [key for key in HYBRID.expected if key != "data"]


def test_the_owners_units_are_the_older_releases(house) -> None:
    house.configure(units="imperial")
    house.take_in("plug_in_hybrid")
    house.once()
    [vehicle] = house.written()
    assert vehicle["mileage"] == [14575, "mi"]
    assert vehicle["fuel_and_battery"]["remaining_fuel"] == [8, "gal"]
    assert vehicle["data"]["is_metric"] is False
    assert vehicle["data"]["state"]["currentMileage"] == 14575


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("own", 0), ("OWN", 0), ("wba00000000lib005", 0), ("0lib005", 0), ("0LIB001", 0), ("x", 2)],
)
def test_the_owner_sees_what_the_journal_holds(house, wanted, code, capsys) -> None:
    house.configure()
    house.take_in("plug_in_hybrid", "electric_charging")
    house.once()
    capsys.readouterr()
    assert run([*STATUS, str(house.config), "--format", "bimmerconnected", "--vin", wanted]) == code
    out = capsys.readouterr().out
    if code == 0:
        name = "electric_charging" if wanted == "0LIB001" else "plug_in_hybrid"
        assert apart_from_the_clock(as_fetched(name), json.loads(out)) == []
        assert json.loads(out)["vehicle_location"]["location"] == {
            "latitude": 63.82471,
            "longitude": 20.26309,
        }


def test_the_owner_gets_a_table_records_or_a_list(house, capsys) -> None:
    house.configure()
    (house.folder / "dumps").mkdir()
    house.once()
    capsys.readouterr()
    assert run([*STATUS, str(house.config)]) == 0
    assert "Nothing was heard of any vehicle yet" in capsys.readouterr().out
    house.take_in("plug_in_hybrid", "electric_charging")
    house.once()
    capsys.readouterr()
    assert run([*STATUS, str(house.config)]) == 0
    table = capsys.readouterr().out
    assert "own (555e), VIN WBA00000000LIB005" in table
    assert any(line.split() == ["Mileage", "23,456", "km"] for line in table.splitlines())
    assert run([*STATUS, str(house.config), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert {record["vehicle"] for record in records} == {"own", "0lib001"}
    assert all(record["readings"]["latitude_degrees"] == 63.82471 for record in records)
    assert run([*STATUS, str(house.config), "-j", "--format", "bimmerconnected"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_what_is_for_captured_answers_alone_is_refused(house, capsys) -> None:
    house.configure()
    assert run([*STATUS, str(house.config), "--at", "2026-01-01", "--region", "china"]) == 2
    err = capsys.readouterr().err
    assert "--at: only with --answers" in err
    assert "--region: only with --answers" in err


def test_when_the_answer_is_gone_the_readings_serve() -> None:
    """A newest snapshot and a dead letter outlive the day of their answer."""
    at = datetime(2026, 5, 6, 7, 8, 9, 250_000, tzinfo=UTC)
    builder = SnapshotBuilder("bmw", "WBA00000000000001", at, at)
    builder.put("odometer_km", 1234)
    builder.put("soc_percent", 56.7)
    record = snapshot_record(builder.build(), HYBRID.answer())
    keys = Offer(Rendering({})).keys_of(record, None)
    assert "data" not in keys
    assert keys["mileage"] == [1234, "km"]
    assert keys["fuel_and_battery"]["remaining_battery_percent"] == 56


def flat(value: Any, path: str = "") -> set[str]:
    """Names of fields as Axiom counts them: objects are taken apart, lists are not."""
    if isinstance(value, dict):
        return set().union(*(flat(item, f"{path}.{key}") for key, item in value.items())) if value else set()
    return {path}


def test_axioms_events_have_few_fields_and_an_envelope() -> None:
    names: set[str] = set()
    for car in CARS.values():
        record = snapshot_record(SnapshotBuilder("bmw", car.answer().vin, car.at).build(), car.answer())
        event = event_of(Offer(Rendering({}), data=False).render(record, car.answer()))
        assert event["_time"] == event_of(Offer(Rendering({})).render(record, car.answer()))["_time"]
        assert {"id", "_time", "vehicle"} == event.keys() - car.expected.keys()
        assert event["id"] == record.id
        names |= flat(event)
    assert len(names) <= MAX_FIELDS


@pytest.mark.parametrize(
    "more", ['kinds = ["alert"]\n', 'kinds = ["snapshot", "trip"]\n', 'format = "xml"\n']
)
def test_a_format_that_cannot_be_is_refused(house, more) -> None:
    house.configure(
        (FILES if "format" not in more else FILES.replace('format = "bimmerconnected"\n', "")) + more
    )
    with pytest.raises(ConfigError):
        load(house.config, environ={"HOME": str(house.folder)})


async def test_axiom_gets_the_events_of_the_shell_loop(tmp_path) -> None:
    """Over HTTP, in batches, made ready ahead of time: key by key, with the envelope."""
    clock = LeapingClock()
    axiom = FakeAxiom(clock=clock)
    journal = SqliteJournal(tmp_path / "journal.db", Policy(), clock)
    await journal.open(["axiom"])
    car, rendering = CARS["electric_charging"], Rendering({}, location="rounded")
    answer = car.answer()
    for number in range(7):
        one = replace(answer, received_at=car.at + number * timedelta(minutes=5))
        await journal.append(Entry(answer=one, records=[snapshot_record(understand(one, UTC), one)]))
    async with serve(axiom) as url:
        table = {"url": url, "dataset": "cars", "token": TOKEN, "format": "bimmerconnected", "batch_size": 3}
        settings = AxiomSettings.model_validate({"type": "axiom", **table})
        sink = AxiomSink("axiom", settings, SinkContext(clock, tmp_path, rendering))
        offer = Offer(rendering, data=settings.data)
        loop = Delivery("axiom", sink, journal, clock, rendering, settings, Metrics(), offer=offer)
        assert await loop.drain()
        await sink.close()
    await journal.close()
    assert len(axiom.events) == len({event["id"] for event in axiom.events}) == 7
    first = axiom.events[0]
    assert (first["_time"], first["vehicle"]) == ("2026-05-06T07:08:10.000Z", "0lib001")
    expected = {key: value for key, value in car.expected.items() if key != "data"}
    rough = {"location": {"latitude": 63.82, "longitude": 20.26}}
    expected["vehicle_location"] = {**expected["vehicle_location"], **rough}
    assert list(differences(expected, {key: first[key] for key in expected})) == []
    assert first.keys() - expected.keys() == {"_time", "id", "vehicle"}


def test_axiom_leaves_data_out_unless_asked() -> None:
    axiom = AxiomSettings(type="axiom", dataset="cars", token="xaat-1", format="bimmerconnected")
    assert (axiom.data, axiom.kinds) == (False, ("snapshot",))
    assert JsonFilesSettings(type="json_files", format="bimmerconnected").data is True
    assert JsonFilesSettings(type="json_files").kinds == ()
