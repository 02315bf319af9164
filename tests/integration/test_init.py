"""`poller init` writes what `poller check` finds good, for its owner's eyes only."""

from __future__ import annotations

import stat
import tomllib

import pytest
from typer.testing import CliRunner

from poller.cli.main import app
from poller.settings import load

MYBMW = ["mybmw", "owner@example.com", "north_america", "hunter2"]
ALL_SINKS = ["y", "y", "y", "cars", "xaat-hunter2"]
CLIENT_ID = "12345678-90ab-4cde-8f01-234567890abc"


def answer(path, lines: list[str], *options: str):
    return CliRunner().invoke(app, ["init", "--output", str(path), *options], input="\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("lines", "kinds"),
    [
        ([*MYBMW, *ALL_SINKS], ["mybmw", "json_files", "prometheus", "axiom"]),
        (["", CLIENT_ID, "", "", ""], ["cardata", "json_files", "prometheus"]),
        (["mybmw", "owner@example.com", "", "", "", "", ""], ["mybmw", "json_files", "prometheus"]),
        (["nonsense", "command", "'", "", "echo 'a b' {}", "n", "n", "n"], ["command"]),
        (["recorded", " ", 'my "dumps" \\ ü', "n", "y", "n"], ["recorded", "prometheus"]),
    ],
    ids=["everything", "defaults", "mybmw's defaults", "a program, at the third try", "an odd folder"],
)
def test_what_it_writes_loads(tmp_path, lines, kinds) -> None:
    path = tmp_path / "new" / "config.toml"
    done = answer(path, lines)
    assert done.exit_code == 0, done.output
    settings = load(path, environ={"HOME": str(tmp_path), "TZ": "UTC"}, cwd=tmp_path).settings
    assert [table.type for table in (*settings.sources.values(), *settings.sinks.values())] == kinds
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"Next: poller check --config {path}" in done.output


def test_a_cardata_account_takes_one_answer_of_its_own_and_names_what_comes_next(tmp_path) -> None:
    path = tmp_path / "config.toml"
    done = answer(path, ["", "my client", CLIENT_ID.upper(), "n", "n", "n"])
    assert "expected the client id as BMW's portal shows it" in done.output
    assert "Technical access" in done.output
    assert path.read_text().splitlines()[1:] == [
        "[sources.home]",
        'type = "cardata"',
        f'client_id = "{CLIENT_ID}"',
    ]
    assert done.output.endswith(
        f"Next: poller check --config {path}\n"
        f"then: poller login home --config {path}\n"
        f"then: poller run --config {path}\n"
    )


def test_for_a_rehearsal_it_takes_the_simulators_addresses(tmp_path) -> None:
    path = tmp_path / "config.toml"
    addresses = ("http://127.0.0.1:4711/cardata", "mqtt://127.0.0.1:4712")
    done = answer(path, ["n", "n", "n"], "--simulated", *addresses)
    assert done.exit_code == 0, done.output
    home = load(path, environ={"HOME": str(tmp_path), "TZ": "UTC"}, cwd=tmp_path).settings.sources["home"]
    assert (home.auth_url, home.api_url, home.stream_url) == (addresses[0], addresses[0], addresses[1])
    assert len([line for line in path.read_text().splitlines() if line and not line.startswith("#")]) == 6


def test_answers_arrive_as_they_were_given(tmp_path) -> None:
    path = tmp_path / "config.toml"
    answer(path, ["command", "prog 'a b' --x=\"1\"", "n", "n", "n"])
    assert tomllib.loads(path.read_text())["sources"]["loop"]["command"] == ["prog", "a b", "--x=1"]


def test_secrets_are_neither_echoed_nor_needed(tmp_path) -> None:
    path = tmp_path / "config.toml"
    assert "hunter2" not in answer(path, [*MYBMW, *ALL_SINKS]).output
    assert path.read_text().count("hunter2") == 2
    done = answer(path, [*MYBMW[:3], "", *ALL_SINKS[:4], ""], "--force")
    assert "hunter2" not in path.read_text()
    assert "POLLER_SOURCES__BMW__PASSWORD" in done.output
    assert "AXIOM_TOKEN" in done.output
    environ = {"HOME": str(tmp_path), "TZ": "UTC", "AXIOM_TOKEN": "xaat-hunter2"}
    assert load(path, environ=environ, cwd=tmp_path).settings.sinks["axiom"].token


def test_a_file_that_is_there_stays_unless_forced(tmp_path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    path.chmod(0o644)
    refused = answer(path, [*MYBMW, *ALL_SINKS])
    assert refused.exit_code == 1
    assert "exists already" in str(refused.exception)
    assert path.read_text() == "mine"
    assert answer(path, [*MYBMW, *ALL_SINKS], "--force").exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").touch()
    done = answer(tmp_path / "file" / "config.toml", [*MYBMW, *ALL_SINKS])
    assert done.exit_code == 1
    assert f"{tmp_path}/file/config.toml cannot be written: " in str(done.exception)


def test_an_answer_that_never_comes_writes_nothing(tmp_path) -> None:
    path = tmp_path / "config.toml"
    done = answer(path, ["mybmw", "owner@example.com"])
    assert getattr(done.exception, "exit_code", None) == 2
    assert "run it on a terminal" in done.exception.hint
    assert not path.exists()
