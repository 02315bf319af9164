"""The help of ``poller vehicle`` and of each of its subcommands reads well on a terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import typer

from poller.cli.main import app, run

GROUP = typer.main.get_command(app).commands["vehicle"]
NAMES = sorted(GROUP.commands)
#: bimmer_connected's eleven, and ours.
LIBRARYS = {
    "status", "fingerprint", "lightflash", "horn", "vehiclefinder", "chargingsettings", "chargingprofile",
    "charge", "image", "sendpoi", "sendpoi_from_address",
}  # fmt: skip
OURS = {"lock", "unlock", "climate", "call"}


@pytest.fixture
def helped(monkeypatch, capsys) -> Callable[..., list[str]]:
    monkeypatch.setenv("COLUMNS", "80")

    def lines(*words: str) -> list[str]:
        assert run([*words, "--help"]) == 0
        return capsys.readouterr().out.splitlines()

    return lines


def test_the_librarys_subcommands_are_there_and_four_more() -> None:
    assert set(NAMES) == LIBRARYS | OURS


def test_each_says_in_one_whole_line_what_it_does(helped) -> None:
    lines = helped("vehicle")
    listed = lines[lines.index("Commands:") + 1 :]
    assert len(listed) == len(NAMES)
    for line in listed:
        assert re.fullmatch(r"  [a-z_]+ +\S.*[^.]\.", line), line


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_eighty_columns_and_explains_every_option(helped, name) -> None:
    lines = helped("vehicle", name)
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].startswith("Usage: ")
    assert not re.search(r"[\[{]\[|\]\.\.\.", lines[0])
    assert lines[2].strip()
    text = " ".join(line.strip() for line in lines)
    for parameter in GROUP.commands[name].params:
        assert parameter.help.endswith("."), parameter.name
        if not getattr(parameter, "hidden", False):
            first = parameter.help.split()[0]
            assert re.search(
                rf"{re.escape(parameter.opts[-1].strip('-'))}\S* .*{re.escape(first)}", text, re.IGNORECASE
            )
    # An option whose names are long has its text on the next line, never none.
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if re.match(r"  -", line) and not re.search(r"\S {2,}\S", line.strip()):
            assert after.startswith(" " * 10), line


def test_every_order_takes_yes_asked_or_not() -> None:
    """A script may give it to all of them alike."""
    for name in set(NAMES) - {"status", "fingerprint", "image"}:
        names = {option for parameter in GROUP.commands[name].params for option in parameter.opts}
        assert {"--yes", "-y"} <= names, name
