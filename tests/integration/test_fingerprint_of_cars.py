"""`poller vehicle fingerprint` of simulated cars: nobody can be told from it, and it reads as before."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cardata_cases import cases
from library_cars import own_cars
from mybmw_cloud import HastyClock, context, stage

from poller.app import App
from poller.cli.main import run
from poller.commands import TABLE
from poller.fingerprint.anonymous import Anonymiser
from poller.fingerprint.bundle import Bundle, Stored
from poller.fingerprint.from_journal import since
from poller.journal.base import Entry, Policy
from poller.journal.past import Past
from poller.journal.sqlite import SqliteJournal
from poller.settings import load
from poller.simulator.fleet import MINI_VIN
from poller.simulator.folder import FolderGarage
from poller.simulator.garage import demo_garage
from poller.sources.cardata.cars.state import LATITUDE, LONGITUDE
from poller.sources.cardata.meaning.parse import parse as parse_cardata
from poller.sources.library_json import understand
from poller.sources.mybmw.meaning.parse import parse
from poller.sources.recorded import RecordedSource
from poller.sources.settings import RecordedSettings
from poller.testing.clock import ManualClock
from poller.vehicle.answer import Answer
from poller.vehicle.records import dumps, snapshot_record
from poller.vehicle.signals import split_key
from poller.vehicle.snapshot import Snapshot
from poller.web.control import ControlServer

VIN, BEV = "WMW31XY0707B98765", "WBA21AB0404K12345"
FOR_VIN, FOR_BEV = "WMW0FINGERPRINT02", "WBA0FINGERPRINT01"
AT = datetime(2026, 11, 19, 14, tzinfo=UTC)
GARAGE = demo_garage()
#: What the owner's settings hold, and answers may repeat.
OWNER, PASSWORD = "erika-m4711", "s3hr-geheim"
MAIL = "erika.m@example.com"
PERSONAL: dict[str, Any] = {
    "ownerName": "Erika Mustermann",
    "licensePlate": "HB-EM 42",
    "dealer": {
        "name": "Autohaus Nordlicht",
        "city": "Delmenhorst",
        "site": {"label": "Halle", "number": 4712},
    },
    "contact": [{"firstName": "Erika", "phone": "+49 421 7654321", "birthday": "1971-02-03"}],
    "formattedAddress": "Am Wall 17, 28195 Bremen",
    "homeAddress": {
        "street": "Schwachhauser Ring",
        "streetNumber": 17,
        "postalCode": "28213",
        "country": "DE",
    },
    "parkedAt": {"lat": 53.079296, "lon": 8.801694, "text": "53.079296, 8.801694"},
    "geometry": {"type": "Point", "coordinates": [8.801694, 53.079296]},
    "gcid": "7b1f2c3d-aaaa-4bbb-8ccc-0123456789ab",
    "usid": "usid-4711-0815",
    "accessToken": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJlcmlrYSJ9.c2lnbmF0dXI",
    "eventId": "0815-4711-e",
    "vins": [VIN, [BEV.lower()]],
    "note": f"{OWNER} ({PASSWORD}) of {VIN.lower()}, {MAIL}, 0421 7654321, HB-EM 42, Bearer abc.def-123",
    "packed": base64.b64encode(f'{{"vin": "{VIN}", "mail": "erika.m@example.com"}}'.encode()).decode(),
    "link": f"https://bmw.example/?vin={VIN}&mail={quote(MAIL)}&at={quote('53.079296,8.801694')}",
    "inner": json.dumps({"vin": VIN, "city": "Bremen", "list": [{"plate": "HB-EM 42"}]}),
    VIN: {"of": "erika.m@example.com"},
}
SECRETS = [
    VIN,
    BEV,
    VIN[-7:],
    BEV[-7:],
    "erika",
    "mustermann",
    "HB-EM",
    "nordlicht",
    "delmenhorst",
    "halle",
    "4712",
    "7654321",
    "1971",
    "am wall",
    "28195",
    "bremen",
    "schwachhauser",
    "28213",
    "53.0792",
    "8.8016",
    "7b1f2c3d",
    "usid-4711",
    "eyJ",
    "0815-4711",
    "s3hr",
    "abc.def",
]


def planted(value: Any) -> Any:
    """The personal things in every object of an answer, the note in every list of texts."""
    if isinstance(value, dict):
        return {**{key: planted(item) for key, item in value.items()}, **PERSONAL}
    if isinstance(value, list):
        texts = [PERSONAL["note"]] if value and all(isinstance(item, str) for item in value) else []
        return [*map(planted, value), *texts]
    return value


def encoded(body: bytes, vin: str = MINI_VIN) -> bytes:
    return json.dumps(planted(json.loads(body.replace(vin.encode(), VIN.encode())))).encode()


def earlier_answer(hours: int) -> Answer:
    """As it was, with nothing more in it."""
    at = AT - timedelta(hours=hours)
    state = GARAGE.state(MINI_VIN, at).replace(MINI_VIN.encode(), VIN.encode())
    return Answer("erikas", "mybmw", VIN, at, {"state": state, "profile": mybmw_answer().bodies["profile"]})


def mybmw_answer() -> Answer:
    garage, at = GARAGE, AT
    state = json.loads(garage.state(MINI_VIN, at))
    state["state"]["location"]["address"]["formatted"] = PERSONAL["formattedAddress"]
    found = {"latitude": 53.079296, "longitude": 8.801694, "heading": 17, "formattedAddress": "Am Wall 17"}
    finder = {
        "at": "2026-11-19T13:59:00.000Z",
        "reply": {"positionData": {"status": "OK", "position": found}},
    }
    bodies = {
        "state": encoded(json.dumps(state).encode()),
        "profile": encoded(garage.profile(MINI_VIN)),
        "charging_settings": encoded(garage.charging(MINI_VIN, at)),
        "vehicle_finder": json.dumps(finder).encode(),
    }
    return Answer("erikas", "mybmw", VIN, at, bodies)


def cardata_answer() -> Answer:
    answer = next(case for case in cases() if case.name == "electric_charging_by_stream").answer()
    text = answer.bodies["state"].replace(answer.vin.encode(), BEV.encode())
    state = json.loads(text)
    held = {"unit": "degrees", "via": "stream", "received_at": "2026-11-18T09:00:00.000Z"}
    state["descriptors"] |= {
        LATITUDE: {**held, "value": 53.079296},
        LONGITUDE: {**held, "value": "8.801694"},
        "vehicle.x.list": {**held, "value": json.dumps([PERSONAL])},
    }
    state["position"] = {"latitude": 53.079296, "longitude": 8.801694, "timestamp": None, "via": "stream"}
    basic = planted(json.loads(answer.bodies["basicData"]))
    bodies = {"state": dumps(state).encode(), "basicData": json.dumps(basic).encode()}
    return replace(answer, source="stream", vin=BEV, bodies=bodies)


def bad_answers() -> list[Answer]:
    whole = mybmw_answer().bodies["state"].decode()
    # It has no look: that these are a person and a street only the other answers say.
    words = "Erika Mustermann, Schwachhauser Ring. Dear Mrs Mustermann!"
    bad = {
        "html": f"<b title='{OWNER}'>Hello {VIN}</b> {words} {PERSONAL['note']} {PERSONAL['link']}",
        "cut": whole[: whole.rindex('"packed"') - 4],
        "list": json.dumps([PERSONAL]),
        "picture": "\x89PNG\0" + VIN,
    }
    times = {name: AT + timedelta(minutes=number) for number, name in enumerate(bad, 1)}
    return [
        Answer("erikas", "mybmw", VIN, times[name], {"state": text.encode("latin-1")})
        for name, text in bad.items()
    ]


def snapshots() -> dict[str, Snapshot]:
    return {"mybmw": parse(mybmw_answer(), UTC), "cardata": parse_cardata(cardata_answer())}


async def _fill(path: Path) -> None:
    journal = SqliteJournal(path, Policy(), ManualClock(AT + timedelta(days=1)))
    await journal.open([])
    for hours in (2, 1):
        earlier = earlier_answer(hours)
        await journal.append(Entry(answer=earlier, records=(snapshot_record(parse(earlier, UTC), earlier),)))
    for name, answer in (("mybmw", mybmw_answer()), ("cardata", cardata_answer())):
        await journal.append(Entry(answer=answer, records=(snapshot_record(snapshots()[name], answer),)))
    for answer in bad_answers():
        await journal.append(Entry(answer=answer, quarantine=f"not JSON: {VIN} of erika.m@example.com"))
    await journal.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A data directory with a journal, and the configuration."""
    folder = tmp_path_factory.mktemp("house")
    asyncio.run(_fill(folder / "journal.db"))
    (folder / "config.toml").write_text(
        f'data_dir = "."\n[web]\nlisten = ""\n[sources.erikas]\ntype = "mybmw"\nusername = "{OWNER}"\n'
        f'password = "{PASSWORD}"\nregion = "rest_of_world"\n[vehicles.erikas-mini]\nvin = "{VIN}"\n'
    )
    (folder / "config.toml").chmod(0o600)
    return folder


def made(house: Path, out: Path, *more: str) -> Path:
    assert run(["vehicle", "fingerprint", "-c", str(house / "config.toml"), "-o", str(out), *more]) == 0
    return out


@pytest.fixture(scope="module")
def newest(house, tmp_path_factory) -> Path:
    return made(house, tmp_path_factory.mktemp("newest") / "fingerprint")


@pytest.fixture(scope="module")
def everything(house, tmp_path_factory) -> Path:
    return made(house, tmp_path_factory.mktemp("all") / "fingerprint", "--all")


@pytest.fixture(params=["newest", "everything"])
def folder(request) -> Path:
    return request.getfixturevalue(request.param)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def variants(secret: str) -> set[bytes]:
    """As it is, in Base64 at any place of it, and percent by percent; compared in lower case."""
    packed = (base64.b64encode(b"x" * shift + secret.encode())[4 if shift else 0 : -4] for shift in range(3))
    percent = "".join(f"%{ord(letter):02x}" for letter in secret)
    return {one.lower() for one in (secret.encode(), *packed, percent.encode(), quote(secret).encode())} - {
        b""
    }


def test_the_planted_things_are_there_to_be_found(house) -> None:
    """Otherwise the next test shows nothing."""
    bodies = [*mybmw_answer().bodies.values(), *cardata_answer().bodies.values()]
    text = b"".join(bodies).decode().lower()
    assert [secret for secret in SECRETS if secret.lower() not in text] == []


def test_nothing_that_was_planted_is_in_any_file_or_name(folder) -> None:
    found = [
        (name, secret)
        for name, content in files(folder).items()
        for secret in SECRETS
        for variant in variants(secret)
        if len(variant) > 3 and (variant in content.lower() or variant in name.lower().encode())
    ]
    assert found == []


def test_it_has_the_librarys_names_and_what_could_not_be_read(newest) -> None:
    bad = "20261119T140{}00.000Z-quarantined/mini-eadrax-vcs_v4_vehicles_state_" + FOR_VIN + ".json"
    assert sorted(files(newest)) == sorted(
        [
            f"cardata-basicData_{FOR_BEV}.json",
            f"cardata-state_{FOR_BEV}.json",
            f"mini-eadrax-crccs_v2_vehicles_{FOR_VIN}.json",
            f"mini-eadrax-vcs_v4_vehicles_state_{FOR_VIN}.json",
            f"mini-eadrax-vcs_v5_vehicle-data_profile_{FOR_VIN}.json",
            f"mini-eadrax-vrccs_v4_presentation_remote-commands_eventPosition_{FOR_VIN}.json",
            "mini-eadrax-vcs_v5_vehicle-list.json",
            *(bad.format(minute) for minute in (1, 2, 3)),
            "README.txt",
        ]
    )
    readme = (newest / "README.txt").read_text()
    assert "not JSON: WMW0FINGERPRINT02 of some_email" in readme
    assert re.search(r"Replaced: (ids|VINs) \(\d+\), ", readme)
    assert f"{bad.format(4)}: 22 bytes that are no text" in readme


def test_all_has_the_earlier_answers_in_folders_by_time(newest, everything) -> None:
    """On top is the newest, which counts for the simulator, and the same as without --all."""
    more = files(everything).keys() - files(newest).keys()
    assert {name.partition("/")[0] for name in more} == {"20261119T130000.000Z", "20261119T120000.000Z"}
    assert len(more) == 4
    top = [name for name in files(newest) if name != "README.txt"]
    assert [name for name in top if files(newest)[name] != files(everything)[name]] == []


def test_since_takes_what_was_had_from_then_on(house) -> None:
    """Each answer once, what is in quarantine first."""
    found = [*since(Past(house / "journal.db"), AT - timedelta(minutes=90))]
    assert [stored.answer.received_at for stored in found if not stored.problem] == [
        AT,
        AT - timedelta(hours=1),
    ]
    assert len([stored for stored in found if stored.problem]) == 4


async def test_a_running_daemon_makes_the_same(house, newest, tmp_path) -> None:
    """Through its socket: who may operate it need not be able to read the journal."""
    app = App(load(house / "config.toml"))
    await app.open()
    server = ControlServer(house / "control.sock", {"fingerprint": partial(TABLE["fingerprint"], app)})
    await server.start()
    try:
        out = await asyncio.to_thread(made, house, tmp_path / "out")
    finally:
        await server.stop()
        await app.close()
    assert files(out) == files(newest)


def test_only_its_owner_can_read_it(tmp_path) -> None:
    """Whatever the umask."""
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "in" / "below" / "dump.json").write_text("{}")
    before = os.umask(0)
    try:
        assert (
            run(["vehicle", "fingerprint", "--answers", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
            == 0
        )
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "out", *(tmp_path / "out").rglob("*"))
    }
    assert modes == {"out": 0o700, "01": 0o700, "answer-1.json": 0o600, "README.txt": 0o600}


def test_nothing_is_overwritten(house, newest, capsys) -> None:
    before = files(newest)
    assert run(["vehicle", "fingerprint", "-c", str(house / "config.toml"), "-o", str(newest)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert files(newest) == before


# Read again.

REPLACED = {"latitude_degrees", "longitude_degrees", "heading_degrees", "altitude_meters"}


def values(snapshot: Snapshot) -> Mapping[str, Any]:
    return {
        key: (reading.value, reading.observed_at)
        for key, reading in snapshot.readings.items()
        if split_key(key)[0] not in REPLACED
    }


def same(ours: Snapshot, before: Snapshot) -> None:
    """But for where it is."""
    assert values(ours) == values(before)
    assert ours.readings.keys() == before.readings.keys()
    assert ours.observed_at == before.observed_at
    place = {key: ours.value(key) for key in ("latitude_degrees", "longitude_degrees")}
    assert place == {"latitude_degrees": 12.3456, "longitude_degrees": 34.5678}
    assert len(values(ours)) > 20


async def test_recorded_reads_the_same_snapshots(newest, tmp_path) -> None:
    """MyBMW's and CarData's; what could not be understood still cannot."""
    clock = ManualClock(AT + timedelta(days=1))
    settings = RecordedSettings(type="recorded", directory=str(newest))
    source = RecordedSource("dumps", settings, context(tmp_path, clock))
    targets = [target for target in await source.targets() if target.vin]
    read = {target.vin: source.parse(await source.fetch(target)) for target in targets}
    same(read[FOR_VIN], snapshots()["mybmw"])
    same(read[FOR_BEV], snapshots()["cardata"])


async def test_served_again_and_polled_it_is_the_same_snapshot(folder, tmp_path) -> None:
    clock = HastyClock(AT)
    async with stage(tmp_path, FolderGarage(folder), clock=clock) as set_up:
        source = await set_up.logged_in()
        [target] = await source.targets()
        assert target.vin == FOR_VIN
        polled = source.parse(await source.fetch(target))
    before = mybmw_answer()
    del before.bodies["vehicle_finder"]  # nobody has looked for it at the simulator's
    same(polled, parse(before, UTC))


def test_status_shows_both_cars(newest, capsys) -> None:
    """The broken answers are named, and cost nothing else."""
    assert run(["vehicle", "status", "--answers", str(newest), "--json"]) == 1
    out = capsys.readouterr()
    assert {record["vin"] for record in json.loads(out.out)} == {FOR_VIN, FOR_BEV}
    assert out.err.count("poller: ") == 3
    assert run(["vehicle", "status", "--answers", str(newest), "--format", "bimmerconnected"]) == 1
    library = {car["vin"]: car for car in json.loads(capsys.readouterr().out)}
    assert "data" in library[FOR_VIN]
    assert "data" not in library[FOR_BEV]


# Of a folder.


def test_a_folder_of_captures_is_made_anonymous_without_a_configuration(
    tmp_path, monkeypatch, capsys
) -> None:
    """Folders' and files' names too; by default into a folder named by the time."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "Erikas MINI"
    (source / VIN).mkdir(parents=True)
    state = (
        json.loads(GARAGE.state(MINI_VIN, AT)) | PERSONAL | {"note": f"{VIN}, erika.m@example.com, HB-EM 42"}
    )
    name = f"mini-eadrax-vcs_v4_vehicles_state_{VIN}.json"
    (source / VIN / name).write_text(json.dumps(state))
    (source / "2026-11-21_14-00-00").mkdir()
    (source / "2026-11-21_14-00-00" / name).write_text(json.dumps(state))
    (source / "erika.json").write_text(json.dumps({"vin": VIN, "data": state}))
    (source / "answer.html").write_text(f"<p>{PERSONAL['link']}</p>")
    (source / "car.png").write_bytes(b"\x89PNG" + VIN.encode())
    (source / ".bimmer_connected.json").write_text('{"refresh_token": "geheim"}')
    assert run(["vehicle", "fingerprint", "--answers", str(source)]) == 0
    [out] = (tmp_path / "vehicle_fingerprint").iterdir()
    assert "Look through it before you send it" in capsys.readouterr().out
    held = files(out)
    state = "mini-eadrax-vcs_v4_vehicles_state_WMW0FINGERPRINT"
    assert {name[: name.find(state) + len(state)] if state in name else name for name in held} == {
        f"01/{state}",
        f"2026-11-21_14-00-00/{state}",
        "answer-1.json",
        "answer-1.html",
        "README.txt",
    }
    text = b"".join(held.values()).lower() + "".join(held).lower().encode()
    assert [secret for secret in SECRETS if secret.lower().encode() in text] == []
    assert run(["vehicle", "status", "--answers", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_what_cannot_be_read_is_left_out_and_counted(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dump.json").write_text("{}")
    (tmp_path / "in" / "torn.json.gz").write_bytes(gzip.compress(b"{}" * 99)[:-9])
    (tmp_path / "in" / "car.png").write_bytes(b"\x89PNG\0")
    (tmp_path / "in" / "whole.json.gz").write_bytes(gzip.compress(f'["{VIN}"]'.encode()))
    assert (
        run(["vehicle", "fingerprint", "--answers", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    )
    held = files(tmp_path / "out")
    assert set(held) == {"answer-1.json", "answer-2.json", "README.txt"}
    assert "2 files that are no answers, or cannot be read" in held["README.txt"].decode()
    assert b"WMW0FINGERPRINT01" in held["answer-2.json"]


def test_a_dump_of_the_library_stays_one() -> None:
    """As a `command` source has it: read again it is the same car."""
    car = next(car for car in own_cars() if car.name == "plug_in_hybrid")
    vin = car.expected["vin"]
    answer = Answer("loop", "command", vin, AT, {"library": json.dumps(car.expected).encode()})
    files = dict(Bundle(Anonymiser([vin])).written(lambda: [Stored(answer)]))
    body = files["library_WBA0FINGERPRINT01.json"]
    assert vin not in body
    again = Answer("loop", "command", "WBA0FINGERPRINT01", AT, {"library": body.encode()})
    assert values(understand(again, UTC)) == values(understand(answer, UTC))


# What goes wrong.


def test_before_the_first_poll_there_is_nothing_to_write(tmp_path, capsys) -> None:
    config = tmp_path / "config.toml"
    config.write_text('data_dir = "data"\n[sources.dumps]\ntype = "recorded"\ndirectory = "."\n')
    assert run(["vehicle", "fingerprint", "-c", str(config), "-o", str(tmp_path / "out")]) == 1
    assert "the poller has not run" in capsys.readouterr().err
    assert run(["vehicle", "fingerprint", "-c", str(config), "-o", str(tmp_path / "out"), "--all"]) == 1
    assert "there is no journal" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "yesterday"], "--since: cannot read"),
        (["--answers", ".", "--all"], "not with --since or --all"),
        (["--answers", "."], "no captured answers"),
        (["--answers", "nowhere"], "does not exist"),
    ],
)
def test_what_is_asked_wrongly_is_a_usage_error(arguments, words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["vehicle", "fingerprint", *arguments]) == 2
    assert words in capsys.readouterr().err
