"""JSON token by token, whole or broken: every value with what its name says that it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from poller.runtime.redact import meaning, plain

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<mark>[{}\[\],:])|(?P<key>"(?:[^"\\]|\\.)*+"(?=\s*:))|(?P<text>"(?:[^"\\]|\\.)*(?:"|(?P<cut>\\?\Z)))"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))|(?P<word>[^\s{}\[\],:"]+)|(?P<rest>.)""",
    re.DOTALL,
)
_LAST_WORD: Final = re.compile(r"[^\s\"{}\[\]]+\s*\Z")
_TAIL: Final = 200
_LITERALS: Final = frozenset({"true", "false", "null", "NaN", "Infinity", "-Infinity"})
#: Below these, a name is that of a message, a part or a function.
_PARTS: Final = frozenset(
    {
        "checkcontrolmessages", "requiredservices", "messages", "conditionbasedservices", "tirestate",
        "tires", "lids", "windows", "openlids", "openwindows", "capabilities", "remoteservices",
        "climatetimers", "departuretimes", "chargeandclimatesettings", "descriptors", "businesserrors",
        "errordetails",
    }
)  # fmt: skip
#: Those whose value is a person's name, of all that mean a name.
_PERSONS: Final = re.compile(
    r"owner|user|.*(owner|user|driver|customer|contact|person|holder|first|middle|last|given|family|sur|full)name"
)
#: What the car is: a word of these is nobody's name.
_OF_THE_CAR: Final = frozenset({"brand", "model", "modelname", "brandname"})
#: In an object that is one of these, what a name is: that of a house, a place, or whose account it is.
_CALLED: Final = {"dealer": "called", "place": "called", "address": "called", "account": "holder"}
_PART_NAMES: Final = frozenset({"name", "code"})
#: In an object that stands for a personal value, these say how to read it.
_NEUTRAL: Final = frozenset(
    {
        "unit",
        "timestamp",
        "time",
        "via",
        "type",
        "status",
        "receivedat",
        "country",
        "countrycode",
        "timezone",
        "accountregion",
    }
)
#: CarData's keys end in a word that elsewhere means something personal: a fault's code, a door's position.
_NOT_DOTTED: Final = frozenset({"code", "name"})


class Replaces(Protocol):
    """Whoever knows what takes the place of what. `what`: from the table of `redact`, or None.

    Beside these: ``owner``, a name that is a person's; ``called``, one of a dealer or a place; ``holder``,
    one of an account; ``car``, what the car is, which stays.
    """

    def string(self, value: str, what: str | None) -> str:
        """For a text."""
        ...

    def number(self, literal: str, what: str | None) -> str:
        """For a number's literal."""
        ...

    def key(self, text: str) -> str:
        """For a name itself."""
        ...


@dataclass(slots=True)
class _Level:
    """An object, a list, or what is around them. `around`: what it is as a whole; `what`: the value now due.

    `keys`: those that were replaced.
    """

    around: str | None
    in_parts: bool
    what: str | None
    parts_next: bool
    keys: set[str] = field(default_factory=set)


def scan(text: str, by: Replaces, what: str | None = None) -> str:
    """`text` with its values replaced; all else stays as it is. `what`: what it is as a whole."""
    return "".join(_replaced(text, by, what))


def laid_out(text: str) -> str:
    """JSON with each member on a line of its own, four blanks a level; literals and order stay."""
    out: list[str] = []
    depth = 0
    before = ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if match.lastgroup == "space":
            continue
        if token in ("}", "]"):
            depth -= 1
            if before not in ("{", "["):
                out.append("\n" + "    " * depth)
        elif before in ("{", "[", ","):
            out.append("\n" + "    " * depth)
        depth += token in ("{", "[")
        out.append(": " if match[0] == ":" else token)
        before = token
    return "".join(out) + "\n"


def is_json(text: str) -> bool:
    """Whether a text is JSON as a whole."""
    try:
        json.loads(text, parse_int=float)  # a number of 5,000 digits is one
    except (ValueError, RecursionError):
        return False
    return True


def _replaced(text: str, by: Replaces, what: str | None) -> Iterator[str]:
    levels = [_Level(what, False, what, False)]
    for match in _TOKEN.finditer(text):
        token, level = match[0], levels[-1]
        if match.lastgroup == "mark":
            _step(levels, token)
            yield token
        elif match.lastgroup == "key":
            key = _decoded(token)
            _due(level, key)
            new = by.key(key)
            yield token if new == key else _encoded(_another(new, level.keys))
        elif match["cut"] is not None:
            yield f'"{_without_last_words(by.string(token[1:], level.what))}'
        elif match.lastgroup == "text":
            value = _decoded(token)
            new = by.string(value, level.what)
            yield token if new == value else _encoded(new)
        elif match.lastgroup == "number":
            yield by.number(token, level.what)
        elif match.lastgroup == "word" and token not in _LITERALS:
            yield by.string(token, level.what)
        else:
            yield token


def _step(levels: list[_Level], mark: str) -> None:
    """Into an object or a list, or out of it."""
    level = levels[-1]
    if mark in "{[":
        inner = "place" if level.what == "spot" else level.what
        levels.append(_Level(inner, level.parts_next, inner, level.parts_next))
    elif mark in "}]" and len(levels) > 1:
        levels.pop()


def _due(level: _Level, key: str) -> None:
    """A value of this name comes."""
    dotted = key.startswith("vehicle.")
    name = plain(key.rpartition(".")[2] if dotted else key)
    what = name if name == "code" else meaning(name)
    if (dotted and (name in _NOT_DOTTED or what == "spot")) or (
        level.in_parts and level.around is None and name in _PART_NAMES
    ):
        what = None
    elif what == "name" and (level.around in ("owner", "person") or _PERSONS.fullmatch(name)):
        what = "owner"
    elif what == "name" and level.around in _CALLED:
        what = _CALLED[level.around]
    elif what is None and name not in _NEUTRAL:
        what = "name" if level.around == "owner" else level.around
    if what is None and name in _OF_THE_CAR:
        what = "car"
    level.what = what
    level.parts_next = level.in_parts or name in _PARTS


def _another(key: str, taken: set[str]) -> str:
    """A key that no other one became."""
    number, new = 1, key
    while new in taken:
        number += 1
        new = f"{key}_{number}"
    taken.add(new)
    return new


def _decoded(token: str) -> str:
    """What a JSON text says; one that is spelt wrong, as it is."""
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]


def _without_last_words(text: str) -> str:
    """A text that is cut off in the middle of an address, whose rest has no look any more."""
    begin, end = text[:-_TAIL], text[-_TAIL:]
    for _ in range(3):
        end = _LAST_WORD.sub("", end)
    return begin + end


def _encoded(value: str) -> str:
    return json.dumps(value, ensure_ascii=not _is_writable(value))


def _is_writable(text: str) -> bool:
    """Whether UTF-8 has it: half a surrogate pair can be written in JSON only."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
