"""What bimmer_connected's own documentation describes: every name in its text, as Sphinx renders it.

A line that stands where an entry stands and is not understood raises, so that none can be missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_COMMANDS = "\nbimmerconnected\nA simple executable to use and test the library.\n"
_MODULES = "\nbimmer_connected.account\n"

_MODULE = re.compile(r"bimmer_connected(?:\.\w+)+")
_PACKAGE = r"(?P<owner>bimmer_connected(?:\.\w+)*)\.(?P<name>\w+)"
_CLASS = re.compile(rf"- (?:class|exception) {_PACKAGE}(?P<rest>.*)")
_FUNCTION = re.compile(rf"- {_PACKAGE}(?P<rest>\(.*)")
_METHOD = re.compile(r"- (?:(?:async|static|classmethod) )*(?P<name>\w+)(?P<rest>\(.*)")
_ATTRIBUTE = re.compile(r"- (?:property )?(?P<name>\w+)(?:: .+| = .+)?")
_NO_ENTRY = {"- Parameters:"}
#: What every enumeration's constructor takes.
_OF_ENUM = {"value", "names", "module", "qualname", "type", "start", "boundary"}
_CHOICES = "Possible choices: "


@dataclass
class Entry:
    """A name with its owner in front; `parts`: parameters of what is called, choices of an argument."""

    name: str
    parts: list[str] = field(default_factory=list)


def modules(text: str) -> list[str]:
    """The modules that have a page or a section, in the documentation's order."""
    return [line for line in _after(text, _MODULES).splitlines() if _MODULE.fullmatch(line)]


def api(text: str) -> Iterator[Entry]:
    """Classes, exceptions, functions, methods, properties, attributes, values: by full name."""
    owner = ""
    for line in _after(text, _MODULES).splitlines():
        if not line.startswith("- ") or line in _NO_ENTRY:
            continue
        line = line.removesuffix("[source]").rstrip()  # noqa: PLW2901  # the link is no part of the entry
        if found := _CLASS.fullmatch(line):
            owner = f"{found['owner']}.{found['name']}"
            yield Entry(owner, _parameters(found["rest"]))
        elif found := _FUNCTION.fullmatch(line):
            yield Entry(f"{found['owner']}.{found['name']}", _parameters(found["rest"]))
        elif found := _METHOD.fullmatch(line):
            yield Entry(f"{owner}.{found['name']}", _parameters(found["rest"]))
        elif found := _ATTRIBUTE.fullmatch(line):
            yield Entry(f"{owner}.{found['name']}")
        else:
            raise ValueError(f"not understood: {line}")


def command_line(text: str) -> Iterator[Entry]:
    """The sub-commands, and their arguments as ``status --json``; of an option the long form."""
    lines = _after(text, _COMMANDS).partition(_MODULES)[0].splitlines()
    known = next(line for line in lines if line.startswith(_CHOICES))
    commands = [word.strip() for word in known.removeprefix(_CHOICES).split(",")]
    command, last = "", Entry("")
    for line in lines[lines.index("Sub-commands") :]:
        if line in commands:
            command, last = line, Entry(line)
            yield last
        elif line.startswith("- "):
            last = Entry(f"{command} {_longest(line.removeprefix('- '))}")
            yield last
        elif line.startswith(_CHOICES):
            last.parts += [word.strip() for word in line.removeprefix(_CHOICES).split(",")]


def _longest(names: str) -> str:
    return max((name.strip() for name in names.split(",")), key=len)


def _after(text: str, mark: str) -> str:
    before, found, rest = text.partition(mark)
    if not found:
        raise ValueError(f"{mark.strip().splitlines()[0]} has no page")
    return mark.lstrip("\n") + rest if before else rest


def _parameters(rest: str) -> list[str]:
    """Names in ``(a: str, b: Dict[str, int] = None) -> X``, without those of every enumeration."""
    names, depth, start = [], 0, 1
    for place, sign in enumerate(rest):
        depth += (sign in "([{") - (sign in ")]}")
        if (sign == "," and depth == 1) or (sign == ")" and depth == 0):
            names.append(rest[start:place])
            start = place + 1
        if depth == 0:
            break
    bare = [re.split(r"[:=]", name)[0].strip() for name in names]
    if "qualname" in bare:
        bare = [name for name in bare if name not in _OF_ENUM]
    return [name for name in bare if re.fullmatch(r"\w+", name)]
