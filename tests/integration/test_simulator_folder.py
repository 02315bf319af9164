"""The folder server: captured answers of real cars, served and read over real HTTP by the MyBMW source."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.simulator.cloud import FakeCloud
from poller.simulator.fleet import MINI_VIN
from poller.simulator.folder import FolderGarage
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.sources.base import Source, SourceContext
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource
from poller.sources.recorded import RecordedSource
from poller.sources.settings import RecordedSettings
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.snapshot import Snapshot

AT = datetime(2026, 11, 21, 14, tzinfo=UTC)


def context(tmp_path: Path) -> SourceContext:
    return SourceContext(ManualClock(AT), DictMemory(), tmp_path, tmp_path, ZoneInfo("UTC"))


async def snapshots(source: Source) -> dict[str, Snapshot]:
    """Every answer, understood as if it were had at one time; by VIN and kind of body."""
    await source.open()
    read = {}
    try:
        for target in filter(lambda target: target.vin, await source.targets()):
            answer = await source.fetch(target)
            key = target.vin + ("*" if "library" in answer.bodies else "")
            read[key] = source.parse(replace(answer, received_at=AT))
    finally:
        await source.close()
    return read


@pytest.fixture
async def polled(shared: Path, tmp_path: Path) -> dict[str, Snapshot]:
    """The cars of both fingerprint folders, polled from the folder server."""
    read: dict[str, Snapshot] = {}
    for folder in ("fingerprints", "fingerprints_extra"):
        cloud = FakeCloud(FolderGarage(shared / folder), ManualClock(AT))
        async with serve(cloud) as url:
            settings = MyBmwSettings(type="mybmw", username=USER, base_url=url)
            source = MyBmwSource("bmw", settings, context(tmp_path / folder))
            await source.open()
            await source.login(refresh_token=REFRESH_TOKEN)
            read |= await snapshots(source)
    return read


async def test_all_cars_are_read_and_every_source_says_the_same(polled, shared, tmp_path) -> None:
    """Polled, read from the fingerprint, and read from the library's own JSON: the same readings."""
    assert len(polled) == 17
    compared = 0
    for folder in ("fingerprints", "fingerprints_extra"):
        settings = RecordedSettings(type="recorded", directory=str(shared / folder))
        for key, snapshot in (await snapshots(RecordedSource("dumps", settings, context(tmp_path)))).items():
            assert snapshot.readings == polled[key.rstrip("*")].readings, key
            compared += 1
    assert compared == 34


async def test_two_requests_a_poll_of_an_electric_car_one_of_another(shared, tmp_path) -> None:
    cloud = FakeCloud(FolderGarage(shared / "fingerprints"), ManualClock(AT))
    async with serve(cloud) as url:
        settings = MyBmwSettings(type="mybmw", username=USER, base_url=url)
        source = MyBmwSource("bmw", settings, context(tmp_path))
        await source.open()
        await source.login(refresh_token=REFRESH_TOKEN)
        for target in await source.targets():
            await source.fetch(target)
        cloud.requests.clear()
        for target in await source.targets():
            await source.fetch(target)
        await source.close()
    assert cloud.requests == {"/eadrax-vcs/v4/vehicles/state": 6, "/eadrax-crccs/v2/vehicles": 4}


def capture(folder: Path, *, lists: bool = True) -> Path:
    """A fingerprint of the simulated MINI, as the library lays it out."""
    garage = demo_garage()
    folder.mkdir(parents=True)
    if lists:
        entries = {"gcid": "", "mappingInfos": list(garage.mappings("mini"))}
        (folder / "mini-eadrax-vcs_v5_vehicle-list.json").write_text(json.dumps(entries))
    bodies = {
        "vcs_v5_vehicle-data_profile": garage.profile(MINI_VIN),
        "vcs_v4_vehicles_state": garage.state(MINI_VIN, AT),
    }
    for name, body in bodies.items():
        (folder / f"mini-eadrax-{name}_{MINI_VIN}.json").write_bytes(body)
    return folder


def test_a_vehicle_without_charging_file_has_empty_settings(tmp_path) -> None:
    garage = FolderGarage(capture(tmp_path / "a" / "b").parent)
    assert garage.charging(MINI_VIN, AT) == b"{}"
    assert garage.charging("WBA00000000000009", AT) is None
    assert garage.state(MINI_VIN, AT) == demo_garage().state(MINI_VIN, AT)


def test_a_vehicle_whose_list_was_lost_is_listed_all_the_same(tmp_path) -> None:
    """A fingerprint keeps the last ten answers only."""
    garage = FolderGarage(capture(tmp_path / "a", lists=False))
    assert [entry["vin"] for entry in garage.mappings("mini")] == [MINI_VIN]
    assert garage.mappings("bmw") == ()


def test_a_vehicle_in_two_lists_is_one(tmp_path) -> None:
    capture(tmp_path / "a")
    capture(tmp_path / "b")
    assert len(FolderGarage(tmp_path).mappings("mini")) == 1


def test_a_folder_without_answers_is_refused(tmp_path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no captured answers"):
        FolderGarage(tmp_path)
