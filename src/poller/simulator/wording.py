"""What is wrong with an order or a scenario, in words: every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from poller.settings.problems import nearest

_WORDS: Mapping[str, str] = {
    "string_type": "expected text in quotes",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": 'expected a path that begins with "/"',
    "model_type": "expected a table of names and values",
    "model_attributes_type": "expected a table of names and values",
    "mapping_type": "expected a table of names and texts",
    "dict_type": "expected a table of names and texts",
    "tuple_type": "expected a list in square brackets",
    "list_type": "expected a list in square brackets",
    "json_invalid": "expected JSON",
}
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def problems_of(error: ValidationError, models: Mapping[str, type[BaseModel]]) -> list[str]:
    """One line each: place, what is wrong, the mend.

    `models`: the table that stands in each list, and under "" the outermost; they know the names.
    """
    found = error.errors(include_url=False)
    return list(dict.fromkeys(_line(details, models) for details in found))


def ordinal(number: int) -> str:
    """The number as people count: 1st, 2nd, 3rd, 4th."""
    return _ORDINALS.get(number, f"{number}th")


def _line(details: ErrorDetails, models: Mapping[str, type[BaseModel]]) -> str:
    location = details["loc"]
    where = "".join(f"{part}: " for part in _places(location))
    if details["type"] == "extra_forbidden":
        return where + _unknown(str(location[-1]), _names(_model(location, models)))
    if details["type"] == "missing":
        return where + "is missing: add it"
    if details["type"] == "literal_error":
        return where + _no_choice(details)
    if details["type"] in ("tuple_type", "list_type") and isinstance(details["input"], dict):
        return where + f"one table stands where a list is expected: write [[{location[-1]}]]"
    own = (
        details["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should be", "must be", 1)
    )
    return where + _WORDS.get(details["type"], own)


def _model(location: Sequence[str | int], models: Mapping[str, type[BaseModel]]) -> type[BaseModel]:
    inner = [part for part in location if part in models]
    return models[str(inner[0])] if inner else models[""]


def _places(location: Sequence[str | int]) -> Iterable[str]:
    """``faults, 1, kind`` is said as people count: "2nd [[faults]]", "kind"."""
    parts = list(location)
    while parts:
        name = str(parts.pop(0))
        if parts and isinstance(parts[0], int):
            name = f"{ordinal(int(parts.pop(0)) + 1)} [[{name}]]"
        yield name


def _names(model: type[BaseModel]) -> list[str]:
    """The names that may stand in a table, as they are written in TOML."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f'unknown: is "{near}" meant?' if near else f"unknown: here may stand {', '.join(known)}"


def _no_choice(details: ErrorDetails) -> str:
    expected = details["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
    given: Any = details["input"]
    near = nearest(given, expected.split(", ")) if isinstance(given, str) else None
    meant = f'is "{near}" meant? ' if near else ""
    return f"unknown: {meant}known: {expected.replace(', ', ' | ')}"
