"""A journal in memory, with the same semantics as the one on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from poller.errors import JournalError, JournalFull
from poller.journal.base import (
    Backlog,
    Batch,
    DeadLetter,
    Entry,
    JournalStats,
    Policy,
    Pruned,
    Queued,
    Rejected,
)
from poller.runtime.clock import Clock
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, dumps, milliseconds, record_id, rfc3339


@dataclass(slots=True)
class _Row:
    seq: int
    record: Record
    changed: bool


@dataclass(slots=True)
class _Cursor:
    position: int = 0
    replayed_to: int = 0


class MemoryJournal:
    """Implements `journal.base.Journal`; what it holds survives `close` and another `open`.

    `answers` shows the answers kept. `failure`, when set, is raised by every method that touches
    the disk in the real one; `full` makes appends raise JournalFull.
    """

    def __init__(self, clock: Clock, policy: Policy | None = None) -> None:
        self.answers: list[Answer] = []
        self.failure: JournalError | None = None
        self.full = False
        self._clock = clock
        self._policy = policy or Policy()
        self._opened = False
        self._sinks: frozenset[str] = frozenset()
        self._last = 0
        self._last_letter = 0
        self._rows: dict[str, _Row] = {}
        self._cursors: dict[str, _Cursor] = {}
        self._letters: dict[tuple[str, str], DeadLetter] = {}
        self._marked: set[int] = set()
        self._newest: dict[tuple[str, str], Record] = {}
        self._memory: dict[str, str] = {}

    async def open(self, sinks: Collection[str]) -> None:
        """Give each sink a cursor; a new one starts at the end."""
        self._raise_failure()
        self._opened = True
        self._memory.setdefault("journal:begun", dumps({"at": rfc3339(self._clock.now()), "why": "new"}))
        await self.register(sinks)

    async def register(self, sinks: Collection[str]) -> None:
        """Change which sinks are configured; a new one starts at the end."""
        self._check()
        self._sinks = frozenset(sinks)
        for sink in self._sinks:
            self._cursors.setdefault(sink, _Cursor(self._last))

    async def close(self) -> None:
        """Refuse everything until it is opened again."""
        self._opened = False

    async def append(self, entry: Entry) -> Sequence[int]:
        """Store all of the entry or, if it raises, nothing of it."""
        self._check()
        if self.full:
            raise JournalFull(hint="the test said so")
        _validate(entry)
        if entry.answer is not None:
            self._keep_answer(entry.answer, entry.quarantine)
        for key, value in entry.state.items():
            self._memory[key] = dumps(dict(value))
        return [self._keep(record) for record in entry.records]

    async def peek(
        self,
        sink: str,
        *,
        limit: int,
        kinds: Collection[str] | None = None,
        only_changes: bool = False,
        after: int | None = None,
    ) -> Batch:
        """Up to `limit` records after the sink's cursor, oldest first; changes nothing."""
        if limit < 1:
            raise ValueError("a peek is for one record at least")
        cursor = self._cursor(sink)
        since = cursor.position if after is None else after
        through, found = since, []
        marked = any(letter.id in self._marked for (to, _), letter in self._letters.items() if to == sink)
        for row in self._after(since):
            through = row.seq
            if (kinds is None or row.record.kind in kinds) and (row.changed or not only_changes):
                replayed = row.record.replayed or row.seq <= cursor.replayed_to
                found.append(Queued(row.seq, replace(row.record, replayed=replayed)))
                if len(found) == limit:
                    break
        last = not any(self._after(through))
        return Batch(found, since, through, last=last, letters=marked)

    async def answers_of(self, records: Sequence[Record]) -> Mapping[str, Answer]:
        """Record id → the answer that the snapshot was made of, as far as it is still there."""
        self._check()
        kept = {
            record_id(answer.source, answer.vin, rfc3339(answer.received_at), answer.digest()): answer
            for answer in self.answers
        }
        return {record.id: kept[record.id] for record in records if record.id in kept}

    async def settle(self, sink: str, *, since: int, through: int, rejected: Sequence[Rejected] = ()) -> bool:
        """Move the cursor from `since` to `through` and store dead letters; False if it is elsewhere."""
        cursor = self._cursor(sink)
        if through < since:
            raise ValueError("a cursor moves back only by rewind")
        if cursor.position != since:
            return False
        _validate(Entry(records=[refusal.record for refusal in rejected]))
        cursor.position = through
        for refusal in rejected:
            self._put_letter(sink, refusal.record.id, refusal.reason, record=refusal.record)
        return True

    async def backlog(self, sink: str) -> Backlog:
        """Records after the sink's cursor, by sequence difference."""
        return self._backlog(self._cursor(sink))

    async def rewind(self, sink: str, to: datetime) -> int:
        """Move the cursor back to the first record received at or after `to`; gives how many."""
        cursor = self._cursor(sink)
        to = milliseconds(to)
        first = min((row.seq for row in self._rows.values() if row.record.received_at >= to), default=None)
        if first is None or first > cursor.position:
            return 0
        again = sum(first <= row.seq <= cursor.position for row in self._rows.values())
        cursor.replayed_to = max(cursor.replayed_to, cursor.position)
        cursor.position = first - 1
        return again

    async def forget(self, sink: str) -> bool:
        """Drop the cursor and dead letters of a sink that left the configuration."""
        self._check()
        if sink in self._sinks:
            raise JournalError(
                f"the sink {sink!r} is in the configuration", hint="take it out of the configuration first"
            )
        letters = [key for key in self._letters if key[0] == sink]
        for key in letters:
            del self._letters[key]
        return self._cursors.pop(sink, None) is not None or bool(letters)

    async def newest(self) -> Sequence[Record]:
        """The newest snapshot of each vehicle and source; outlives pruning."""
        self._check()
        return [self._newest[key] for key in sorted(self._newest)]

    async def dead_letters(
        self, sink: str | None = None, *, limit: int = 1000, after: int = 0
    ) -> Sequence[DeadLetter]:
        """Dead letters after the id `after`, oldest first: all, or one sink's ("" for answers)."""
        self._check()
        wanted = [letter for letter in self._listed() if sink is None or (letter.sink or "") == sink]
        return [letter for letter in wanted if letter.id > after][:limit]

    async def retry(self, ids: Collection[int]) -> int:
        """Mark refused records for another delivery to their sink, ahead of its queue."""
        self._check()
        found = {letter.id for letter in self._listed() if letter.id in ids and letter.sink is not None}
        self._marked |= found
        return len(found)

    async def retries(self, sink: str, *, limit: int) -> Sequence[DeadLetter]:
        """The marked dead letters of a sink, oldest first; their records carry `replayed`."""
        self._check()
        found = [
            replace(letter, record=replace(letter.record, replayed=True))
            for letter in self._listed()
            if letter.id in self._marked and letter.sink == sink and letter.record is not None
        ]
        return found[:limit]

    async def settle_retries(self, delivered: Collection[int], refused: Mapping[int, str]) -> None:
        """Remove the delivered ones; keep the refused ones, unmarked, with their new reason."""
        await self.drop_dead_letters(delivered)
        self._marked -= refused.keys()
        for key, letter in self._letters.items():
            if letter.id in refused:
                at = milliseconds(self._clock.now())
                self._letters[key] = replace(letter, reason=refused[letter.id], at=at)

    async def drop_dead_letters(self, ids: Collection[int]) -> int:
        """Delete dead letters for good; gives how many there were."""
        self._check()
        gone = [key for key, letter in self._letters.items() if letter.id in ids]
        for key in gone:
            self._marked.discard(self._letters.pop(key).id)
        return len(gone)

    async def recall(self, key: str) -> dict[str, Any] | None:
        """The value last remembered under `key` (also derivers' state), or None."""
        self._check()
        raw = self._memory.get(key)
        return None if raw is None else json.loads(raw)

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Store a small JSON value, replacing the old one."""
        self._check()
        self._memory[key] = dumps(dict(value))

    async def keep(self, answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """Store what arrived and the state that it makes, in one transaction."""
        await self.append(Entry(answer=answer, state={key: value}))

    async def prune(self, policy: Policy, now: datetime) -> Pruned:
        """Delete whole UTC days that are older than ``max_age``; sizes mean nothing here."""
        self._check()
        self._policy = policy
        if not policy.max_age:
            return Pruned()
        limit = min(now - timedelta(seconds=policy.max_age), _midnight(now))
        gone = [row for row in self._rows.values() if _midnight_after(row.record.received_at) <= limit]
        dropped: Counter[str] = Counter()
        for row in gone:
            del self._rows[row.record.id]
            dropped.update(sink for sink in self._sinks if row.seq > self._cursors[sink].position)
        self.answers = [kept for kept in self.answers if _midnight_after(kept.received_at) > limit]
        return Pruned(len(gone), dict(dropped))

    async def stats(self) -> JournalStats:
        """Counts of what is held; sizes are zero."""
        self._check()
        times = [row.record.received_at for row in self._rows.values()]
        counts = Counter(sink for sink, _ in self._letters)
        return JournalStats(
            path="memory",
            size=0,
            limit=self._policy.max_size,
            disk_free=0,
            records=len(self._rows),
            oldest_at=min(times, default=None),
            newest_at=max(times, default=None),
            last_at=max(self._rows.values(), key=lambda row: row.seq).record.received_at if times else None,
            quarantined=counts.pop("", 0),
            dead_letters={sink: counts.get(sink, 0) for sink in {*counts, *self._sinks}},
            orphans={
                sink: self._backlog(cursor).records
                for sink, cursor in self._cursors.items()
                if sink not in self._sinks
            },
            full=self.full,
        )

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _check(self) -> None:
        if not self._opened:
            raise JournalError("the journal is closed")
        self._raise_failure()

    def _cursor(self, sink: str) -> _Cursor:
        self._check()
        if sink not in self._cursors:
            raise JournalError(
                f"the journal has no cursor for a sink {sink!r}", hint="name a sink of the configuration"
            )
        return self._cursors[sink]

    def _after(self, position: int) -> list[_Row]:
        return sorted((row for row in self._rows.values() if row.seq > position), key=lambda row: row.seq)

    def _backlog(self, cursor: _Cursor) -> Backlog:
        rows = self._after(cursor.position)
        if not rows:
            return Backlog(0, None)
        return Backlog(rows[-1].seq - rows[0].seq + 1, rows[0].record.received_at)

    def _keep_answer(self, answer: Answer, quarantine: str | None) -> None:
        answer = replace(answer, received_at=milliseconds(answer.received_at))
        if answer not in self.answers:
            self.answers.append(answer)
        if quarantine is not None:
            subject = record_id(answer.source, answer.vin, rfc3339(answer.received_at), answer.digest())
            self._put_letter("", subject, quarantine, answer=answer)

    def _keep(self, record: Record) -> int:
        held = self._rows.get(record.id)
        if held is not None and held.record.revision >= record.revision:
            return 0
        observed = None if record.observed_at is None else milliseconds(record.observed_at)
        body = json.loads(dumps(record.body))
        record = replace(
            record, received_at=milliseconds(record.received_at), observed_at=observed, body=body
        )
        changed = record.kind != "snapshot" or self._differs(record) or held is not None
        self._last += 1
        self._rows[record.id] = _Row(self._last, record, changed)
        return self._last

    def _differs(self, record: Record) -> bool:
        key = (record.vin, record.source)
        newest = self._newest.get(key)
        received = None if newest is None else newest.received_at
        if received is None or record.received_at >= received or received > self._clock.now():
            self._newest[key] = record
        return newest is None or not record.fingerprint or newest.fingerprint != record.fingerprint

    def _listed(self) -> list[DeadLetter]:
        return sorted(self._letters.values(), key=lambda letter: letter.id)

    def _put_letter(
        self,
        sink: str,
        subject: str,
        reason: str,
        *,
        record: Record | None = None,
        answer: Answer | None = None,
    ) -> None:
        held = self._letters.get((sink, subject))
        if held is None:
            self._last_letter += 1
        else:
            self._marked.discard(held.id)
        number = self._last_letter if held is None else held.id
        at = milliseconds(self._clock.now())
        self._letters[sink, subject] = DeadLetter(number, sink or None, reason, at, record, answer)


def _validate(entry: Entry) -> None:
    """Whatever the real one would refuse, before anything is stored."""
    if entry.quarantine is not None and entry.answer is None:
        raise ValueError("a quarantine needs the answer")
    for record in entry.records:
        if len(record.id) != 32 or len(bytes.fromhex(record.id)) != 16:
            raise ValueError("a record's id is 32 hex digits")
        dumps(record.body)
    for value in entry.state.values():
        dumps(dict(value))


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_after(moment: datetime) -> datetime:
    return _midnight(moment) + timedelta(days=1)
