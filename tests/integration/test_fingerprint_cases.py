"""Fingerprints that people sent: a folder in tests/cases/fingerprints is a test (see tests/README.md)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from poller.cli.main import run
from poller.errors import MalformedAnswer
from poller.fingerprint.anonymous import Anonymiser
from poller.simulator.folder import FolderGarage
from poller.sources.captured import Found, captures, read
from poller.sources.fingerprint import read_name
from poller.sources.library_json import understand
from poller.vehicle.answer import Answer

CASES = Path(__file__).parents[1] / "cases" / "fingerprints"
EXPECTED = CASES / "expected"
FOLDERS = sorted(path for path in CASES.iterdir() if path.is_dir() and path != EXPECTED)
#: For an answer that does not say when it was had.
OTHERWISE = datetime(2026, 11, 21, tzinfo=UTC)

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@each
def test_every_answer_in_it_is_understood(folder) -> None:
    """Also what was in quarantine where it comes from: that is what was to be mended."""
    problems, understood = [], 0
    for capture in captures(folder):
        for found in read(capture, (), otherwise=OTHERWISE):
            try:
                assert isinstance(found, Found), found
                answer = Answer("case", "recorded", found.vin, found.received_at, found.bodies)
                understood += bool(understand(answer, UTC).readings)
            except (AssertionError, MalformedAnswer) as error:
                problems.append(f"{capture.ref}: {error}")
    assert problems == []
    assert understood


@each
def test_it_is_shown_as_expected(folder, capsys, monkeypatch) -> None:
    """As the file in ``expected`` has it, made by the command that a skip names."""
    monkeypatch.setenv("TZ", "UTC")
    expected = EXPECTED / f"{folder.name}.json"
    command = ["vehicle", "status", "--answers", str(folder), "--json"]
    if not expected.exists():
        pytest.skip(
            f"write it: TZ=UTC poller vehicle status --answers {folder.name} --json > {expected.name}"
        )
    assert run(command) == 0
    shown = json.loads(capsys.readouterr().out)
    for record, wanted in zip(shown, json.loads(expected.read_text("utf-8")), strict=True):
        names = {"vin", "source", "received_at", "observed_at", "reading_times", "readings"}
        assert {name: record.get(name) for name in names} == {name: wanted.get(name) for name in names}


@each
def test_nobody_can_be_told_from_it(folder) -> None:
    """What is not as `poller vehicle fingerprint --answers` would leave it, must not be published."""
    personal = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.txt"):
        before = path.read_text("utf-8")
        after = Anonymiser().body(before.encode())
        if after is None or _read(after) != _read(before):
            personal.append(path.name)
    assert personal == []


@each
def test_the_simulator_serves_it(folder) -> None:
    """What is MyBMW's in it."""
    names = [read_name(path.name) for path in folder.rglob("*.json")]
    vins = {name.vin for name in names if name is not None and name.what == "state" and name.vin}
    if vins:
        garage = FolderGarage(folder)
        listed = [entry["vin"] for brand in ("bmw", "mini", "toyota") for entry in garage.mappings(brand)]
        assert sorted(listed) == sorted(vins)
        assert all(garage.state(vin, OTHERWISE) for vin in vins)


def test_nothing_is_expected_of_a_folder_that_is_gone() -> None:
    assert {path.stem for path in EXPECTED.iterdir()} <= {folder.name for folder in FOLDERS}


def _read(text: str) -> object:
    """JSON, however it is laid out; any other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
