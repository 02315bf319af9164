"""Captured answers as vehicles, from Python."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from poller.library.folder import read_folder
from poller.library.keys import vehicle_json
from poller.sources.cardata.cars.state import CarState

CASES = Path(__file__).parents[1] / "cases" / "library"


def test_each_vehicle_of_a_folder_once_with_its_newest_answer(tmp_path) -> None:
    (state,) = (CASES / "electric_charging").glob("*_state_*.json")
    vin = state.stem.rpartition("_")[2]
    for day, km in (("02", 20), ("03", 30), ("01", 10)):
        answer = json.loads(state.read_text())
        answer["state"]["lastFetched"] = f"2026-01-{day}T12:00:00Z"
        answer["state"]["currentMileage"] = km
        (tmp_path / day).mkdir()
        (tmp_path / day / state.name).write_text(json.dumps(answer))
    ((vehicle,), problems) = read_folder(tmp_path)
    assert problems == []
    assert (vehicle.vin, vehicle.mileage.value) == (vin, 30)


def test_a_time_is_taken_for_the_answers_own() -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    ((vehicle,), _) = read_folder(CASES / "electric_charging", at=at)
    assert vehicle.data is not None
    assert vehicle.data["fetched_at"] == "2026-02-03T04:05:06+00:00"


def test_positions_in_china_are_converted_for_accounts_of_china() -> None:
    def place(region: str) -> object:
        return read_folder(CASES / "in_china", region=region)[0][0].vehicle_location.location

    assert place("cn") != place("row")


def test_a_dump_of_the_librarys_json_is_read_as_well(tmp_path) -> None:
    ((vehicle,), _) = read_folder(CASES / "electric_charging")
    (tmp_path / "20260101T120000.json").write_text(json.dumps([vehicle_json(vehicle)]))
    assert read_folder(tmp_path) == ([vehicle], [])


def test_what_cannot_be_used_is_named_and_costs_nothing_else(tmp_path) -> None:
    shutil.copytree(CASES / "plug_in_hybrid", tmp_path, dirs_exist_ok=True)
    (tmp_path / "bmw-eadrax-vcs_v4_vehicles_state_WBA0000000BROKEN1.json").write_text("{")
    (tmp_path / "bmw-eadrax-vcs_v4_vehicles_state_WBA0000000BROKEN2.json").write_text('{"state": 1}')
    (tmp_path / "notes.json").write_text("[1]")
    vehicles, problems = read_folder(tmp_path)
    assert len(vehicles) == 1
    assert len(problems) == 2
    assert all("BROKEN" in str(problem) and "WBA0000000" not in str(problem) for problem in problems)


def test_what_cardata_says_is_read_by_way_of_the_signals(tmp_path) -> None:
    at = datetime(2026, 7, 27, 11, tzinfo=UTC)
    answer = (CASES.parent / "cardata" / "electric_charging_by_stream" / "1-rest.json").read_bytes()
    state = CarState("WBA00000000000004").merge_rest(answer, at)[0].to_json()
    (tmp_path / "cardata-state_WBA00000000000004.json").write_text(json.dumps(state))
    ((vehicle,), problems) = read_folder(tmp_path)
    assert (vehicle.mileage.value, vehicle.data, problems) == (81600, None, [])


def test_a_folder_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        read_folder(tmp_path / "nowhere")
