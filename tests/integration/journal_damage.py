"""How tests break a journal's file."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def break_page_of(path: Path, table: str) -> None:
    """Overwrite a page in the middle of a table's or an index's rows with noise."""
    db = sqlite3.connect(path)
    pages = [page for (page,) in db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))]
    db.close()
    with path.open("r+b") as file:
        file.seek((pages[0] - 1) * 4096)
        root = file.read(4096)
        assert root[0] in (2, 5), "the table must have grown beyond one page"
        cells = int.from_bytes(root[3:5], "big")
        middle = int.from_bytes(root[12 + 2 * (cells // 2) :][:2], "big")
        child = int.from_bytes(root[middle : middle + 4], "big")
        file.seek((child - 1) * 4096)
        file.write(b"\xa5" * 4096)
