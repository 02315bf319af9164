"""The recorded source on real folders: dumps of 2023 and 2026, fingerprints, and what goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.errors import JournalError, MalformedAnswer, SourceUnavailable
from poller.simulator.fleet import BMW_VIN, MINI_VIN
from poller.simulator.garage import demo_garage
from poller.sources.base import Answer, Source, SourceContext, Target
from poller.sources.recorded import RecordedSource
from poller.sources.settings import RecordedSettings
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.records import rfc3339, snapshot_record
from poller.vehicle.snapshot import Snapshot

NOW = datetime(2026, 11, 21, 14, tzinfo=UTC)
EARLIER = NOW - timedelta(days=2)


def vehicle(vin: str = MINI_VIN, at: datetime = EARLIER) -> dict:
    """The shape of 2026: what the library prints of a simulated car."""
    garage = demo_garage()
    attributes = json.loads(garage.profile(vin))
    del attributes["vin"]
    data = {
        "attributes": attributes,
        **json.loads(garage.state(vin, at)),
        "vin": vin,
        "fetched_at": at.isoformat(),
    }
    return {"data": {**data, "charging_settings": json.loads(garage.charging(vin, at))}, "vin": vin}


def imperial(at: str = "2023-09-03T19:14:38.181566+00:00") -> dict:
    """The shape of 2023, asked for in miles, as the blog's loop wrote it."""
    state = {
        "isLeftSteering": False,
        "lastFetched": "2023-09-03T19:14:40.086Z",
        "lastUpdatedAt": "2023-09-03T17:41:51Z",
        "range": 136,
        "currentMileage": 11000,
        "doorsState": {"combinedSecurityState": "SECURED", "leftFront": "CLOSED", "rightFront": "CLOSED"},
        "electricChargingState": {
            "chargingLevelPercent": 80, "range": 136, "isChargerConnected": True, "chargingStatus": "INVALID",
        },
    }  # fmt: skip
    attributes = {
        "lastFetched": "2023-09-03T19:14:39.635Z",
        "model": "Cooper SE",
        "year": 2021,
        "brand": "MINI",
        "driveTrain": "ELECTRIC",
    }
    data = {
        "vin": MINI_VIN, "appVehicleType": "CONNECTED", "attributes": attributes,
        "is_metric": False, "fetched_at": at, "state": state, "capabilities": {}, "charging_settings": {},
    }  # fmt: skip
    return {"data": data, "mileage": [11000, "mi"], "vin": MINI_VIN}


class Folder:
    """A folder of dumps, and sources that read it with one memory."""

    def __init__(self, path: Path) -> None:
        self.path = path / "dumps"
        self.path.mkdir()
        self.base = path
        self.memory = DictMemory()
        self.clock = ManualClock(NOW)

    def put(self, name: str, content: object, age: float = 3600) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(body)
        stamp = NOW.timestamp() - age
        os.utime(path, (stamp, stamp))
        return path

    def source(self, directory: str = "dumps", name: str = "dumps", **options) -> RecordedSource:
        settings = RecordedSettings(type="recorded", directory=directory, **options)
        context = SourceContext(self.clock, self.memory, self.base, self.base, ZoneInfo("UTC"))
        return RecordedSource(name, settings, context)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def take_in(source: RecordedSource) -> tuple[list[tuple[Answer, Snapshot]], list[MalformedAnswer]]:
    """One round, as the schedule does it."""
    good, bad = [], []
    for target in await source.targets():
        try:
            answer = await source.fetch(target)
            good.append((answer, source.parse(answer)))
            source.stored(answer)
        except MalformedAnswer as error:
            bad.append(error)
    return good, bad


async def ids(source: RecordedSource) -> list[str]:
    return [snapshot_record(snapshot, answer).id for answer, snapshot in (await take_in(source))[0]]


def test_it_is_a_source(folder) -> None:
    assert isinstance(folder.source(), Source)


async def test_a_mixed_folder_gives_every_answer_in_order_and_names_the_rest(folder) -> None:
    folder.put("20261119T140000.json", [vehicle(), vehicle(BMW_VIN)])
    folder.put("a/20230903T191438.json", [imperial()])
    folder.put(
        "20261118.json.gz", gzip.compress(json.dumps(vehicle(at=EARLIER - timedelta(days=1))).encode())
    )
    folder.put("empty.json", b"")
    folder.put("error.json", b"MyBMWAPIError: HTTPStatusError: Blocked\n")
    folder.put("half.json", json.dumps([vehicle()]).encode()[:4000])
    folder.put("torn.json.gz", gzip.compress(b"[" * 1000)[:-8])
    folder.put("timeless.json", {"vin": MINI_VIN, "data": {"state": {}}})
    folder.put("note.txt", b"not looked at")
    folder.put(".hidden.json", b"not looked at")
    good, bad = await take_in(folder.source())
    assert [(answer.vin, answer.received_at) for answer, _ in good] == [
        (MINI_VIN, datetime(2023, 9, 3, 19, 14, 38, 181000, tzinfo=UTC)),
        (MINI_VIN, EARLIER - timedelta(days=1)),
        (MINI_VIN, EARLIER),
        (BMW_VIN, EARLIER),
    ]
    assert good[0][1].value("odometer_km") == pytest.approx(17702.784)
    assert good[0][1].value("range_electric_km") == pytest.approx(218.871, abs=0.001)
    assert sorted(error.message.partition(":")[0] for error in bad) == [
        "empty.json", "error.json", "half.json", "timeless.json", "torn.json.gz",
    ]  # fmt: skip


async def test_what_was_handed_out_is_not_handed_out_again(folder) -> None:
    folder.put("1.json", [vehicle()])
    folder.put("2.json", b"")
    source = folder.source()
    assert len(await ids(source)) == 1
    assert await source.targets() == []
    folder.put("3.json", [vehicle(at=EARLIER + timedelta(hours=1))])
    assert [target.ref for target in await source.targets()] == ["3.json"]


async def test_a_restart_goes_on_where_it_was(folder) -> None:
    """What was stored never comes again."""
    for number in range(5):
        folder.put(f"{number}.json", [vehicle(at=EARLIER + timedelta(minutes=number))])
    first = folder.source()
    before = await ids(first)
    await first.close()
    again = folder.source(name="dumps")
    assert len(before) == 5
    assert await ids(again) == []
    await again.targets()
    await again.close()
    assert await ids(folder.source()) == []


async def test_an_interrupted_round_is_taken_up_again(folder) -> None:
    for number in range(5):
        folder.put(f"{number}.json", [vehicle(at=EARLIER + timedelta(minutes=number))])
    source = folder.source()
    targets = await source.targets()
    for target in targets[:2]:
        source.stored(await source.fetch(target))
    await source.fetch(targets[2])
    await source.close()
    assert [target.ref for target in await folder.source().targets()] == ["2.json", "3.json", "4.json"]


async def test_a_dump_of_two_vehicles_is_done_when_both_are(folder) -> None:
    folder.put("1.json", [vehicle(), vehicle(BMW_VIN)])
    source = folder.source()
    first, second = await source.targets()
    await source.fetch(first)
    assert await source.targets() == [first, second]


async def test_the_same_dump_taken_in_twice_is_one_record(folder) -> None:
    """Under another name, pretty-printed, zipped, read again after a loss of memory: one id."""
    folder.put("1.json", [vehicle()])
    folder.put("copy/of-1.json", json.dumps(vehicle(), indent=2, ensure_ascii=False).encode())
    folder.put("copy/1.json.gz", gzip.compress(json.dumps([vehicle()]).encode()))
    first = await ids(folder.source())
    folder.memory = DictMemory()
    folder.clock.jump(86400)
    assert len(first) == 3
    assert set(first) == set(await ids(folder.source()))
    assert len(set(first)) == 1


async def test_a_file_that_changed_is_read_again(folder) -> None:
    folder.put("1.json", [vehicle()])
    source = folder.source()
    await take_in(source)
    assert await source.targets() == []
    folder.put("1.json", [vehicle(at=EARLIER + timedelta(hours=1))])
    assert [target.ref for target in await source.targets()] == ["1.json"]


async def test_a_file_still_being_written_is_left_until_it_is_whole(folder) -> None:
    text = json.dumps([vehicle()]).encode()
    folder.put("1.json", text[:3000], age=0.5)
    source = folder.source()
    assert await source.targets() == []
    folder.put("1.json", text, age=0.1)
    good, bad = await take_in(source)
    assert (len(good), bad) == (1, [])


async def test_a_file_that_stays_half_is_named_once(folder) -> None:
    folder.put("1.json", b'[{"vin"', age=0.5)
    source = folder.source()
    assert await source.targets() == []
    folder.clock.jump(5)
    _, (error,) = await take_in(source)
    assert error.message == "1.json: it is not JSON"
    await source.close()
    assert await folder.source().targets() == []


async def test_bad_files_speak_for_no_vehicle(folder) -> None:
    folder.put("1.json", {"vin": MINI_VIN, "data": {}})
    assert await folder.source().targets() == [Target("", "1.json")]


async def test_an_answer_from_the_future_is_refused(folder) -> None:
    """It would make the clock look wrong."""
    folder.put("1.json", [vehicle(at=NOW + timedelta(days=1))])
    good, (error,) = await take_in(folder.source())
    assert good == []
    assert "future" in error.message


async def test_only_the_vehicles_asked_for(folder) -> None:
    folder.put("1.json", [vehicle(), vehicle(BMW_VIN)])
    folder.put("2.json", [vehicle()])
    source = folder.source(vins=(BMW_VIN.lower(),))
    good, bad = await take_in(source)
    assert ([answer.vin for answer, _ in good], bad) == ([BMW_VIN], [])


def fingerprint(folder: Folder, name: str, at: datetime) -> None:
    garage = demo_garage()
    bodies = {
        "vcs_v4_vehicles_state": garage.state(BMW_VIN, at),
        "vcs_v5_vehicle-data_profile": garage.profile(BMW_VIN),
        "crccs_v2_vehicles": garage.charging(BMW_VIN, at),
    }
    for what, body in bodies.items():
        folder.put(f"{name}/bmw-eadrax-{what}_{BMW_VIN}.json", body)
    folder.put(f"{name}/bmw-eadrax-vcs_v5_vehicle-list.json", {"gcid": "", "mappingInfos": []})


async def test_a_fingerprint_is_one_answer_with_the_maker_s_own_bodies(folder) -> None:
    fingerprint(folder, "2026-11-19_14-00-00", EARLIER)
    ((answer, snapshot),), bad = await take_in(folder.source())
    assert sorted(answer.bodies) == ["charging_settings", "profile", "state"]
    assert answer.bodies["state"] == demo_garage().state(BMW_VIN, EARLIER)
    assert answer.received_at == EARLIER
    assert snapshot.value("model") == "X1 xDrive25e"
    assert bad == []


async def test_a_dump_and_a_fingerprint_of_one_answer_say_the_same(folder) -> None:
    fingerprint(folder, "capture", EARLIER)
    folder.put("dump.json", vehicle(BMW_VIN))
    (_, one), (_, other) = (await take_in(folder.source()))[0]
    assert one.readings == other.readings


async def test_the_vin_in_a_file_name_is_shortened_in_the_message(folder) -> None:
    folder.put(f"x/bmw-eadrax-vcs_v4_vehicles_state_{BMW_VIN}.json", b"{}")
    _, (error,) = await take_in(folder.source())
    assert BMW_VIN not in error.message
    assert BMW_VIN[-7:] in error.message


async def test_a_missing_folder_says_what_to_mend(folder) -> None:
    with pytest.raises(SourceUnavailable, match=r"elsewhere: No such file") as caught:
        await folder.source("elsewhere").targets()
    assert "[sources.dumps]" in caught.value.hint


async def test_a_file_that_vanished_is_unavailable_and_forgotten(folder) -> None:
    path = folder.put("1.json", [vehicle()])
    source = folder.source()
    (target,) = await source.targets()
    path.unlink()
    with pytest.raises(SourceUnavailable):
        await source.fetch(target)
    assert await source.targets() == []


async def test_an_answer_is_fetched_once(folder) -> None:
    folder.put("1.json", [vehicle()])
    source = folder.source()
    (target,) = await source.targets()
    await source.fetch(target)
    with pytest.raises(SourceUnavailable, match="already"):
        await source.fetch(target)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_named_until_it_may(folder) -> None:
    path = folder.put("1.json", [vehicle()])
    path.chmod(0)
    source = folder.source()
    _, (error,) = await take_in(source)
    assert "Permission denied" in error.message
    assert await source.targets() == []
    path.chmod(0o600)
    assert len(await source.targets()) == 1


async def test_what_is_no_plain_file_neither_stops_nor_hangs_the_look(folder) -> None:
    folder.put("1.json", [vehicle()])
    folder.put(b"\xff.json".decode(errors="surrogateescape"), b"")
    (folder.path / "loop.json").symlink_to("loop.json")
    (folder.path / "nowhere.json").symlink_to("gone")
    (folder.path / "folder.json").mkdir()
    os.mkfifo(folder.path / "pipe.json")
    good, bad = await take_in(folder.source())
    assert len(good) == 1
    assert sorted(error.message for error in bad) == [
        "?.json: it is empty", "loop.json: it cannot be read: Too many levels of symbolic links",
    ]  # fmt: skip


class DeadDisk(ManualClock):
    """Holds up whoever looks at the time beside the event loop, as a disk would that does not answer."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.asked, self.answers = threading.Event(), threading.Event()

    def now(self) -> datetime:
        if threading.current_thread() is not threading.main_thread():
            self.asked.set()
            assert self.answers.wait(10)
        return super().now()


def looking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "source-dumps"]


async def test_a_disk_that_hangs_costs_one_thread_however_often_it_is_polled(folder) -> None:
    folder.clock = clock = DeadDisk()
    folder.put("1.json", [vehicle()])
    source = folder.source()
    poll = asyncio.create_task(source.targets())
    await asyncio.sleep(0)
    assert await asyncio.to_thread(clock.asked.wait, 10)
    poll.cancel()  # as `Rounds` does after a quarter of an hour
    for _ in range(3):
        with pytest.raises(SourceUnavailable, match="has not answered since an earlier look") as caught:
            await source.targets()
        assert "mount" in caught.value.hint
    (thread,) = looking()
    clock.answers.set()
    await asyncio.to_thread(thread.join, 10)
    assert len(await source.targets()) == 1


async def test_what_was_forgotten_or_cannot_be_remembered_only_comes_again(folder) -> None:
    class Failing(DictMemory):
        async def remember(self, key, value):  # noqa: ARG002  # fails whatever it is
            raise JournalError("disk full")

    folder.put("1.json", [vehicle()])
    folder.memory = Failing()
    source = folder.source()
    assert len(await ids(source)) == 1
    assert await source.targets() == []
    await source.close()
    assert len(await ids(folder.source())) == 1


async def test_the_marks_of_many_files_stay_small_and_go_with_the_files(folder) -> None:
    for number in range(300):
        folder.put(f"{number:03}.json", imperial(rfc3339(EARLIER + timedelta(seconds=number))))
    source = folder.source()
    assert len(await ids(source)) == 300
    await source.targets()
    stored = {key: value for key, value in folder.memory.values.items() if ":marks:" in key}
    assert sum(map(len, stored.values())) < 300 * 20
    assert max(map(len, stored.values())) < 1000
    for path in folder.path.iterdir():
        path.unlink()
    await source.targets()
    assert sum(len(json.loads(value)["marks"]) for value in folder.memory.values.values()) == 0


def test_the_account_is_the_folder_whatever_the_table_is_called(folder) -> None:
    assert folder.source(name="a").account == folder.source("./dumps", name="b").account
    assert folder.source().account != folder.source("elsewhere").account
