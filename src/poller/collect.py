"""One poll: fetch, keep raw, parse, derive, append; then tell those who show the newest."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from poller.derive.base import Deriver
from poller.errors import (
    JournalFull,
    LoginRequired,
    MalformedAnswer,
    RateLimited,
    SourceError,
    SourceUnavailable,
)
from poller.journal.base import Entry, Journal
from poller.runtime import log
from poller.runtime.metrics import Metrics
from poller.sinks.base import LiveSink
from poller.sources.base import Answer, Source, Target
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import Json, Record, snapshot_of, snapshot_record
from poller.vehicle.snapshot import Snapshot

Notes = Mapping[str, Json]
_NONE: Final[Notes] = MappingProxyType({})


class Collector:
    """Carries an answer from its source into the journal.

    `committed` is called after each commit, so that deliveries wake up.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        derivers: Sequence[Deriver],
        fleet: Fleet,
        live: Sequence[LiveSink],
        metrics: Metrics,
        committed: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._derivers = derivers
        self._fleet = fleet
        self._live = live
        self._metrics = metrics
        self._committed = committed
        self._state: dict[str, Mapping[str, Any]] = {}
        #: By VIN: what follows from one snapshot of a car is on disk before the next one is looked at.
        self._deriving: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known_unknown: set[tuple[str, str]] = set()
        self._logger = log.get("collect")

    async def poll(self, source: Source, target: Target, notes: Notes = _NONE) -> Record:
        """Ask for one vehicle and make it safe. Raises SourceError; the failure is counted and shown.

        `notes`: what the journal is to remember from then on, by key, in the answer's own transaction.
        An answer that cannot be parsed is kept in quarantine. When this returns, the record is on disk.
        """
        self._metrics.polls.labels(source.name).inc()
        try:
            answer = await source.fetch(target)
            record = await self.keep(source, answer, notes)
        except SourceError as error:
            await self._show_failed(source, error, self._concerned(source, target, error))
            raise
        self._logger.debug(
            "poll.completed", source=source.name, vehicle=short_vin(target.vin), record=record.id
        )
        return record

    async def keep(self, source: Source, answer: Answer, notes: Notes = _NONE) -> Record:
        """Make an answer safe, then show it. Raises MalformedAnswer, SourceUnavailable if it has no room."""
        snapshot = await self._parse(source, answer)
        record = await self._store(answer, snapshot, notes)
        source.stored(answer)
        if self._fleet.update(snapshot):
            await self._publish(snapshot.vin)
        return record

    async def quarantine(self, answer: Answer, reason: str) -> None:
        """Keep what a source was sent and did not understand. Raises JournalError."""
        await self._journal.append(Entry(answer=answer, quarantine=reason))
        self._metrics.quarantined.inc()
        self._logger.warning("answer.quarantined", source=answer.source, reason=reason)

    async def note_failure(self, source: Source, error: SourceError, target: Target | None = None) -> None:
        """Count and show what `poll` did not: the poll of one vehicle that a bug ended, or a round
        (`target` None) that failed for all of the source's vehicles.
        """
        if target is not None:
            await self._show_failed(source, error, _named(target))
            return
        self._metrics.polls.labels(source.name).inc()
        # A folder of captured answers is silent about vehicles of which it has nothing new.
        everyone = self._fleet.vins_of(source.name) if source.lists_vehicles else frozenset[str]()
        await self._show_failed(source, error, everyone)

    async def restore(self, sources: Collection[str]) -> None:
        """Show what the journal holds of these sources: the newest snapshot of each vehicle, with its age.

        A source that left the configuration takes its series with it.
        """
        self._state.clear()
        for record in await self._journal.newest():
            if record.source in sources:
                self._fleet.update(snapshot_of(record), up=None)
        for view in self._fleet.views():
            for deriver in self._derivers:
                await self._recall(deriver, view.vin)
            await self._publish(view.vin)

    def derived(self, deriver: str, vin: str) -> Mapping[str, Any]:
        """The state of a deriver for one vehicle, as it is on disk; empty if there is none."""
        return self._state.get(_key(deriver, vin), {})

    async def retire(self, source: Source, vins: frozenset[str]) -> None:
        """Forget vehicles that the source does not list any more.

        A folder of captured answers lists what is new, not which vehicles there are.
        """
        if not source.lists_vehicles:
            return
        for vin in self._fleet.vins_of(source.name) - vins:
            self._fleet.retire(vin, source.name)
            self._logger.warning("vehicle.retired", source=source.name, vehicle=short_vin(vin))
            await self._publish(vin)

    def _concerned(self, source: Source, target: Target, error: SourceError) -> frozenset[str]:
        """Who gets no answer from now on: if the account is refused, all its vehicles.

        Also one that answered a moment ago: for as long as the refusal lasts, it is not asked again.
        """
        account = isinstance(error, RateLimited | LoginRequired)
        return _named(target) | self._fleet.vins_of(source.name) if account else _named(target)

    async def _show_failed(self, source: Source, error: SourceError, vins: frozenset[str]) -> None:
        self._metrics.count_poll_failure(source.name, error.reason)
        for vin in vins:
            self._fleet.mark_failed(vin, source.name)
            await self._publish(vin)

    async def _parse(self, source: Source, answer: Answer) -> Snapshot:
        try:
            snapshot = source.parse(answer)
        except MalformedAnswer as error:
            await self._set_aside(source, answer, error.message)
            raise
        except Exception as error:
            # A bug of ours must not cost the answer; it is parsed again after the fix.
            self._logger.exception("answer.unparsable", source=source.name)
            await self._set_aside(source, answer, f"internal error: {type(error).__name__}")
            raise MalformedAnswer("the answer met a bug in the parser and was kept") from error
        self._count_unknown(source, snapshot)
        return snapshot

    async def _set_aside(self, source: Source, answer: Answer, reason: str) -> None:
        try:
            await self.quarantine(answer, reason)
        except JournalFull as error:
            raise _no_room(error) from error
        source.stored(answer)

    async def _store(self, answer: Answer, snapshot: Snapshot, notes: Notes) -> Record:
        record = snapshot_record(snapshot, answer)
        if not self._derivers:
            await self._append(Entry(answer=answer, records=(record,), state=notes))
            return record
        async with self._deriving[snapshot.vin]:
            derived, state = await self._derive(snapshot)
            try:
                await self._append(Entry(answer=answer, records=(record, *derived), state={**state, **notes}))
            except BaseException:
                # Given up while the disk worked: it may be there all the same, so the journal is asked.
                for key in state:
                    self._state.pop(key, None)
                raise
            # Only what is on disk may be built upon.
            self._state.update(state)
        return record

    async def _append(self, entry: Entry) -> None:
        try:
            await self._journal.append(entry)
        except JournalFull as error:
            raise _no_room(error) from error
        self._committed()

    async def _derive(self, snapshot: Snapshot) -> tuple[list[Record], dict[str, Mapping[str, Any]]]:
        records: list[Record] = []
        states: dict[str, Mapping[str, Any]] = {}
        for deriver in self._derivers:
            key = _key(deriver.name, snapshot.vin)
            before = await self._recall(deriver, snapshot.vin)
            try:
                after, derived = deriver.derive(before, snapshot)
            except Exception:
                self._metrics.derive_failures.labels(deriver.name).inc()
                self._logger.exception("derive.failed", deriver=deriver.name)
                continue
            if after is not before:
                states[key] = after
            records.extend(derived)
        return records, states

    async def _recall(self, deriver: Deriver, vin: str) -> Mapping[str, Any]:
        key = _key(deriver.name, vin)
        if key not in self._state:
            self._state[key] = await self._journal.recall(key) or {}
        return self._state[key]

    def _count_unknown(self, source: Source, snapshot: Snapshot) -> None:
        for signal, token in snapshot.unknown_tokens:
            self._metrics.unknown_tokens.labels(signal).inc()
            if (signal, token) not in self._known_unknown and len(self._known_unknown) < 500:
                self._known_unknown.add((signal, token))
                self._logger.info("token.unknown", source=source.name, signal=signal, value=token)

    async def _publish(self, vin: str) -> None:
        view = self._fleet.view(vin)
        for sink in self._live:
            if view is None:
                await sink.retire(vin)
            else:
                await sink.publish(view)


def _key(deriver: str, vin: str) -> str:
    return f"derive:{deriver}:{vin}"


def _no_room(error: JournalFull) -> SourceUnavailable:
    return SourceUnavailable(error.message, hint=error.hint, reason="journal")


def _named(target: Target) -> frozenset[str]:
    """The target's vehicle; a captured file that cannot be read speaks for none."""
    return frozenset([target.vin]) if target.vin else frozenset()
