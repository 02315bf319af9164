"""``poller vehicle status --format bimmerconnected`` against what the library prints, key by key."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from library_cars import CASES, LibraryCar, differences, own_cars, recorded_cars, without_null_capabilities

from poller.cli.main import run

RECORDED = recorded_cars() or [
    pytest.param(None, marks=pytest.mark.skip(reason="the recordings are not beside this checkout"))
]
OWN = own_cars()
#: These stop the library itself; it was given their answers without the null capabilities.
STOPS = {"OH_F33", "OH_F56_MINI", "OH_G30_PHEV"}
#: The one key that depends on where the computer stands.
LOCAL = {".fuel_and_battery.charging_start_time"}
LIBRARY_TOO = "vehicle", "status", "--format", "bimmerconnected"


def name(car: LibraryCar | None) -> str:
    return "none" if car is None else car.name


def printed(car: LibraryCar, capsys, *more: str) -> list[dict]:
    arguments = ("--answers", str(car.folder), "--at", car.at.isoformat(), "--region", car.region)
    assert run([*LIBRARY_TOO, *arguments, *more]) == 0
    out = capsys.readouterr()
    assert out.err == ""
    assert out.out.count("\n") == 1
    assert out.out.isascii()
    return json.loads(out.out)


def compared(car: LibraryCar, vehicle: dict) -> list[str]:
    ours = without_null_capabilities(vehicle) if car.name in STOPS else vehicle
    return list(differences(car.expected, ours))


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path) -> None:
    """Nothing but the folder is needed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("POLLER_CONFIG", raising=False)


@pytest.mark.parametrize("car", RECORDED, ids=name)
def test_a_recorded_car_is_printed_as_the_library_prints_it(car, capsys) -> None:
    [vehicle] = printed(car, capsys)
    assert compared(car, vehicle) == []


@pytest.mark.parametrize("car", RECORDED, ids=name)
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata"])
def test_elsewhere_only_the_local_time_of_charging_differs(car, zone, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TZ", zone)
    [vehicle] = printed(car, capsys)
    assert {line.partition(":")[0] for line in compared(car, vehicle)} <= LOCAL


@pytest.mark.parametrize("car", OWN, ids=name)
def test_one_of_our_own_cars_is_printed_as_the_library_would(car, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TZ", str(car.zone))
    [vehicle] = printed(car, capsys)
    assert compared(car, vehicle) == []


def test_there_are_a_dozen_of_our_own_cars_and_none_is_left_out() -> None:
    folders = {path.name for path in CASES.iterdir() if path.is_dir()} - {"expected"}
    assert folders == {car.name for car in OWN}
    assert len(OWN) >= 12
    assert {path.stem for path in (CASES / "expected").iterdir()} == folders


def test_the_keys_come_in_the_order_of_the_library() -> None:
    for car in (*OWN, *recorded_cars()):
        assert list(car.keys()) == list(car.expected)


def test_a_window_is_met_where_the_computer_stands(capsys, monkeypatch) -> None:
    """17:08 in Tokyo is 08:08 in London: the window at 16:08 is tomorrow there, today here."""
    car = next(car for car in OWN if car.name == "electric_waiting_until_this_minute")
    starts = {}
    for zone in ("Asia/Tokyo", "Europe/London", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        [vehicle] = printed(car, capsys)
        starts[zone] = vehicle["fuel_and_battery"]["charging_start_time"]
    assert starts == dict.fromkeys(starts, "2026-05-06T16:08:00")
    monkeypatch.setenv("TZ", "Pacific/Auckland")  # 19:08 already
    assert printed(car, capsys)[0]["fuel_and_battery"]["charging_start_time"] == "2026-05-07T16:08:00"


@pytest.mark.parametrize(
    "wanted",
    ["wba00000000lib005", "WBA00000000LIB005", "0lib005", "555E"],
    ids=["vin", "VIN", "short", "model"],
)
def test_a_vehicle_is_found_by_vin_or_name_in_any_case(wanted, capsys) -> None:
    """With --vin the library prints one object, not a list."""
    assert run([*LIBRARY_TOO, "--answers", str(CASES), "--vin", wanted]) == 0
    assert json.loads(capsys.readouterr().out)["vin"] == "WBA00000000LIB005"


def test_a_whole_tree_of_folders_is_a_list_of_all_its_vehicles(capsys) -> None:
    assert run([*LIBRARY_TOO, "--answers", str(CASES)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len({vehicle["vin"] for vehicle in shown}) == len(shown) == len(OWN)


def test_an_unknown_vehicle_is_a_usage_error_that_names_those_there_are(capsys) -> None:
    assert run([*LIBRARY_TOO, "--answers", str(CASES), "-v", "WBA0"]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert "no vehicle is WBA0" in out.err
    assert "0lib005" in out.err


def test_a_name_that_two_cars_have_is_a_usage_error_that_names_both(capsys, tmp_path) -> None:
    dump = next(car for car in OWN if car.name == "plug_in_hybrid").expected
    other = {**dump, "vin": "WBA00000000LIB999"}
    (tmp_path / "dump.json").write_text(json.dumps([dump, other]))
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path), "-v", "555e"]) == 2
    err = capsys.readouterr().err
    assert "several vehicles are 555e" in err
    assert "0lib005 (555e), 0lib999 (555e)" in err
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path), "-v", "0lib999"]) == 0


def test_the_librarys_json_without_data_is_told_so(capsys, tmp_path) -> None:
    """As our own files hold it that were made from CarData."""
    car = next(car for car in OWN if car.name == "plug_in_hybrid")
    keys = {name: value for name, value in car.expected.items() if name != "data"}
    (tmp_path / "car.json").write_text(json.dumps(keys))
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path)]) == 2
    assert "car.json: it is bimmerconnected's JSON without BMW's `data`" in capsys.readouterr().err


def test_a_folder_without_answers_is_a_usage_error(capsys, tmp_path) -> None:
    (tmp_path / "notes.json").write_text("[1]")
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path)]) == 2
    assert "holds no captured answers" in capsys.readouterr().err


def test_another_file_beside_them_is_passed_over_and_named(capsys, tmp_path) -> None:
    """Whose dump was cut off must see it; but a folder may hold what is none."""
    good = next(car for car in OWN if car.name == "plug_in_hybrid")
    (tmp_path / "dump.json").write_text(json.dumps([good.expected]))
    (tmp_path / "half.json").write_text('[{"data":')
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path)]) == 0
    out = capsys.readouterr()
    assert len(json.loads(out.out)) == 1
    assert out.err == "poller: passed over: half.json: it is not JSON\n"


def test_one_broken_vehicle_does_not_cost_the_others(capsys, tmp_path) -> None:
    """The library would print nothing at all (mybmw.md section 15, item 7)."""
    good = next(car for car in OWN if car.name == "plug_in_hybrid")
    for path in good.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bmw-eadrax-vcs_v4_vehicles_state_WBA00000000LIB998.json").write_text('{"state": 7}')
    (tmp_path / "bmw-eadrax-vcs_v4_vehicles_state_WBA00000000LIB999.json").write_text("INTERNAL SERVER ERROR")
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path)]) == 1
    out = capsys.readouterr()
    assert [vehicle["vin"] for vehicle in json.loads(out.out)] == ["WBA00000000LIB005"]
    assert out.err.count("poller: ") == 2
    assert "WBA00000000LIB" not in out.err


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01"])
def test_a_time_that_is_none_is_a_usage_error(time, capsys) -> None:
    assert run([*LIBRARY_TOO, "--answers", str(CASES), "--at", time]) == 2
    assert "--at: cannot read" in capsys.readouterr().err


def test_a_table_for_people_is_the_default(capsys) -> None:
    car = next(car for car in OWN if car.name == "electric_charging")
    assert run(["vehicle", "status", "--answers", str(car.folder), "--at", "2026-05-06T07:10:00Z"]) == 0
    text = capsys.readouterr().out
    assert "iY5 eDrive" in text
    assert "heard just now, the car reported 15 min ago" in text
    assert any(line.split() == ["Charge", "37", "%"] for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 80


def test_json_alone_prints_records(capsys) -> None:
    car = next(car for car in OWN if car.name == "electric_charging")
    assert run(["vehicle", "status", "--answers", str(car.folder), "--json"]) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert (record["kind"], record["schema"], record["readings"]["soc_percent"]) == ("snapshot", 1, 37)


def test_units_of_old_releases_are_read_back_as_what_they_are(capsys, tmp_path) -> None:
    """Miles in the library's JSON are kilometres again when a folder of dumps is read."""
    car = next(car for car in OWN if car.name == "plug_in_hybrid")
    [metric] = printed(car, capsys)
    for units in ("imperial", "uk"):
        [dump] = printed(car, capsys, "--units", units)
        assert dump["fuel_and_battery"]["remaining_range_total"] == [379, "mi"]
        (tmp_path / "dump.json").write_text(json.dumps([dump]))
        assert run([*LIBRARY_TOO, "--answers", str(tmp_path)]) == 0
        [again] = json.loads(capsys.readouterr().out)
        assert again["fuel_and_battery"]["remaining_range_total"][0] == pytest.approx(610, abs=1)
        assert again["fuel_and_battery"]["remaining_fuel"][0] == pytest.approx(31, abs=2)
        assert again["data"]["fetched_at"] == metric["data"]["fetched_at"]


def test_of_a_vehicles_answers_the_newest_is_shown(capsys, tmp_path) -> None:
    """As in the shell loop's folder, a dump every five minutes, whatever their names."""
    dump = next(car for car in OWN if car.name == "plug_in_hybrid").expected
    for name, minute in (("a", 10), ("b", 15), ("c", 5)):
        data = {**dump["data"], "fetched_at": f"2026-05-06T07:{minute:02}:00+00:00"}
        (tmp_path / f"{name}.json").write_text(json.dumps([{**dump, "data": data}]))
    assert run([*LIBRARY_TOO, "--answers", str(tmp_path)]) == 0
    [vehicle] = json.loads(capsys.readouterr().out)
    assert vehicle["data"]["fetched_at"] == "2026-05-06T07:15:00+00:00"


def test_what_the_library_wrote_is_written_again(capsys, tmp_path) -> None:
    """A dump has all that it was made of: the same keys come out, as at its own time."""
    for car in OWN:
        if car.name == "nothing_at_all":
            continue  # without any answer there is no state in it
        dump = {**car.expected, "unknown_key": 1}
        (tmp_path / "dump.json").write_text(json.dumps(dump))
        code = run([*LIBRARY_TOO, "--answers", str(tmp_path)])
        [again] = json.loads(capsys.readouterr().out)
        assert code == 0
        assert {line.partition(":")[0] for line in differences(car.expected, again)} <= LOCAL, car.name


def test_the_installed_command_prints_the_same() -> None:
    """From a process of its own, under a system's time zone."""
    car = next(car for car in OWN if car.name == "electric_waiting_until_tomorrow")
    command = [sys.executable, "-m", "poller", *LIBRARY_TOO, "--answers", str(car.folder)]
    environment = {**os.environ, "TZ": "UTC"}
    done = subprocess.run(
        [*command, "--at", car.at.isoformat(), "-v", "MINI etwas e"],
        capture_output=True,
        env=environment,
        check=True,
    )
    assert list(differences(car.expected, json.loads(done.stdout))) == []
