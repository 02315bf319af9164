"""What stood from when to when, by series: a little of it in memory, the rest in one temporary file."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

_RUN: Final = struct.Struct("<qqd")
#: Bytes of a series that wait in memory; there are some hundred series a car.
_CHUNK: Final = 128 * _RUN.size


class Series(NamedTuple):
    """One sample's name and labels, as they are exposed."""

    name: str
    labels: tuple[tuple[str, str], ...]


class Run(NamedTuple):
    """A value that stood from `start` to before `end`: milliseconds since 1970."""

    start: int
    end: int
    value: float


class Held:
    """Takes what one vehicle shows at a time, and gives back each series' runs in their order.

    What is shown holds until the vehicle shows something else, `hold` milliseconds at most. Memory
    grows with the number of series, not with time. To be used as a context; OSError: no room for the file.
    """

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._file: IO[bytes] | None = None
        self._series: dict[Series, _Kept] = {}
        self._now: dict[str, _Shown] = {}

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile(prefix="poller-export-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def show(self, vehicle: str, at: int, samples: Mapping[Series, float]) -> None:
        """The vehicle shows exactly these from `at` on, which is not before the last time."""
        shown = self._now.setdefault(vehicle, _Shown(at))
        if at > shown.last + self._hold:
            self._end(shown, shown.last + self._hold)
        for series in [*shown.since]:
            start, value = shown.since[series]
            if samples.get(series) != value:
                self._keep(series, Run(start, at, value))
                del shown.since[series]
        for series, value in samples.items():
            shown.since.setdefault(series, (at, value))
        shown.last = at

    def finish(self) -> None:
        """Nothing more comes: what is shown ends with the last time it was."""
        for shown in self._now.values():
            self._end(shown, shown.last + 1)

    def by_name(self) -> dict[str, list[Series]]:
        """All series that were ever shown, by their sample's name."""
        names: dict[str, list[Series]] = {}
        for series in sorted(self._series):
            names.setdefault(series.name, []).append(series)
        return names

    def runs(self, series: Series) -> Iterator[Run]:
        """What `series` was, oldest first."""
        kept = self._series[series]
        for position, length in kept.chunks:
            self._open_file.seek(position)
            yield from map(Run._make, _RUN.iter_unpack(self._open_file.read(length)))
        yield from map(Run._make, _RUN.iter_unpack(kept.waiting))

    def _end(self, shown: _Shown, at: int) -> None:
        for series, (start, value) in shown.since.items():
            self._keep(series, Run(start, at, value))
        shown.since.clear()

    def _keep(self, series: Series, run: Run) -> None:
        if run.start >= run.end:
            return
        kept = self._series.setdefault(series, _Kept())
        kept.waiting += _RUN.pack(*run)
        if len(kept.waiting) >= _CHUNK:
            position = self._open_file.seek(0, 2)
            self._open_file.write(kept.waiting)
            kept.chunks.append((position, len(kept.waiting)))
            kept.waiting = bytearray()

    @property
    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise RuntimeError("to be used as a context")
        return self._file


@dataclass(slots=True)
class _Kept:
    """A series' runs: the last few, and where in the file the others are."""

    waiting: bytearray = field(default_factory=bytearray)
    chunks: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Shown:
    """What a vehicle shows: since when, and the last time that it was said."""

    last: int
    since: dict[Series, tuple[int, float]] = field(default_factory=dict)
