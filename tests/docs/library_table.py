"""The tables of docs/from-bimmer-connected.md: names of the library's, and what stands for them here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PAGE = "docs/from-bimmer-connected.md"
#: A table's head: "there", and of what module or program the names in it are.
_HEAD = re.compile(r"there: `(?P<of>[\w.]+)`")
_SPAN = re.compile(r"`([^`]+)`")
_CALLED = re.compile(r"(?P<name>[^()]+)(?:\((?P<parts>[^()]*)\))?")
_COMMAND_LINE = "bimmerconnected"


@dataclass(frozen=True)
class Name:
    """A name with its parameters or choices, as ``Account(username)``."""

    name: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row. `here`: what the second cell says; `ours`: the names in it; `signals`: the third cell's."""

    there: Name
    here: str
    ours: tuple[Name, ...]
    signals: tuple[str, ...] = ()


def rows(page: str) -> Iterator[Row]:
    """All rows of all tables whose first column is the library's."""
    for head, *lines in _tables(page):
        if found := _HEAD.fullmatch(head[0]):
            yield from (_row(found["of"], cells) for cells in lines[1:])


def name(text: str) -> Name:
    """``f(a, b)`` → f with a and b. Raises ValueError for what is no name."""
    found = _CALLED.fullmatch(text)
    if found is None:
        raise ValueError(f"no name: {text}")
    parts = (found["parts"] or "").split(",")
    return Name(found["name"].strip(), tuple(part.strip() for part in parts if part.strip()))


def _row(of: str, cells: list[str]) -> Row:
    there = name(cells[0].strip("`"))
    between = " " if of == _COMMAND_LINE else "."
    return Row(
        Name(f"{of}{between}{there.name}", there.parts),
        cells[1],
        tuple(name(span) for span in _SPAN.findall(cells[1])),
        tuple(_SPAN.findall(cells[2])) if len(cells) > 2 else (),
    )


def _tables(page: str) -> Iterator[list[list[str]]]:
    for block in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        yield [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
