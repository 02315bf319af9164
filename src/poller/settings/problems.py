"""Problems in words: where, what, where it came from, and the mend. Values are never shown.

pydantic's own texts show whole tables, passwords included; only its error types are used.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

Place = tuple[str, ...]
PREFIX = "POLLER_"
NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `place` is its path in the file; `text` holds the mend."""

    place: Place
    text: str
    origin: str | None = None

    def render(self, file: str) -> str:
        """One line that names `file`, the path, and what gave the value if not the file."""
        where = f"{dotted(self.place)}: " if self.place else ""
        return f"{file}: {where}{self.text}" + (f" (from {self.origin})" if self.origin else "")


def dotted(place: Place) -> str:
    """`place` as TOML writes it: ``sources.bmw.vins``; odd names in quotes."""
    bare = re.compile(r"[A-Za-z0-9_-]+(\[\d+\])*")
    return ".".join(part if bare.fullmatch(part) else json.dumps(part) for part in place)


def spelt(name: str) -> str:
    """A name as a variable spells it."""
    return name.upper().replace("-", "_")


def variable(place: Place) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(spelt(part) for part in place)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelt most like `name`, if any is."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1)
    return near[0] if near else None
