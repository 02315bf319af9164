"""pydantic's errors as problems: its types and places are used, never its texts with values in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from poller.derive.alerts.settings import CarAlerts
from poller.settings.layers import Layers
from poller.settings.problems import Place, Problem, dotted, nearest, variable
from poller.settings.tree import SINKS, SOURCES, Settings, Vehicle
from poller.settings.variables import AXIOM_TOKEN

_KINDS: Mapping[str, Mapping[str, type[BaseModel]]] = {"sources": SOURCES, "sinks": SINKS}
_NAMED = ("sources", "sinks", "vehicles")


def problems_of(error: ValidationError, layers: Layers) -> list[Problem]:
    """Every error in words, with what gave the value."""
    found = error.errors(include_url=False, include_input=False)
    return [_problem(details, layers) for details in found]


def _problem(details: ErrorDetails, layers: Layers) -> Problem:
    location = details["loc"]
    place = _place(location, layers)
    if details["type"] == "extra_forbidden":
        text = _unknown(place, _known(location), layers)
    elif details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        text = _kind(place, layers)
        place = (*place, "type")
    elif details["type"] == "missing":
        text = f"is missing: add it under [{dotted(place[:-1])}]" if place[:-1] else "is missing: add it"
        also = f" or {AXIOM_TOKEN}" if place[0] == "sinks" and place[-1] == "token" else ""
        text += f" or set {variable(place)}{also}" + _meant(place[:-1], layers)
    elif details["type"] in _TABLE_WANTED:
        text = _table_wanted(place, layers)
    else:
        text = _WORDS.get(details["type"], _own_words)(details)
    origin = layers.origin(place) or (
        layers.origin(place[:-1]) if _only_outside(place[:-1], layers) else None
    )
    return Problem(place, text, origin)


def _place(location: tuple[int | str, ...], layers: Layers) -> Place:
    """The path in the file: without the union's tag; positions in brackets where a list was given."""
    parts = list(location)
    if len(parts) > 2 and parts[0] in _KINDS:
        del parts[2]
    place: list[str] = []
    for part in parts:
        if isinstance(part, str):
            place.append(part)
        elif not isinstance(one := layers.value(tuple(place)), str) or "," in one:
            place[-1] += f"[{part}]"
    return tuple(place)


def _known(location: tuple[int | str, ...]) -> list[str]:
    """The names that are allowed where an unknown one stands."""
    match location:
        case [str(group), _, str(kind), _] if group in _KINDS:
            return list(_KINDS[group][kind].model_fields)
        case ["vehicles", _, "alerts", _]:
            return list(CarAlerts.model_fields)
        case ["vehicles", _, _]:
            return list(Vehicle.model_fields)
        case [str(table), _]:
            return table_fields(table)
    return list(Settings.model_fields)


def table_fields(table: str) -> list[str]:
    """The settings of a table with a fixed name, such as "poll"; none for all else."""
    annotation: object = Settings.model_fields[table].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []


def _fields_or_none(table: str) -> list[str]:
    return table_fields(table) if table in Settings.model_fields else []


def _unknown(place: Place, known: list[str], layers: Layers) -> str:
    *tables, name = place
    # One underscore where two part the levels: POLLER_POLL_INTERVAL.
    table, _, rest_of_name = str(name).partition("_")
    if not tables and rest_of_name and rest_of_name in _fields_or_none(table):
        return f"unknown: is {variable((table, rest_of_name))} meant? Two underscores part the levels"
    near = nearest(name, known)
    homes = [table for table in Settings.model_fields if not tables and name in table_fields(table)]
    if homes:
        meant: Place = (homes[0], name)
        mend = f"it belongs under [{homes[0]}]"
    elif near is not None:
        meant = (*tables, near)
        mend = f'is "{near}" meant?'
    else:
        return f"unknown: here may stand {', '.join(known)}"
    given = layers.given_below(place)
    if given:
        rest = given[0][len(place) :]
        mend = f"is {variable((*meant, *rest))} meant?"
    return f"unknown: {mend}"


def _kind(place: Place, layers: Layers) -> str:
    group, name = place
    kinds = list(_KINDS[group])
    kind = layers.value((group, name, "type"))
    known = " | ".join(kinds)
    if kind is None:
        add = f'add type = "…" under [{dotted(place)}] or set {variable((*place, "type"))}'
        return f"is missing: {add}; known: {known}" + _meant(place, layers)
    near = nearest(kind, kinds) if isinstance(kind, str) else None
    return f"unknown type; known: {known}" + (f'; is "{near}" meant?' if near else "")


def _meant(table: Place, layers: Layers) -> str:
    """A hint where variables made a table that the file has under another name."""
    in_file = layers.document.get(table[0]) if _only_outside(table, layers) else None
    if not isinstance(in_file, dict) or not in_file:
        return ""
    near = nearest(table[1], in_file)
    there = ", ".join(f"[{dotted((table[0], name))}]" for name in in_file)
    mend = f": is {variable((table[0], near))}__… meant?" if near else ""
    return f"; the file has no [{dotted(table)}], but {there}{mend}"


def _only_outside(table: Place, layers: Layers) -> bool:
    """Whether a named table is not in the file at all."""
    in_file = layers.document.get(table[0]) if table else None
    return len(table) == 2 and table[0] in _NAMED and not (isinstance(in_file, dict) and table[1] in in_file)


_TABLE_WANTED = ("model_type", "model_attributes_type", "dict_type", "mapping_type")


def _table_wanted(place: Place, layers: Layers) -> str:
    if layers.origin(place):
        return f"is a table, which no single variable gives: write {variable(place)}__KEY for each key"
    if place[0] in _NAMED and len(place) == 2:
        return f"expected a table: give it a name of its own, as in [{place[0]}.NAME]"
    return f"expected a table: write [{dotted(place)}{'.NAME' if place[0] in _NAMED else ''}]"


def _own_words(details: ErrorDetails) -> str:
    """What our validators say, and pydantic of numbers; neither holds a value."""
    text = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return text.replace("should be", "must be", 1)


def _choices(details: ErrorDetails) -> str:
    expected: str = details["ctx"]["expected"]
    return "expected one of " + expected.replace("'", '"')


def _says(text: str) -> Callable[[ErrorDetails], str]:
    return lambda _: text


_WORDS: dict[str, Callable[[ErrorDetails], str]] = {
    "literal_error": _choices,
    "string_type": _says('expected text in quotes, such as "text"'),
    "path_type": _says('expected a path in quotes, such as "/var/lib/poller"'),
    "tuple_type": _says('expected a list in square brackets, such as ["one", "two"]'),
    "string_too_short": _says("must not be empty"),
    "too_short": _says("must not be empty"),
}
