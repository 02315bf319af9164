"""How tests break a journal's file."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def break_root_of(path: Path, table: str) -> None:
    """Overwrite the page that leads to all others of a table or an index with noise."""
    _overwrite(path, _root_of(path, table))


def break_page_of(path: Path, table: str, share: float = 0.5) -> None:
    """Overwrite a page of a table's or an index's rows with noise; `share`: how far behind the first."""
    number = _root_of(path, table)
    with path.open("rb") as file:
        file.seek((number - 1) * 4096)
        root = file.read(4096)
    assert root[0] in (2, 5), "the table must have grown beyond one page"
    cells = int.from_bytes(root[3:5], "big")
    cell = int.from_bytes(root[12 + 2 * int(cells * share) :][:2], "big")
    _overwrite(path, int.from_bytes(root[cell : cell + 4], "big"))


def _root_of(path: Path, table: str) -> int:
    db = sqlite3.connect(path)
    pages = [page for (page,) in db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))]
    db.close()
    return pages[0]


def _overwrite(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
