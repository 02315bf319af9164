"""Bringing a journal to today's schema: after a copy, all steps in one transaction, or not at all."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from poller import __version__
from poller.errors import JournalError
from poller.journal import place
from poller.journal.copying import write_copy
from poller.journal.faults import Damaged, Fault, fault_of
from poller.journal.queries import SQL
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.vehicle.records import dumps, rfc3339

#: "poll" in ASCII, in the file's header: tells our files from other SQLite files.
APPLICATION: Final = 0x706F6C6C
#: Under this key stands who made the schema, for an older poller that must refuse it.
SCHEMA: Final = "journal:schema"
#: Of each schema the newest copy is kept, of the newest schemas so many.
KEPT: Final = 2
#: Between the name of a copy and the schema that came after it.
_BEFORE: Final = ".before-schema-"
#: Bytes that a migration may need beside the copy and a log as large as the journal.
_ROOM: Final = 16 * 2**20
#: Where SQLite keeps `user_version` in a file.
_VERSION_AT: Final = slice(60, 64)

logger = log.get("journal")


def migrate(db: sqlite3.Connection, path: Path, scripts: Sequence[str], clock: Clock) -> bool:
    """Apply the scripts that are missing; True for a file that was empty.

    `db` is the only connection to `path` that writes, and in no transaction. A journal with anything
    in it is copied first. Raises JournalError, with the journal as it was; sqlite3.Error if it is damaged.
    """
    version = _version(db, path)
    if version > len(scripts):
        raise _too_new(db, path, version, len(scripts))
    if version == len(scripts):
        return False
    if version == 0:
        _apply(db, scripts, 0, clock)
        return True
    _upgrade(db, path, scripts, version, clock)
    return False


def copies(path: Path) -> list[Path]:
    """What was copied before migrations of the journal at `path`, the oldest schema first."""
    return [copy for _, _, copy in sorted(_copies(path))]


def _version(db: sqlite3.Connection, path: Path) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION and (version or tables):
        raise JournalError(f"{path} is not a journal", hint="move it away, or choose another data_dir")
    return int(version)


def _upgrade(db: sqlite3.Connection, path: Path, scripts: Sequence[str], old: int, clock: Clock) -> None:
    new = len(scripts)
    logger.info("journal.migrating", schema=old, to=new)
    started = clock.monotonic()
    copy = _keep_copy(db, path, new, clock)
    try:
        _apply(db, scripts, old, clock)
    except sqlite3.Error as error:
        if fault_of(error) is Fault.DAMAGED:
            raise
        raise _unmigrated(path, old, new, error, copy) from error
    # As long as the journal by now; nobody else has it open yet.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    _drop_old_copies(path)
    seconds = round(clock.monotonic() - started, 1)
    logger.info("journal.migrated", schema=new, before=old, copy=str(copy), seconds=seconds)


def _apply(db: sqlite3.Connection, scripts: Sequence[str], old: int, clock: Clock) -> None:
    missing = "\n".join(scripts[old:])
    made = {"schema": len(scripts), "poller": __version__, "at": rfc3339(clock.now())}
    try:
        db.executescript(
            f"BEGIN IMMEDIATE;\n{missing}\nPRAGMA application_id = {APPLICATION};\n"
            f"PRAGMA user_version = {len(scripts)};"
        )
        db.execute(SQL["memory_put"], (SCHEMA, dumps(made)))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _keep_copy(db: sqlite3.Connection, path: Path, schema: int, clock: Clock) -> Path:
    if (known := _copy_as_it_is(path, schema)) is not None:
        return known
    needed, free = 2 * place.size_of(path) + _ROOM, place.free_beside(path)
    if needed > free:
        raise JournalError(
            f"{path} must be brought to schema {schema}, which takes {_mib(needed)} on its disk "
            f"(a copy, and room to work), and {_mib(free)} are free; nothing was changed",
            hint="free disk space and start again, or run the former version",
        )
    to = path.with_name(f"{path.name}{_BEFORE}{schema}-{clock.now():%Y%m%dT%H%M%SZ}")
    try:
        write_copy(db, to)
    except Damaged as error:
        damaged = sqlite3.DatabaseError(str(error))
        damaged.sqlite_errorname = "SQLITE_CORRUPT"
        raise damaged from error
    except (OSError, sqlite3.Error) as error:
        if fault_of(error) is Fault.DAMAGED:
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise JournalError(
            f"{path} cannot be copied to {to.name}, and is not brought to schema {schema} without: {why}",
            hint="mend the disk and start again, or run the former version",
        ) from error
    # A start that is killed again and again must not fill the disk.
    _drop_old_copies(path)
    return to


def _copy_as_it_is(path: Path, schema: int) -> Path | None:
    """The copy that an earlier try made, if the journal has not changed since.

    A service manager tries again every few seconds: that must not write gigabytes each time.
    """
    wal = path.with_name(path.name + "-wal")
    parts = [path, *([wal] if wal.exists() and wal.stat().st_size else [])]
    changed = max(part.stat().st_mtime_ns for part in parts)
    made = [copy for number, _, copy in sorted(_copies(path)) if number == schema]
    return made[-1] if made and made[-1].stat().st_mtime_ns > changed else None


def _drop_old_copies(path: Path) -> None:
    newest = {schema: copy for schema, _, copy in sorted(_copies(path))}
    kept = {newest[schema] for schema in sorted(newest)[-KEPT:]}
    for copy in copies(path):
        if copy not in kept:
            copy.unlink(missing_ok=True)
            logger.info("journal.copy_dropped", file=str(copy))


def _copies(path: Path) -> Iterator[tuple[int, str, Path]]:
    """Schema that came after it, time and path of each copy."""
    name = re.compile(re.escape(path.name + _BEFORE) + r"(\d+)-(\d{8}T\d{6}Z)")
    for copy in path.parent.glob(f"{path.name}{_BEFORE}*"):
        if match := name.fullmatch(copy.name):
            yield int(match[1]), match[2], copy


def _schema_of(copy: Path) -> int:
    """The schema in a file's header; one that cannot be read is of no schema that anybody knows."""
    try:
        with copy.open("rb") as file:
            return int.from_bytes(file.read(100)[_VERSION_AT], "big") or 2**31
    except OSError:
        return 2**31


def _too_new(db: sqlite3.Connection, path: Path, version: int, known: int) -> JournalError:
    maker = _maker(db, version)
    writer = f"poller {maker}" if maker else "a newer poller"
    words = (
        f"{path} was written by {writer} (schema {version}); "
        f"this is poller {__version__}, which knows schema {known}"
    )
    again = f"install {writer} or newer again" if maker else "install the newer version again"
    usable = [copy for copy in copies(path) if _schema_of(copy) <= known]
    if not usable:
        return JournalError(words, hint=f"{again}, or restore a backup that this version made")
    move = f"move {path.name}, {path.name}-wal and {path.name}-shm away and rename {usable[-1].name}"
    return JournalError(words, hint=f"{again}; or go back to how it was before: {move} to {path.name}")


def _maker(db: sqlite3.Connection, schema: int) -> str:
    """The version that made the schema; "" where a schema that we do not know keeps it elsewhere."""
    try:
        (value,) = db.execute(SQL["memory_get"], (SCHEMA,)).fetchone()
        made = json.loads(value)
        return str(made["poller"]) if made["schema"] == schema else ""
    except (sqlite3.Error, TypeError, ValueError, KeyError):
        return ""


def _unmigrated(path: Path, old: int, new: int, error: sqlite3.Error, copy: Path) -> JournalError:
    words = f"{path} could not be brought from schema {old} to {new}: {error}; it is as it was"
    if fault_of(error) is Fault.FULL:
        return JournalError(words, hint="free disk space and start again, or run the former version")
    return JournalError(
        words, hint=f"run the former version, and report this; a copy of the journal is {copy.name}"
    )


def _mib(size: int) -> str:
    return f"{-(-size // 2**20):,} MiB"
