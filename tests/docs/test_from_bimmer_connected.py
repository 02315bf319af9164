"""Whatever bimmer_connected has, the page says what stands for it here, and that is there."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import library_documentation
import pytest
from library_documentation import Entry
from library_table import PAGE, Name, Row, name, rows

from poller.library import model, words
from poller.library.vehicle import Capabilities, Vehicle
from poller.settings.tree import SINKS, SOURCES, Settings
from poller.vehicle.signals import BY_KEY

#: Members of a record's envelope, which the page names beside signals.
_ENVELOPE = {"vin", "received_at", "observed_at"}
#: What the second column may name besides Python: a command, a setting below its table, a variable.
_COMMAND = re.compile(r"poller .+")
_SETTING = re.compile(r"\[(?P<table>\w+)(?:\.(?P<name>\w+))?\] (?P<key>\w+)")
_VARIABLE = re.compile(r"[A-Z][A-Z_]+")
#: A name that stands for every sub-command.
_EVERY = "bimmerconnected … "


@pytest.fixture(scope="module")
def table(pages) -> list[Row]:
    return list(rows(pages[PAGE].text))


@pytest.fixture(scope="module")
def documentation(shared) -> str:
    for path in sorted((shared / "seeds").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        if text.startswith("bimmer_connected\n"):
            return text
    return pytest.skip("the library's documentation is not in ../shared")


def test_every_name_of_ours_resolves(table) -> None:
    """Python names by import, settings in the settings' tree; commands: `test_commands_exist`."""
    assert len(table) > 500
    assert [f"{one.name}: {said}" for row in table for one in row.ours if (said := problem(one))] == []


def test_every_row_names_something_or_says_why_not(table) -> None:
    for row in table:
        gone = row.here.startswith("gone: ") and len(row.here.split()) > 3
        assert row.ours or gone, row


def test_no_name_of_the_librarys_stands_twice(table) -> None:
    seen = [row.there for row in table]
    assert [one for one in seen if seen.count(one) > 1] == []


def test_every_signal_is_one(table) -> None:
    named = {name for row in table for name in row.signals}
    assert named - BY_KEY.keys() <= _ENVELOPE


def test_every_public_attribute_of_the_model_is_on_the_page(table) -> None:
    """Whatever is added to the model has its row."""
    told = {one.name for row in table for one in row.ours}
    for kind in (Vehicle, Capabilities, *_classes(model)):
        place = f"{kind.__module__}.{kind.__name__}"
        names = [one.name for one in fields(kind)] if hasattr(kind, "__dataclass_fields__") else []
        names += [name for name, member in vars(kind).items() if isinstance(member, property)]
        hidden = {"capabilities", "timer_dict", "window_dict"}
        assert [name for name in names if f"{place}.{name}" not in told and name not in hidden] == []
    assert {f"{kind.__module__}.{kind.__name__}" for kind in _classes(words)} <= told
    values = {
        f"{kind.__module__}.{kind.__name__}.{one.name}"
        for kind in words.Word.__subclasses__()
        for one in kind
    }
    assert values <= told


def test_every_name_in_the_librarys_documentation_has_a_row(table, documentation) -> None:
    """With each of its parameters, in brackets or in a row of its own."""
    entries = list(library_documentation.api(documentation))
    assert len(entries) > 280
    assert missing(entries, _told(table)) == []


def test_every_name_of_the_last_release_has_a_row(table) -> None:
    """Also those that its documentation leaves out: what its modules define, and its parser's arguments."""
    lines = (Path(__file__).parent / "bimmer_connected-0.17.4.txt").read_text(encoding="utf-8").splitlines()
    entries = [Entry(one.name, list(one.parts)) for one in map(name, lines)]
    assert len(entries) > 500
    of_commands = [one for one in entries if " " in one.name]
    assert missing([one for one in entries if one not in of_commands], _told(table)) == []
    assert missing(map(of_some_command, of_commands), _told_arguments(table)) == []


def test_every_module_of_the_library_has_a_table_or_a_row(table, documentation) -> None:
    told = _told(table)
    for module in library_documentation.modules(documentation):
        assert any(name == module or name.startswith(f"{module}.") for name in told), module


def test_every_argument_of_the_librarys_command_line_has_a_row(table, documentation) -> None:
    """With each of its choices; ``…`` stands for every sub-command."""
    entries = list(library_documentation.command_line(documentation))
    assert len(entries) > 70
    whole = [Entry(f"bimmerconnected {one.name}", one.parts) for one in entries]
    assert missing(whole, _told_arguments(table)) == []


def test_the_walk_sees_what_is_wrong() -> None:
    for wrong in (
        Name("poller.library.vehicle.Vehicle.wheels"),
        Name("poller.nowhere"),
        Name("poller.library.account.Account", ("wheels",)),
        Name("[display] wheels"),
        Name("[wheels] units"),
        Name("wheels"),
    ):
        assert problem(wrong), wrong
    told = {"library.Account": {"username"}, "bimmerconnected … vin": set()}
    assert missing([Entry("library.Account", ["username"]), Entry("bimmerconnected horn vin")], told) == []
    assert missing([Entry("library.Account.wheels"), Entry("library.Account", ["wheels"])], told) == [
        "library.Account.wheels",
        "library.Account(wheels)",
    ]
    assert missing([Entry("bimmerconnected horn lat")], told) == ["bimmerconnected horn lat"]


def test_an_entry_that_is_not_understood_is_an_error() -> None:
    """So that none can be missed."""
    page = "\nbimmer_connected.account\n- class bimmer_connected.account.A(b: int, *, c: str = 'x')[source]\n"
    assert [(one.name, one.parts) for one in library_documentation.api(page)] == [
        ("bimmer_connected.account.A", ["b", "c"])
    ]
    with pytest.raises(ValueError, match="not understood"):
        list(library_documentation.api(f"{page}- what is this\n"))


def problem(ours: Name) -> str | None:
    """What is wrong with a name of ours; None if it is there, with its parameters."""
    if _COMMAND.fullmatch(ours.name) or _VARIABLE.fullmatch(ours.name):
        return None
    if setting := _SETTING.fullmatch(ours.name):
        return None if setting["key"] in _keys(setting["table"], setting["name"]) else "no such setting"
    try:
        found = _found(ours.name)
    except (ImportError, AttributeError, ValueError) as error:
        return repr(error)
    missing = set(ours.parts) - set(inspect.signature(found).parameters) if ours.parts else set()
    return f"no parameter {', '.join(sorted(missing))}" if missing else None


def _found(name: str) -> Any:
    module, _, rest = name.partition(".")
    if module != "poller":
        raise ValueError("not ours")
    found: Any = importlib.import_module(module)
    for part in rest.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            if part in getattr(found, "__annotations__", {}):
                return None  # an attribute that only its objects have
            if not inspect.ismodule(found):
                raise
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


def _keys(table: str, kind: str | None) -> set[str]:
    """The settings of ``[display]``, of ``[sources.mybmw]`` (by its type), of ``[sinks.axiom]``."""
    of_kinds: dict[str, Any] = {"sources": SOURCES, "sinks": SINKS}.get(table, {})
    if kind is not None:
        return set(of_kinds[kind].model_fields) if kind in of_kinds else set()
    field = Settings.model_fields.get(table)
    return set(getattr(field.annotation, "model_fields", ())) if field else set()


def missing(entries: Iterable[Entry], told: Mapping[str, set[str]]) -> list[str]:
    """The names, and the parts of names, that no row has."""
    lacking = []
    for one in entries:
        known = told.get(one.name, told.get(_for_every(one.name)))
        if known is None:
            lacking.append(one.name)
        lacking += [
            f"{one.name}({part})"
            for part in one.parts
            if part not in (known or ()) and f"{one.name}.{part}" not in told
        ]
    return lacking


def of_some_command(one: Entry) -> Entry:
    """An argument that comes before every sub-command stands in the table as one of each."""
    program, _, argument = one.name.partition(" ")
    return Entry(f"{program} … {argument}", one.parts) if argument.startswith("-") else one


def _for_every(argument: str) -> str:
    """``bimmerconnected status vin`` → the same of every sub-command."""
    words = argument.split(" ", 2)
    return f"{_EVERY}{words[2]}" if len(words) > 2 else ""


def _told_arguments(table: list[Row]) -> dict[str, set[str]]:
    """As `_told`, for the command line; each name of an argument by itself."""
    return {
        f"{head} {word}".rstrip(): parts
        for name, parts in _told(table).items()
        if name.startswith("bimmerconnected ")
        for head, words in [_command_and_words(name)]
        for word in words
    }


def _told(table: list[Row]) -> dict[str, set[str]]:
    """Name → parameters, of all rows."""
    told: dict[str, set[str]] = {}
    for row in table:
        told.setdefault(row.there.name, set()).update(row.there.parts)
    return told


def _command_and_words(name: str) -> tuple[str, list[str]]:
    """``bimmerconnected status -j --json`` → the command, and each name of the argument."""
    program, command, *words = name.split()
    return f"{program} {command}", words or [""]


def _classes(module: Any) -> list[type]:
    return [
        one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__
    ]
