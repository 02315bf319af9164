"""The past in OpenMetrics: what /metrics would have shown, strictly spelt, read beside the daemon."""

from __future__ import annotations

import io
import itertools
import sqlite3
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from poller.cli.main import run
from poller.errors import JournalError
from poller.export.held import Held, Series
from poller.export.openmetrics import export
from poller.journal.base import Entry, Policy
from poller.journal.history import History
from poller.journal.sqlite import SqliteJournal
from poller.sinks.base import SinkContext
from poller.sinks.prometheus import PrometheusSink, VehicleCollector
from poller.sinks.settings import PrometheusSettings
from poller.testing.clock import ManualClock
from poller.testing.records import START, VIN, record_number, snapshot_number
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record, snapshot_of
from poller.vehicle.signals import CLOSED_DIMENSIONS, SIGNALS, Kind, Signal

CONFIG = '[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n[vehicles.mini]\nvin = "{vin}"\n{more}'
SETTINGS = PrometheusSettings(type="prometheus")
ODOMETER = "vehicle_odometer_meters"


def readings() -> dict[str, object]:
    """A value for every signal, in every place."""
    found = {}
    for signal in SIGNALS:
        places = (
            CLOSED_DIMENSIONS.get(signal.dimension, {"oil", "brake_fluid"}) if signal.dimension else [None]
        )
        for place in places:
            found[f"{signal.key}.{place}" if place else signal.key] = example(signal)
    return found


def example(signal: Signal) -> object:
    if signal.kind is Kind.NUMBER:
        low, high = signal.bounds
        return low + (high - low) * 0.123
    odd = 'quote " back \\ slash'
    return {Kind.BOOL: True, Kind.ENUM: next(iter(signal.states), ""), Kind.TIME: START, Kind.TEXT: odd}[
        signal.kind
    ]


def samples(text: str) -> list[tuple[str, frozenset, float, float | None]]:
    """Name, labels, value, time; the parser refuses what the standard does."""
    return [
        (one.name, frozenset(one.labels.items()), one.value, float(one.timestamp) if one.timestamp else None)
        for family in parse(text)
        for one in family.samples
    ]


def exported(records: Sequence[Record], *, step: float = 300, **labels: str) -> list:
    collector = VehicleCollector("export", Rendering({VIN: "mini"}, "none"), ManualClock(), SETTINGS)
    text = io.StringIO()
    export(records, collector, text, step=step, labels=labels)
    return samples(text.getvalue())


def times(found: list, name: str = ODOMETER) -> list[tuple[float, float]]:
    """(minutes since the start, value) of a metric."""
    begin = START.timestamp()
    return [((at - begin) / 60, value) for one, _, value, at in found if one == name]


async def test_it_is_what_a_scrape_shows(tmp_path) -> None:
    """Every metric, unit, label and value; only `vehicle_up` is not known of the past."""
    record = record_number(0, readings())
    sink = PrometheusSink(
        "prometheus", SETTINGS, SinkContext(ManualClock(), tmp_path, Rendering({VIN: "mini"}, "none"))
    )
    fleet = Fleet()
    fleet.update(snapshot_of(record))
    await sink.publish(fleet.view(VIN))
    scraped = {one[:3] for one in samples(generate_latest(sink.registry).decode())}
    assert {one[:3] for one in exported([record])} == {one for one in scraped if one[0] != "vehicle_up"}
    assert len(scraped) > 100


def test_a_value_holds_until_the_next_poll_and_is_repeated_on_the_way() -> None:
    polls = [record_number(0), record_number(1, {"odometer_km": 1000}), record_number(4)]
    expected = [(0, 1000e3), (6, 1000e3), (12, 1000e3), (18, 1000e3), (20, 1004e3)]
    assert times(exported(polls, step=360)) == expected


def test_what_a_car_does_not_say_any_more_ends_there() -> None:
    found = exported(
        [record_number(0), record_number(1, {"odometer_km": 1001}), record_number(2, {"moving": True})]
    )
    assert times(found, "vehicle_soc_ratio") == [(0, 0.8)]
    assert times(found, ODOMETER) == [(0, 1000e3), (5, 1001e3)]


def test_where_nobody_asked_for_more_than_a_day_there_is_a_gap() -> None:
    day = 24 * 12
    found = times(exported([record_number(0), record_number(2 * day)], step=6 * 3600))
    assert [minute / 60 for minute, _ in found] == [0, 6, 12, 18, 48]


def test_labels_are_added_and_two_sources_make_one_car() -> None:
    polls = [
        record_number(0, {"odometer_km": 7}, source="home"),
        record_number(1, {"soc_percent": 50}, source="bmw"),
    ]
    found = exported(polls, job="poller")
    assert times(found) == [(0, 7000), (5, 7000)]
    assert times(found, "vehicle_soc_ratio") == [(5, 0.5)]
    assert all(("job", "poller") in labels for _, labels, _, _ in found)


async def journal_at(path: Path, entries: Sequence[Entry]) -> SqliteJournal:
    journal = SqliteJournal(path, Policy(), ManualClock(START + timedelta(days=1)))
    await journal.open([])
    for entry in entries:
        await journal.append(entry)
    return journal


def entry(number: int, **of) -> Entry:
    answer, record = snapshot_number(number, **of)
    return Entry(answer=answer, records=[record])


async def test_the_journal_is_read_in_the_order_of_time_while_it_is_written(tmp_path) -> None:
    """What was taken in late comes where it belongs; days are read one by one and block nobody."""
    path = tmp_path / "journal.db"
    journal = await journal_at(path, [entry(n) for n in (5, 2, 900, 7)])
    history = History(path).snapshots()
    seen = [next(history)]
    await journal.append(entry(1800))
    seen += list(history)
    await journal.close()
    assert [(record.received_at - START) // timedelta(minutes=5) for record in seen] == [2, 5, 7, 900]


async def test_from_and_to_are_both_included(tmp_path) -> None:
    path = tmp_path / "journal.db"
    await (await journal_at(path, [entry(n) for n in range(6)])).close()
    since, until = (START + timedelta(minutes=minutes) for minutes in (5, 15))
    found = History(path).snapshots(since, until)
    assert [record.received_at.minute for record in found] == [5, 10, 15]


async def test_what_is_damaged_is_passed_over_and_counted(tmp_path) -> None:
    path = tmp_path / "journal.db"
    await (await journal_at(path, [entry(n) for n in range(3)])).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE records SET data = x'00' WHERE seq = 2")
    history = History(path)
    assert len(list(history.snapshots())) == 2
    assert history.unreadable == 1


async def test_a_journal_of_another_version_is_refused(tmp_path) -> None:
    path = tmp_path / "journal.db"
    await (await journal_at(path, [])).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="another version"):
        list(History(path).snapshots())
    with pytest.raises(JournalError, match="no journal"):
        list(History(tmp_path / "none.db").snapshots())


def test_memory_does_not_grow_with_time() -> None:
    """8,000 changes of one series come back in order, and some kilobytes of them were in memory."""
    series = Series("vehicle_soc_ratio", (("vehicle", "mini"),))
    with Held(hold=10_000) as held:
        tracemalloc.start()
        for number in range(8_000):
            held.show("mini", number * 1000, {series: float(number)})
        held.finish()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        runs = list(held.runs(series))
    assert peak < 60_000
    assert [run.value for run in runs] == list(map(float, range(8_000)))
    assert all(run.end == later.start for run, later in itertools.pairwise(runs))


class Desk:
    """A configuration whose data directory has a journal of three polls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configure("")

    def configure(self, more: str) -> None:
        path = self.folder / "config.toml"
        path.write_text(f'data_dir = "{self.folder}"\n' + CONFIG.format(vin=VIN, more=more))
        path.chmod(0o600)

    def run(self, *arguments: str) -> int:
        return run(["export", "--config", str(self.folder / "config.toml"), *arguments])


@pytest.fixture
async def desk(tmp_path) -> Desk:
    place = {"odometer_km": 1000, "latitude_degrees": 51.5, "longitude_degrees": 0.1}
    journal = await journal_at(tmp_path / "journal.db", [entry(n, readings=place) for n in range(3)])
    await journal.close()
    return Desk(tmp_path)


def test_the_command_writes_to_stdout_and_says_what_it_did(desk, capsys) -> None:
    assert desk.run("--format", "openmetrics", "--label", "job=poller", "--label", "instance=a:1") == 0
    out, err = capsys.readouterr()
    assert f'{ODOMETER}{{instance="a:1",job="poller",vehicle="mini"}} 1000000.0 ' in out
    assert out.endswith("# EOF\n")
    assert "3 snapshots of 1 vehicle" in err
    assert "latitude" not in out


def test_a_sink_that_may_show_positions_lets_them_be_exported(desk, capsys) -> None:
    desk.configure('[sinks.prometheus]\ntype = "prometheus"\nlocation = "exact"\nmax_age = "1h"\n')
    assert desk.run() == 0
    assert "vehicle_latitude_degrees" in capsys.readouterr().out


def test_a_file_is_private_and_never_overwritten(desk, capsys) -> None:
    path = desk.folder / "past.om"
    assert desk.run("--output", str(path), "--from", f"{START:%Y-%m-%dT%H:%M:%SZ}") == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert times(samples(text))[-1] == (10, 1000e3)
    assert desk.run("-o", str(path)) == 1
    assert path.read_text() == text
    assert "exists already" in capsys.readouterr().err


def test_half_a_file_is_not_left_behind(desk, capsys) -> None:
    """The journal fails on the way."""
    with sqlite3.connect(desk.folder / "journal.db") as db:
        db.execute("DROP TABLE records")
    path = desk.folder / "past.om"
    assert desk.run("-o", str(path)) == 1
    assert not path.exists()
    assert "the journal failed" in capsys.readouterr().err


def test_a_reader_that_has_had_enough_is_no_failure(desk) -> None:
    command = f"{sys.executable} -m poller export -c {desk.folder}/config.toml --step 1"
    piped = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_all_mistakes_are_named_at_once(desk, capsys) -> None:
    wrong = ["--from", "soon", "--to", "late", "--step", "0", "--label", "Job", "--label", "vehicle=x"]
    assert desk.run(*wrong) == 2
    error = capsys.readouterr().err
    assert [word in error for word in ("--from", "--to", "--step", "'Job'", "vehicle is")] == [True] * 5


def test_an_empty_time_is_no_failure(desk, capsys) -> None:
    later = (START + timedelta(days=9)).astimezone(UTC).isoformat()
    assert desk.run("--from", later) == 0
    out, err = capsys.readouterr()
    assert (out, "no snapshot" in err) == ("# EOF\n", True)
