"""The statements of ``sql/queries.sql`` by name, and the migrations in their order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_FOLDER = files("poller.journal") / "sql"


def read_statements(text: str) -> Mapping[str, str]:
    """Statements by the name in the ``-- name:`` line above each."""
    parts = _NAME.split(text)
    return {name: statement.strip() for name, statement in zip(parts[1::2], parts[2::2], strict=True)}


def migrations() -> Sequence[str]:
    """Scripts of ``sql/migrations``; the nth takes the schema from n to n + 1."""
    scripts = sorted((_FOLDER / "migrations").iterdir(), key=lambda script: script.name)
    return [script.read_text(encoding="utf-8") for script in scripts if script.name.endswith(".sql")]


SQL: Final = read_statements((_FOLDER / "queries.sql").read_text(encoding="utf-8"))
