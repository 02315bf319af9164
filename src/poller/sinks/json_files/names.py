"""What our files and folders are called; nothing else under the directory is ever touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from poller.sinks.base import Rendered
from poller.vehicle.records import parse_time

_DAY = r"\d{4}-\d\d-\d\d"
_DAY_FOLDER = re.compile(rf"({_DAY})")
_DAY_FILE = re.compile(rf"({_DAY})\.ndjson")
#: Also the packed ones, and what a crash left of packing.
_ANY_DAY_FILE = re.compile(rf"({_DAY})\.ndjson(?:\.gz)?|\.({_DAY})\.ndjson\.gz\.[0-9a-f]{{8}}\.tmp")
_RECORD_FILE = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}(?:-[a-z_]+)?\.json")
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def record_file(root: Path, record: Rendered) -> str:
    """``<root>/<vehicle>/2026-11-21/20261121T140203.123Z-1a2b3c4d.json``; other kinds add ``-<kind>``.

    No Path, for the reason that `runtime.atomic` gives.
    """
    received = parse_time(record["received_at"])
    stamp = f"{received:%Y%m%dT%H%M%S}.{received.microsecond // 1000:03}Z"
    kind = record["kind"]
    suffix = "" if kind == "snapshot" else f"-{_UNSAFE.sub('_', kind)}"
    name = f"{stamp}-{_UNSAFE.sub('_', record['id'][:8])}{suffix}.json"
    return f"{root}/{_folder_name(record)}/{received:%Y-%m-%d}/{name}"


def day_file(root: Path, record: Rendered) -> Path:
    """``<root>/<vehicle>/2026-11-21.ndjson``, by the UTC day on which the answer was received."""
    return root / _folder_name(record) / f"{parse_time(record['received_at']):%Y-%m-%d}.ndjson"


def _folder_name(record: Rendered) -> str:
    """Whatever a vehicle calls itself, its folder stays below `root`."""
    return _UNSAFE.sub("_", record["vehicle"]) or "_"


def packed(path: Path) -> Path:
    """The compressed twin of a day file."""
    return path.with_name(path.name + ".gz")


def day_files(root: Path) -> Iterator[tuple[date, Path]]:
    """Day files that are not compressed yet, with their day."""
    for folder in _folders(root):
        for entry in _entries(folder):
            day = _day(_DAY_FILE, entry.name)
            if day is not None and entry.is_file(follow_symlinks=False):
                yield day, Path(entry.path)


def older_than(root: Path, limit: date) -> Iterator[Path]:
    """Our own files of days before `limit`, judged by their paths alone."""
    for folder in _folders(root):
        for entry in _entries(folder):
            if entry.is_file(follow_symlinks=False):
                day = _day(_ANY_DAY_FILE, entry.name)
                if day is not None and day < limit:
                    yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                day = _day(_DAY_FOLDER, entry.name)
                if day is not None and day < limit:
                    yield from _record_files(Path(entry.path))


def _record_files(folder: Path) -> Iterator[Path]:
    for entry in _entries(folder):
        ours = _RECORD_FILE.fullmatch(entry.name) or _LEFT_OVER.fullmatch(entry.name)
        if ours and entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _folders(root: Path) -> Iterator[Path]:
    return (Path(entry.path) for entry in _entries(root) if entry.is_dir(follow_symlinks=False))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The folder's entries by name; none if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _day(pattern: re.Pattern[str], name: str) -> date | None:
    """The day in a name of ours; None for any other name."""
    match = pattern.fullmatch(name)
    try:
        return date.fromisoformat(next(filter(None, match.groups()))) if match else None
    except ValueError:
        return None
