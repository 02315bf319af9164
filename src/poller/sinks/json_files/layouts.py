"""How records become files: one each, or one a day."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

from poller.runtime.atomic import sync_folder, write_atomic
from poller.sinks.base import LIBRARY, Rendered
from poller.sinks.json_files.folders import make_folders
from poller.sinks.json_files.names import day_file, day_files, packed, record_file
from poller.vehicle.records import dumps

#: Ids of this many day files are held in memory; a day of one car has some 300.
_REMEMBERED_DAYS = 32


class Layout(Protocol):
    """Writes records so that they survive power loss; the same record twice changes nothing."""

    def write(self, records: Sequence[Rendered]) -> int:
        """Write the first records that belong into one file; gives how many. OSError: none is done."""
        ...

    def tidy(self, today: date) -> None:
        """What there is to do when a UTC day is over. OSError as the system has it."""
        ...


class SnapshotLayout:
    """A file a record."""

    def __init__(self, root: Path, mode: int) -> None:
        self._root = root
        self._mode = mode

    def write(self, records: Sequence[Rendered]) -> int:
        """Write the first record."""
        path, line = record_file(self._root, records[0]), line_of(records[0])
        try:
            write_atomic(path, line, self._mode)
        except FileNotFoundError:  # the day's first, or somebody tidied up
            make_folders(Path(path).parent, self._mode)
            write_atomic(path, line, self._mode)
        return 1

    def tidy(self, today: date) -> None:
        """Nothing to do."""


class DailyLayout:
    """An NDJSON file a day and vehicle, appended to, compressed when the day is over.

    A record that comes after that begins an .ndjson beside the .gz; the next tidying merges them.
    """

    def __init__(self, root: Path, mode: int) -> None:
        self._root = root
        self._mode = mode
        self._known: dict[Path, set[str]] = {}

    def write(self, records: Sequence[Rendered]) -> int:
        """Append the first records that share a day and a vehicle, without those that are there."""
        path = day_file(self._root, records[0])
        lines: list[bytes] = []
        known = self._ids(path)
        new: set[str] = set()
        count = 0
        for record in records:
            if day_file(self._root, record) != path:
                break
            count += 1
            key = _key_of(record)
            if key not in known and key not in new:
                new.add(key)
                lines.append(line_of(record))
        if lines:
            self._append(path, b"".join(lines))
            known |= new
        return count

    def tidy(self, today: date) -> None:
        """Compress the files of days that are over."""
        failure: OSError | None = None
        for day, path in day_files(self._root):
            if day < today:
                self._known.pop(path, None)
                try:
                    self._pack(path)
                except OSError as error:
                    failure = error
        if failure is not None:
            raise failure

    def _append(self, path: Path, data: bytes) -> None:
        make_folders(path.parent, self._mode)
        fresh = not path.exists()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), self._mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if fresh:
                sync_folder(path.parent)
        except OSError:
            # Perhaps half a line is there: the next write reads and mends the file first.
            self._known.pop(path, None)
            raise

    def _ids(self, path: Path) -> set[str]:
        """Ids in the day's files; on first touch a line torn by a crash is cut off."""
        if path not in self._known:
            while len(self._known) >= _REMEMBERED_DAYS:
                del self._known[next(iter(self._known))]
            _mend(path)
            self._known[path] = set(_keyed(path))
            # A damaged .gz must not stop what comes: at worst a record is in both files.
            with contextlib.suppress(OSError):
                self._known[path] |= _keyed(packed(path)).keys()
        return self._known[path]

    def _pack(self, path: Path) -> None:
        """Merge a day file into its .gz; a crash in between leaves both, which merge to the same."""
        _mend(path)
        merged = _keyed(packed(path)) | _keyed(path)
        write_atomic(packed(path), gzip.compress(b"".join(merged.values()), 6, mtime=0), self._mode)
        path.unlink()
        sync_folder(path.parent)


def line_of(record: Rendered) -> bytes:
    """The record as it stands in files: how it travelled (`replayed`) is left out, so it never differs.

    In the form of bimmer_connected it is the library's keys and nothing else.
    """
    if LIBRARY in record:
        return dumps(record[LIBRARY]).encode() + b"\n"
    return dumps({key: value for key, value in record.items() if key != "replayed"}).encode() + b"\n"


def _key_of(record: Rendered) -> str:
    """What tells a line from others; one without an id stands for itself."""
    return _key_in(line_of(record)) if LIBRARY in record else _key(record)


def _key(record: Rendered) -> str:
    return f"{record['id']} {record.get('revision', 1)}"


def _mend(path: Path) -> None:
    """Cut off what stands after the last newline: it was never confirmed."""
    try:
        with path.open("r+b") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)
                os.fsync(file.fileno())
    except FileNotFoundError:
        return


def _keyed(path: Path) -> dict[str, bytes]:
    """The lines of a day file by record; a line that is no record stands for itself.

    A file that is not there has none. OSError if it cannot be read or unpacked.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except FileNotFoundError:
        return {}
    except (EOFError, zlib.error) as error:
        raise OSError(errno.EIO, "cannot be unpacked", path.name) from error
    return {_key_in(line): line for line in data.splitlines(keepends=True)}


def _key_in(line: bytes) -> str:
    try:
        return _key(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return hashlib.blake2b(line, digest_size=16).hexdigest()
