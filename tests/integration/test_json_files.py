"""Files on a real disk: names, permissions, crashes, full disks, and what is deleted when."""

from __future__ import annotations

import errno
import gzip
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.deliver import Delivery
from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.journal.base import Entry
from poller.runtime.metrics import Metrics
from poller.sinks.base import SinkContext
from poller.sinks.json_files import JsonFilesSink
from poller.sinks.json_files.sink import DELETED_AT_ONCE
from poller.sinks.settings import JsonFilesSettings
from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.leaping import LeapingClock
from poller.testing.records import START, VIN, record_number
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Record

RENDERING = Rendering({VIN: "mini"})
LAYOUTS = ["snapshot", "daily"]


class Bench:
    """A sink over a folder, and the records to give it."""

    def __init__(self, folder: Path, **values) -> None:
        self.folder = folder
        self.root = folder / values.get("directory", "snapshots")
        self.clock = ManualClock(START)
        self.deleted_at_once = DELETED_AT_ONCE
        self.settings = JsonFilesSettings.model_validate({"type": "json_files", **values})
        self.sink = self.anew()

    def anew(self) -> JsonFilesSink:
        """As after a restart: it remembers nothing."""
        context = SinkContext(self.clock, self.folder, RENDERING)
        self.sink = JsonFilesSink("files", self.settings, context, deleted_at_once=self.deleted_at_once)
        return self.sink

    async def deliver(self, *records: dict) -> None:
        done = 0
        await self.sink.open()
        while done < len(records):
            done += (await self.sink.deliver(records[done:])).done

    def listed(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def lines(self, name: str) -> list[dict]:
        data = (self.root / name).read_bytes()
        return [
            json.loads(line)
            for line in (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()
        ]


def rendered(number: int, readings=None, **of) -> dict:
    return RENDERING.render(record_number(number, readings, **of))


def ids(records) -> list[str]:
    return [record["id"] for record in records]


async def test_a_record_lies_where_the_contract_says(tmp_path) -> None:
    bench = Bench(tmp_path)
    at = datetime(2026, 11, 21, 14, 2, 3, 123000, tzinfo=UTC)
    record = rendered(0, start=at)
    await bench.deliver(record)
    name = f"mini/2026-11-21/20261121T140203.123Z-{record['id'][:8]}.json"
    assert bench.listed() == [name]
    text = (bench.root / name).read_text(encoding="utf-8")
    assert json.loads(text) == record
    assert text.endswith("}\n")


async def test_other_kinds_say_so_in_their_names(tmp_path) -> None:
    bench = Bench(tmp_path)
    record = Record("ab" * 16, "charging_session", VIN, "fake", START, None, {"energy_kwh": 12.5})
    await bench.deliver(RENDERING.render(record))
    assert bench.listed() == ["mini/2026-11-21/20261121T140000.000Z-abababab-charging_session.json"]


async def test_an_absolute_directory_is_used_as_it_is(tmp_path) -> None:
    elsewhere = tmp_path / "else" / "where"
    bench = Bench(tmp_path / "data", directory=str(elsewhere))
    await bench.deliver(rendered(0))
    assert len(list(elsewhere.rglob("*.json"))) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_the_same_record_again_is_the_same_file(tmp_path, layout) -> None:
    bench = Bench(tmp_path, layout=layout)
    records = [rendered(number) for number in range(5)]
    await bench.deliver(*records)
    before = {name: (bench.root / name).read_bytes() for name in bench.listed()}
    bench.anew()
    await bench.deliver(*[{**record, "replayed": True} for record in records])
    assert {name: (bench.root / name).read_bytes() for name in bench.listed()} == before


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_an_amended_record_is_kept_too(tmp_path, layout) -> None:
    """A higher revision replaces its own file, or stands behind the older in the day's."""
    bench = Bench(tmp_path, layout=layout)
    first = Record("ab" * 16, "trip", VIN, "fake", START, None, {"distance_km": 1})
    second = Record("ab" * 16, "trip", VIN, "fake", START, None, {"distance_km": 2}, revision=2)
    await bench.deliver(RENDERING.render(first), RENDERING.render(second))
    (name,) = bench.listed()
    assert bench.lines(name)[-1]["distance_km"] == 2


@pytest.mark.parametrize(
    ("mode", "folder"), [("0640", 0o750), ("0600", 0o700), ("0644", 0o755), ("0400", 0o700)]
)
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_permissions_are_what_the_settings_say_whatever_the_umask(
    tmp_path, layout, mode, folder
) -> None:
    bench = Bench(tmp_path, layout=layout, mode=mode)
    before = os.umask(0o077)
    try:
        await bench.deliver(rendered(0), rendered(1))
    finally:
        os.umask(before)
    for path in [bench.root, *bench.root.rglob("*")]:
        expected = folder if path.is_dir() else int(mode, 8)
        assert stat.S_IMODE(path.stat().st_mode) == expected


@given(st.text(min_size=0, max_size=30), st.sampled_from(LAYOUTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_no_vehicle_can_name_itself_out_of_the_folder(tmp_path, name, layout) -> None:
    """Slugs are safe already; the sink does not rely on it."""
    bench = Bench(tmp_path / "data", layout=layout)
    sink = bench.sink
    sink._write([{**rendered(0), "vehicle": name}])  # no loop inside a property test
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and bench.root not in path.parents]
    assert outside == []
    for path in bench.root.rglob("*.*"):
        assert path.resolve().is_relative_to(bench.root)


# The daily layout.


async def test_a_day_is_one_file_of_lines(tmp_path) -> None:
    bench = Bench(tmp_path, layout="daily")
    records = [rendered(number) for number in range(3)]
    await bench.deliver(*records)
    assert bench.listed() == ["mini/2026-11-21.ndjson"]
    assert bench.lines("mini/2026-11-21.ndjson") == records


async def test_a_torn_last_line_is_cut_off_and_written_again(tmp_path) -> None:
    """A crash in the middle of an append, and then the loop delivers the batch again."""
    bench = Bench(tmp_path, layout="daily")
    records = [rendered(number) for number in range(4)]
    await bench.deliver(*records[:3])
    path = bench.root / "mini/2026-11-21.ndjson"
    whole = path.read_bytes()
    for cut in (1, 40, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        bench.anew()
        await bench.deliver(*records[1:])
        assert bench.lines("mini/2026-11-21.ndjson") == records


async def test_a_day_that_is_over_is_compressed_with_the_next_delivery(tmp_path) -> None:
    bench = Bench(tmp_path, layout="daily")
    records = [rendered(number) for number in range(3)]
    await bench.deliver(*records)
    bench.clock.jump(86_400)
    next_day = rendered(288)
    await bench.deliver(next_day)
    assert bench.listed() == ["mini/2026-11-21.ndjson.gz", "mini/2026-11-22.ndjson"]
    assert bench.lines("mini/2026-11-21.ndjson.gz") == records
    assert stat.S_IMODE((bench.root / "mini/2026-11-21.ndjson.gz").stat().st_mode) == 0o640


async def test_a_late_record_is_merged_into_its_day(tmp_path) -> None:
    bench = Bench(tmp_path, layout="daily")
    records = [rendered(number) for number in range(3)]
    await bench.deliver(*records[:2])
    bench.clock.jump(86_400)
    await bench.deliver(rendered(288))
    await bench.deliver(records[2], records[0])
    assert ids(bench.lines("mini/2026-11-21.ndjson")) == ids(records[2:])
    bench.clock.jump(86_400)
    bench.anew()
    await bench.deliver(rendered(576))
    assert bench.lines("mini/2026-11-21.ndjson.gz") == records
    assert "mini/2026-11-21.ndjson" not in bench.listed()


async def test_a_crash_between_compressing_and_deleting_leaves_nothing_twice(tmp_path) -> None:
    bench = Bench(tmp_path, layout="daily")
    records = [rendered(number) for number in range(3)]
    await bench.deliver(*records)
    plain = bench.root / "mini/2026-11-21.ndjson"
    (bench.root / "mini/2026-11-21.ndjson.gz").write_bytes(gzip.compress(plain.read_bytes()))
    bench.clock.jump(86_400)
    bench.anew()
    await bench.deliver(rendered(288))
    assert bench.lines("mini/2026-11-21.ndjson.gz") == records


async def test_a_line_that_is_no_record_is_kept(tmp_path) -> None:
    """Whatever somebody put there: compressing loses no line."""
    bench = Bench(tmp_path, layout="daily")
    await bench.deliver(rendered(0))
    with (bench.root / "mini/2026-11-21.ndjson").open("a") as file:
        file.write("a note\n")
    bench.clock.jump(86_400)
    bench.anew()
    await bench.deliver(rendered(288))
    packed = gzip.decompress((bench.root / "mini/2026-11-21.ndjson.gz").read_bytes())
    assert packed.endswith(b"a note\n")


async def test_a_damaged_gz_stops_nothing_and_nothing_is_deleted(tmp_path) -> None:
    bench = Bench(tmp_path, layout="daily")
    await bench.deliver(rendered(0))
    (bench.root / "mini/2026-11-21.ndjson.gz").write_bytes(b"\x1f\x8b damaged")
    bench.clock.jump(86_400)
    bench.anew()
    with structlog.testing.capture_logs() as logs:
        await bench.deliver(rendered(1), rendered(288))
    assert ids(bench.lines("mini/2026-11-21.ndjson")) == ids([rendered(0), rendered(1)])
    assert [entry["event"] for entry in logs] == ["tidying.failed"]


# Killed for good.

_WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_json_files import Bench, rendered

async def main():
    bench = Bench(Path(sys.argv[1]), layout=sys.argv[2])
    for number in range(100_000):
        await bench.deliver(rendered(number % 288))
        print(number, flush=True)

asyncio.run(main())
"""


def _write_until_killed(folder: Path, layout: str) -> int:
    """The number of the last record whose delivery had returned."""
    program = _WRITER.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", program, str(folder), layout]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        confirmed = [int(writer.stdout.readline()) for _ in range(40)][-1]
        writer.kill()
    return confirmed


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_kill_9_while_writing_loses_nothing_that_was_confirmed(tmp_path, layout) -> None:
    confirmed = _write_until_killed(tmp_path, layout)
    bench = Bench(tmp_path, layout=layout)
    records = [rendered(number) for number in range(confirmed + 2)]
    await bench.deliver(records[confirmed])
    found = [record for name in bench.listed() if not name.endswith(".tmp") for record in bench.lines(name)]
    assert ids(found)[: confirmed + 1] == ids(records[: confirmed + 1])


# Disks.


async def test_a_file_in_the_way_is_a_matter_of_settings(tmp_path) -> None:
    (tmp_path / "snapshots").write_text("in the way")
    with pytest.raises(SinkMisconfigured) as caught:
        await Bench(tmp_path).sink.open()
    assert caught.value.hint


@pytest.fixture
def tiny(tmp_path):
    """A real file system of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_full_disk_costs_nothing(tiny, layout) -> None:
    """What was confirmed is whole, the rest waits in the journal and arrives when there is room."""
    ballast = tiny / "ballast"
    ballast.write_bytes(b"x" * 200 * 1024)
    clock = LeapingClock()
    journal = MemoryJournal(clock)
    bench = Bench(tiny, layout=layout)
    await journal.open(["files"])
    records = [record_number(n, {"model": "x" * 120, "odometer_km": n + 1}) for n in range(250)]
    await journal.append(Entry(records=records))
    delivery = Delivery("files", bench.sink, journal, clock, RENDERING, bench.settings, Metrics())
    assert not await delivery.drain(patience=120)
    status = delivery.status()
    assert "the disk is full" in status.failure.hint
    assert status.failure.reason == "disk"
    assert status.isolated is None
    backlog = (await journal.backlog("files")).records
    assert 0 < backlog < 250
    found = (
        [record for name in bench.listed() for record in bench.lines(name)] if layout == "snapshot" else []
    )
    assert len(found) == (250 - backlog if layout == "snapshot" else 0)
    ballast.unlink()
    _remount(tiny, "size=4m")
    assert await delivery.drain(patience=30)
    found = [record for name in bench.listed() for record in bench.lines(name)]
    assert ids(found) == [record.id for record in records]
    assert await journal.dead_letters("files") == []


async def test_a_read_only_file_system_is_waited_for(tiny) -> None:
    bench = Bench(tiny)
    await bench.deliver(rendered(0))
    _remount(tiny, "ro")
    with pytest.raises(SinkUnavailable) as caught:
        await bench.sink.deliver([rendered(1)])
    assert "read-only" in caught.value.hint
    _remount(tiny, "rw")
    await bench.deliver(rendered(1))
    assert len(bench.listed()) == 2


async def test_a_write_that_fails_half_way_is_mended_by_the_next(tmp_path) -> None:
    """In the daily layout half a line may be on disk: it must not spoil the file."""
    bench = Bench(tmp_path, layout="daily")
    await bench.deliver(rendered(0))
    path = bench.root / "mini/2026-11-21.ndjson"
    layout = bench.sink._layout

    def torn(_path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data[: len(data) // 2])
        layout._known.pop(path, None)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    layout._append, real = torn, layout._append
    with pytest.raises(SinkUnavailable):
        await bench.sink.deliver([rendered(1)])
    layout._append = real
    await bench.deliver(rendered(1))
    assert bench.lines("mini/2026-11-21.ndjson") == [rendered(0), rendered(1)]


async def test_a_slow_disk_returns_with_what_is_done(tmp_path) -> None:
    """A stop must not wait for five hundred writes: after a second it settles and comes again."""
    bench = Bench(tmp_path)
    await bench.sink.open()
    write = bench.sink._layout.write

    def slow(records):
        bench.clock._move(bench.clock.monotonic() + 0.3)
        return write(records)

    bench.sink._layout.write = slow
    records = [rendered(number) for number in range(10)]
    assert (await bench.sink.deliver(records)).done == 4


# What is deleted.


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_old_files_go_and_nothing_that_is_not_ours(tmp_path, layout) -> None:
    bench = Bench(tmp_path, layout=layout, keep="10d")
    old, young, newest = (START - timedelta(days=days) for days in (11, 9, 0))
    for start in (old, young):
        await bench.deliver(rendered(0, start=start))
    foreign = [
        "mini/notes.txt", "mini/2026-11-10/notes.json", "2026-11-01.ndjson", "mini/2026-11-01.txt",
        "mini/2026-13-45.ndjson", "mini/old/2026-11-01.ndjson",
        "other/2026-11-10/deep/20261110T140000.000Z-aaaaaaaa.json",
    ]  # fmt: skip
    for name in foreign:
        (bench.root / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.root / name).write_text("mine")
    bench.clock.jump(86_400)
    await bench.deliver(rendered(0, start=newest))
    left = [name for name in bench.listed() if name not in foreign]
    assert len(left) == 2
    assert all("11-12" in name or "11-21" in name for name in left)
    assert set(foreign) <= set(bench.listed())


async def test_folders_left_empty_go_too(tmp_path) -> None:
    bench = Bench(tmp_path)
    await bench.deliver(rendered(0, start=START - timedelta(days=3)))
    bench = Bench(tmp_path, keep="1d")
    (bench.root / "mini/2026-11-18/.20261118T140000.000Z-1a2b3c4d.json.0a0b0c0d.tmp").write_text("torn")
    await bench.deliver(rendered(0))
    assert [path.name for path in (bench.root / "mini").iterdir()] == ["2026-11-21"]


async def test_links_are_not_followed(tmp_path) -> None:
    outside = tmp_path / "outside" / "2026-01-01"
    outside.mkdir(parents=True)
    (outside / "20260101T140000.000Z-aaaaaaaa.json").write_text("not ours")
    bench = Bench(tmp_path, keep="1d")
    await bench.sink.open()
    (bench.root / "link").symlink_to(tmp_path / "outside")
    await bench.deliver(rendered(0))
    assert (outside / "20260101T140000.000Z-aaaaaaaa.json").exists()


async def test_without_keep_nothing_is_ever_deleted(tmp_path) -> None:
    bench = Bench(tmp_path)
    await bench.deliver(rendered(0, start=START - timedelta(days=3650)))
    bench.clock.jump(10 * 86_400)
    bench.anew()
    await bench.deliver(rendered(0))
    assert len(bench.listed()) == 2


async def test_a_huge_clean_up_goes_on_with_the_next_delivery(tmp_path) -> None:
    bench = Bench(tmp_path, keep="1d")
    bench.deleted_at_once = 3
    for number in range(8):
        await bench.deliver(rendered(number, start=START - timedelta(days=9)))
    bench.anew()
    left = []
    for number in range(4):
        await bench.deliver(rendered(number))
        left.append(len([name for name in bench.listed() if "2026-11-12" in name]))
    assert left[-1] == 0
