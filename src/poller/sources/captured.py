"""Captured answers on disk: what the files of a folder hold, without understanding the answers."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from poller.errors import MalformedAnswer
from poller.runtime.redact import MASK, redact
from poller.sources.fingerprint import CARDATA, read_name
from poller.sources.library_json import Json, bodies_of, own_time, read_time, read_vehicles, vin_of

#: Bytes, uncompressed; a dump of ten cars is some 200 kB.
_MAX_FILE: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Capture:
    """Files that belong together: a dump, or what a fingerprint holds of one vehicle.

    `ref` is the path below the folder. `mark` changes whenever a file's content, or the right to
    read it, may have changed (size and change time).
    """

    ref: str
    files: Mapping[str, Path]
    vin: str | None
    mark: str


@dataclass(frozen=True, slots=True)
class Found:
    """One answer in a capture. `received_at` is its own time, never the file's."""

    vin: str
    received_at: datetime
    bodies: Mapping[str, bytes]


def captures(folder: Path) -> Iterator[Capture]:
    """All captures below `folder`. Raises OSError if the folder cannot be listed."""
    for place, below, names in os.walk(folder, onerror=_raise):
        below.sort()
        fingerprints: dict[tuple[str, bool], dict[str, Path]] = {}
        for name in sorted(names):
            path = Path(place, name)
            known = read_name(name)
            if known is not None and known.what not in (None, "list") and known.vin is not None:
                whose = known.vin, known.brand == CARDATA
                fingerprints.setdefault(whose, {})[str(known.what)] = path
            elif known is None and not name.startswith(".") and name.endswith((".json", ".json.gz")):
                yield from _capture(folder, {"dump": path}, path, None)
        for (vin, _), files in fingerprints.items():
            main = files.get("state") or files.get(CARDATA)
            if main is not None:
                yield from _capture(folder, files, main, vin)


def read(
    capture: Capture, wanted: Collection[str], *, otherwise: datetime | None = None
) -> list[Found | MalformedAnswer]:
    """The answers in a capture, each or what is wrong with it. `wanted`: the VINs asked for, if any.

    `otherwise`: the time of an answer that does not say when it was had; without, it cannot be used.
    Raises MalformedAnswer if nothing in it can be used, OSError if it cannot be read.
    """
    try:
        if capture.vin is not None:
            return [_fingerprint(capture, capture.vin, otherwise)]
        vehicles = read_vehicles(content(capture.files["dump"]))
    except MalformedAnswer as error:
        raise named(capture, error) from error
    found: list[Found | MalformedAnswer] = []
    for vehicle in vehicles:
        try:
            found.append(_in_dump(vehicle, wanted, otherwise))
        except MalformedAnswer as error:
            found.append(named(capture, error))
    return found


def newest_change(capture: Capture) -> float:
    """Unix time of the youngest file. Raises OSError."""
    return max(path.stat().st_mtime for path in capture.files.values())


def _capture(folder: Path, files: Mapping[str, Path], main: Path, vin: str | None) -> Iterator[Capture]:
    ref = main.relative_to(folder).as_posix()
    digest = hashlib.blake2b(ref.encode(errors="surrogateescape"), digest_size=8)
    try:
        for what, path in sorted(files.items()):
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return  # a pipe would keep us waiting
            digest.update(f"\0{what}\0{status.st_size}\0{status.st_ctime_ns}".encode())
    except FileNotFoundError:
        return  # gone since the folder was listed
    except OSError:
        digest.update(b"\0unknown")  # reading it will say why
    yield Capture(ref, files, vin, digest.hexdigest())


def _fingerprint(capture: Capture, vin: str, otherwise: datetime | None) -> Found:
    bodies = {what: content(path) for what, path in capture.files.items()}
    if CARDATA in bodies:
        return Found(vin, _last_heard(bodies[CARDATA]) or _required(otherwise), bodies)
    state = next(iter(read_vehicles(bodies["state"])), {})
    bodies_of(state)
    return Found(vin, _time_of(state, otherwise), bodies)


def _in_dump(vehicle: Json, wanted: Collection[str], otherwise: datetime | None) -> Found:
    vin = vin_of(vehicle)
    if vin is None and len(wanted) == 1:
        vin = next(iter(wanted))
    if vin is None:
        raise MalformedAnswer(
            "it names no VIN", hint="if it is an answer: set `vins` to the vehicle it is of"
        )
    bodies = bodies_of(vehicle)
    return Found(vin, _time_of(vehicle, otherwise), bodies)


def _last_heard(state: bytes) -> datetime | None:
    """When CarData last told of a descriptor, by a merged state (`sources.cardata.state`)."""
    held = next(iter(read_vehicles(state)), {}).get("descriptors")
    entries = held.values() if isinstance(held, dict) else ()
    times = [read_time(entry.get("received_at")) for entry in entries if isinstance(entry, dict)]
    return max((time for time in times if time is not None), default=None)


def _time_of(vehicle: Json, otherwise: datetime | None) -> datetime:
    return own_time(vehicle) or _required(otherwise)


def _required(moment: datetime | None) -> datetime:
    if moment is None:
        raise MalformedAnswer("it does not say when it was had: neither `fetched_at` nor `lastFetched`")
    return moment


def content(path: Path) -> bytes:
    """What is in a file, unpacked if it is called ``.gz``. Raises MalformedAnswer, OSError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MalformedAnswer("it is not whole: gzip cannot read it") from error
    if len(data) > _MAX_FILE:
        raise MalformedAnswer(f"it is larger than {_MAX_FILE} bytes")
    return data


def named(capture: Capture, error: MalformedAnswer) -> MalformedAnswer:
    """The error with the file's name, in which a VIN is shortened."""
    name = capture.ref if capture.vin is None else capture.ref.replace(capture.vin, MASK + capture.vin[-7:])
    printable = name.encode(errors="replace").decode()
    return MalformedAnswer(f"{redact(printable)}: {error.message}", hint=error.hint)


def _raise(error: OSError) -> None:
    raise error
