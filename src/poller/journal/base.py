"""The seam to the journal: what is safe once `append` has returned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from poller.vehicle.answer import Answer
from poller.vehicle.records import Record


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction's worth: an answer, what was made of it, and what is remembered from then on.

    `state`, by key: the derivers', and notes about the poll.
    `quarantine` is the reason why the answer could not be parsed; it then becomes a dead letter.
    """

    answer: Answer | None = None
    records: Sequence[Record] = ()
    state: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quarantine: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """A record and its place in the journal."""

    seq: int
    record: Record


@dataclass(frozen=True, slots=True)
class Batch:
    """What `peek` saw: records after `since`; `through` is how far it looked.

    Records of other kinds (or unchanged ones, if so asked) lie between and are passed over, so a
    batch may be empty while `through` is beyond `since`: settle it to move the cursor.
    `last`: nothing lay behind `through`. `letters`: marked dead letters wait (see `Journal.retries`).
    """

    records: Sequence[Queued]
    since: int
    through: int
    last: bool
    letters: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that a sink will never take, and why."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far a sink is behind: records after its cursor, and when the first of them was received."""

    records: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that was set aside: a refused record, or an answer that could not be parsed.

    `sink` is None for a quarantined answer; exactly one of `record` and `answer` is set.
    """

    id: int
    sink: str | None
    reason: str
    at: datetime
    record: Record | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How much may be kept; 0 means no limit. Seconds and bytes."""

    max_age: float = 0
    max_size: int = 0
    keep_free: int = 0
    when_full: Literal["drop_oldest", "stop_collecting"] = "drop_oldest"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning took: all records, and per sink those that it had not delivered yet."""

    records: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JournalStats:
    """Sizes in bytes; `limit` 0 means none. `orphans`: cursors of sinks that left the configuration.

    `newest_at`: the latest time at which a record was received; `last_at`: when the one was that was
    appended last. `set_aside`: names of damaged journals that lie beside this one. `vanished_at`: when this
    one was begun because the one before was moved or deleted under a running poller.
    """

    path: str
    size: int
    limit: int
    disk_free: int
    records: int
    oldest_at: datetime | None
    newest_at: datetime | None
    last_at: datetime | None
    quarantined: int
    dead_letters: Mapping[str, int]
    orphans: Mapping[str, int]
    full: bool
    set_aside: Sequence[str] = ()
    vanished_at: datetime | None = None


@runtime_checkable
class Journal(Protocol):
    """The durable middle of the road. All methods raise JournalError when the disk does not play.

    `recall`, `remember` and `keep` make it a `sources.base.Memory` too.
    """

    async def open(self, sinks: Collection[str]) -> None:
        """Open or create, take the lock, and give each queued sink a durable cursor (new: the end).

        Raises JournalLocked naming the owner. A corrupt file is set aside and a new one begun.
        """
        ...

    async def register(self, sinks: Collection[str]) -> None:
        """After a reload: these queued sinks are configured now; new ones get a cursor at the end."""
        ...

    async def close(self) -> None:
        """Finish what is queued and let go of the lock; may be called twice."""
        ...

    async def append(self, entry: Entry) -> Sequence[int]:
        """Store in ONE transaction; when this returns it survives power loss.

        Gives the seq of each record, 0 for one that was here already (same id, no higher revision).
        Raises JournalFull.
        """
        ...

    async def peek(
        self,
        sink: str,
        *,
        limit: int,
        kinds: Collection[str] | None = None,
        only_changes: bool = False,
        after: int | None = None,
    ) -> Batch:
        """Up to `limit` records after the sink's cursor, oldest first; the cursor stays.

        `after`: look from there on instead, as if the cursor stood there already.
        A record that cannot be read any more is passed over and becomes a dead letter.
        """
        ...

    async def answers_of(self, records: Sequence[Record]) -> Mapping[str, Answer]:
        """Record id → the answer that the snapshot was made of.

        Nothing for a record that is no snapshot, and for one whose answer is gone (a newest snapshot
        and a dead letter outlive their day).
        """
        ...

    async def settle(self, sink: str, *, since: int, through: int, rejected: Sequence[Rejected] = ()) -> bool:
        """Move the cursor from `since` to `through` and store dead letters, in one transaction.

        False, and nothing done, if the cursor is not at `since` any more.
        """
        ...

    async def backlog(self, sink: str) -> Backlog:
        """Records after the sink's cursor, by sequence difference."""
        ...

    async def rewind(self, sink: str, to: datetime) -> int:
        """Move the cursor back to the first record received at or after `to`; gives how many.

        What is delivered again carries `replayed`. Never moves forward.
        """
        ...

    async def forget(self, sink: str) -> bool:
        """Drop the cursor and dead letters of a sink that left the configuration.

        False if there was nothing of that name. Raises JournalError for one that is configured.
        """
        ...

    async def newest(self) -> Sequence[Record]:
        """The newest snapshot of each vehicle and source, for live sinks at start."""
        ...

    async def dead_letters(
        self, sink: str | None = None, *, limit: int = 1000, after: int = 0
    ) -> Sequence[DeadLetter]:
        """Dead letters, oldest first: all, or one sink's ("" for quarantined answers).

        `after` is the id of the last one seen: page through, for each may hold a whole answer.
        """
        ...

    async def retry(self, ids: Collection[int]) -> int:
        """Mark refused records for another delivery to their sink, ahead of its queue."""
        ...

    async def retries(self, sink: str, *, limit: int) -> Sequence[DeadLetter]:
        """The marked dead letters of a sink, oldest first; their records carry `replayed`."""
        ...

    async def settle_retries(self, delivered: Collection[int], refused: Mapping[int, str]) -> None:
        """Remove the delivered ones; keep the refused ones, unmarked, with their new reason."""
        ...

    async def drop_dead_letters(self, ids: Collection[int]) -> int:
        """Delete dead letters for good; gives how many there were."""
        ...

    async def recall(self, key: str) -> dict[str, Any] | None:
        """The value last remembered under `key` (also derivers' state), or None."""
        ...

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Store a small JSON value, replacing the old one."""
        ...

    async def keep(self, answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """Store what arrived and, under `key`, the state that it makes: in ONE transaction.

        Raises JournalFull.
        """
        ...

    async def prune(self, policy: Policy, now: datetime) -> Pruned:
        """Delete whole UTC days, oldest first, as far as the policy says; every drop is counted.

        `policy` holds from now on. What appends had to drop for want of room is told here too.
        """
        ...

    async def stats(self) -> JournalStats:
        """Sizes and counts for page, metrics and readiness; cheap."""
        ...
