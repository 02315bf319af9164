"""The quota's ledger: every call is on disk before it is made, so that no restart forgets one.

BMW counts 50 calls per account and day, and nobody knows whether the day is the UTC day or the last
24 hours (facts section 2.10). A UTC day lies within 24 hours, so what keeps to those keeps to both.
The account is the owner's at BMW, not the client: one that was made anew in the portal has no new calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from poller.errors import JournalError, RateLimited
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.base import Memory
from poller.vehicle.records import parse_time, rfc3339

#: BMW counts a call when it hears it: up to a time-out after we noted it, by a clock of its own.
MARGIN: Final = timedelta(minutes=2)
#: How long a call counts.
WINDOW: Final = timedelta(hours=24) + MARGIN
#: A probe that was never answered does not open the door; the next one waits this long.
PROBE_PAUSE: Final = timedelta(hours=1)
#: The wall clock has leapt, not merely been put right.
_LEAP: Final = timedelta(seconds=30)
#: Where the journal says when and why it was begun.
_BEGUN: Final = "journal:begun"
#: Clients that one owner's calls are gathered from.
_MOST_CLIENTS: Final = 10
_UNREADABLE: Final = (ValueError, KeyError, TypeError, OverflowError)
#: Beginnings that may have cost an earlier ledger; "new" is a first start.
_LOSSES: Final = ("damaged", "vanished")

BlockedBy = Literal["", "refused", "lost"]

logger = log.get("quota")


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was noted; `steady`: when, in the steady clock's seconds."""

    steady: float
    purpose: str
    routine: bool
    vehicle: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """One call of the last 24 hours: when by the wall clock, what for, for which vehicle (short VIN).

    `ours`: False for one that another client of the owner's has made.
    """

    at: datetime
    purpose: str
    routine: bool
    vehicle: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """How the account's calls stand.

    `remaining`: calls that may be made now, `routine_left`: those that leave the reserve alone.
    `next_free_at`: when the next routine call may be made, None: at once. `blocked_until`: nothing at
    all until then; `blocked_by` says why, also while the probe after it is awaited. `calls`: oldest first.
    """

    limit: int
    reserve: int
    used_24h: int
    used_today: int
    remaining: int
    routine_left: int
    next_free_at: datetime | None = None
    blocked_until: datetime | None = None
    blocked_by: BlockedBy = ""
    calls: Sequence[Spent] = ()


@dataclass(frozen=True, slots=True)
class _Block:
    """Nothing until `until`, then one probe; `probe` is that call."""

    until: datetime
    by: BlockedBy
    probe: Call | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    """What another client's ledger says: as kept, and read."""

    kept: Mapping[str, Any]
    calls: tuple[Call, ...]


class Ledger:
    """The calls of one client, under one key of the memory: one Ledger per client, whoever asks.

    Those of other clients of the same owner, the ones before this or another table's, count as well once
    a login has told whose the client is: see `belong_to`.
    While the process runs, the steady clock tells how old a call is, so that no jump of the wall
    clock frees one early; the wall clock is believed for the time that the process did not run.
    """

    def __init__(self, memory: Memory, account: str, clock: Clock, *, limit: int, reserve: int) -> None:
        self._memory = memory
        self._account = account
        self._key = _key(account)
        self._clock = clock
        self._limit = limit
        self._reserve = min(reserve, limit)
        self._calls: tuple[Call, ...] = ()
        self._block: _Block | None = None
        self._owner = ""
        #: Of each other client of the owner, what its ledger says.
        self._others: dict[str, _Page] = {}
        self._steady_zero: datetime | None = None
        self._is_marked = False
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Read what was spent; a ledger that was lost counts as spent until the next UTC day."""
        self._steady_zero = self._zero()
        kept = await self._memory.recall(self._key)
        self._is_marked = await self._memory.recall(_mark(self._key)) is not None
        if kept is None:
            await self._take_loss_into_account()
        else:
            try:
                self._calls, self._block = self._read(kept)
            except _UNREADABLE:
                self._lose(self._clock.now())
        if self._cap_block():
            await self._save_if_possible()

    async def belong_to(self, owner: str) -> None:
        """BMW counts this client's calls with those of the owner's other clients; "": it is not known whose.

        Cheap if that is known already. Raises JournalError.
        """
        if owner in ("", self._owner):
            return
        async with self._lock:
            key = f"clients:{owner}"
            clients = list((await self._memory.recall(key) or {}).get("accounts", ()))
            if self._account not in clients:
                await self._memory.remember(key, {"accounts": [*clients, self._account][-_MOST_CLIENTS:]})
            self._owner, self._others = owner, {}
            await self._read_others()

    def standing(self) -> Standing:
        """How the calls stand now; cheap, asks nobody."""
        self._cap_block()
        now, counted = self._clock.now(), self._counted()
        blocked_until = self._blocked_until()
        remaining = 0 if blocked_until else max(0, self._limit - len(counted))
        ours, midnight = frozenset(self._calls), _midnight(now)
        spent = [
            Spent(self._wall(call), call.purpose, call.routine, call.vehicle, call in ours)
            for call in counted
        ]
        free_at = max(filter(None, (blocked_until, self._free_at(routine=True))), default=None)
        return Standing(
            limit=self._limit,
            reserve=self._reserve,
            used_24h=len(counted),
            used_today=sum(call.at >= midnight for call in spent),
            remaining=remaining,
            routine_left=max(0, remaining - self._reserve),
            next_free_at=free_at,
            blocked_until=blocked_until,
            blocked_by=self._block.by if self._block else "",
            calls=tuple(spent),
        )

    async def watch_clock(self) -> None:
        """Put a leap of the wall clock on disk, lest it frees calls after a restart. Cheap: at every poll."""
        async with self._lock:
            await self._note_leap()

    async def spend(self, purpose: str, *, routine: bool, vehicle: str = "") -> Call:
        """Note a call that is about to be made; when this returns it is on disk.

        `routine` calls never touch the reserve. `vehicle`: the short VIN, or "". Raises RateLimited
        when nothing is left for it, JournalError when it could not be noted: make no call then.
        """
        async with self._lock:
            await self._note_leap()
            await self._read_others()
            self._cap_block()
            self._refuse_if_spent(routine=routine)
            call = Call(self._clock.monotonic(), purpose, routine, vehicle)
            block = self._block
            self._calls = (*self._recent(self._calls), call)
            if block is not None:
                self._block = replace(block, probe=call)
            try:
                await self._save()
            except BaseException:
                self._forget(call)
                raise
            return call

    async def give_back(self, call: Call) -> None:
        """The call was not made after all: nobody was reached. After a crash it stays counted."""
        async with self._lock:
            self._forget(call)
            await self._save_if_possible()

    async def refused(self, wait: timedelta | None = None) -> datetime:
        """BMW said CU-429: gives until when nothing is asked, the next UTC day or longer if BMW says so."""
        async with self._lock:
            now = self._clock.now()
            until = max(_next_day(now), now + (wait or timedelta()))
            self._block = _Block(min(until, now + WINDOW), "refused")
            # Fewer than the limit: another program uses this account's calls.
            logger.warning("quota.refused", until=rfc3339(self._block.until), used_24h=len(self._counted()))
            await self._save_if_possible()
            return self._block.until

    async def answered(self) -> None:
        """BMW answered a call other than by CU-429: a probe that was awaited ends the block."""
        async with self._lock:
            if self._block is not None and self._block.probe is not None:
                self._block = None
                await self._save_if_possible()

    def _refuse_if_spent(self, *, routine: bool) -> None:
        if (until := self._blocked_until()) is not None:
            lost = self._block is not None and self._block.by == "lost"
            raise RateLimited(
                until,
                "the record of today's calls was lost" if lost else "BMW says that the day's calls are spent",
                hint="nothing needs doing: BMW counts anew from midnight UTC, then one call is tried",
                reason="quota",
            )
        if (until := self._free_at(routine=routine)) is not None:
            kept = (
                f" but for {self._reserve} kept for set-up and recovery" if routine and self._reserve else ""
            )
            raise RateLimited(
                until,
                f"the {self._limit} calls that BMW allows in 24 hours are spent{kept}",
                hint="nothing needs doing: calls come free as those of yesterday grow a day old",
                reason="quota",
            )

    def _counted(self) -> list[Call]:
        """All that count, the oldest first."""
        calls = [*self._calls, *(call for page in self._others.values() for call in page.calls)]
        return sorted(self._recent(calls), key=lambda call: call.steady)

    def _recent(self, calls: Sequence[Call]) -> list[Call]:
        now, window = self._clock.monotonic(), WINDOW.total_seconds()
        return [call for call in calls if now - call.steady < window]

    def _free_at(self, *, routine: bool) -> datetime | None:
        """When a call of this sort may be made, by the count alone; None: now."""
        counted = self._counted()
        ceiling = self._limit - self._reserve if routine else self._limit
        over = len(counted) - ceiling
        if over < 0:
            return None
        # With no room for such calls at all there is no time to name: look again in a day.
        return self._wall(counted[over]) + WINDOW if over < len(counted) else self._clock.now() + WINDOW

    def _blocked_until(self) -> datetime | None:
        if self._block is None:
            return None
        until = self._block.until
        if self._block.probe is not None:
            until = max(until, self._wall(self._block.probe) + PROBE_PAUSE)
        return until if until > self._clock.now() else None

    def _cap_block(self) -> bool:
        """A clock that was ahead when the block was set must not keep it for years; whether it did."""
        now = self._clock.now()
        if self._block is None or self._block.until <= now + WINDOW:
            return False
        self._block = replace(self._block, until=_next_day(now))
        return True

    def _forget(self, call: Call) -> None:
        self._calls = tuple(other for other in self._calls if other is not call)
        if self._block is not None and self._block.probe is call:
            self._block = replace(self._block, probe=None)

    async def _take_loss_into_account(self) -> None:
        begun = await self._memory.recall(_BEGUN) or {}
        if begun.get("why") in _LOSSES:
            self._lose(parse_time(begun["at"]))
        elif self._is_marked:
            # There was one: its row cannot be read any more.
            self._lose(self._clock.now())

    async def _read_others(self) -> None:
        """Look what the owner's other clients have spent; what cannot be read says nothing."""
        if not self._owner:
            return
        clients = (await self._memory.recall(f"clients:{self._owner}") or {}).get("accounts", ())
        for account in clients:
            kept = await self._memory.recall(_key(account)) if account != self._account else None
            page = self._others.get(account)
            # What has not changed keeps its age, whatever the wall clock did.
            if kept is not None and (page is None or page.kept != kept):
                with contextlib.suppress(*_UNREADABLE):
                    calls, block = self._read(kept)
                    self._others[account] = _Page(kept, calls)
                    self._heed(block)

    def _heed(self, block: _Block | None) -> None:
        """BMW has refused another client of the owner's: it would refuse us too."""
        if block is None or block.until <= self._clock.now():
            return
        if self._block is None or self._block.until < block.until:
            self._block = block

    def _lose(self, at: datetime) -> None:
        until = _next_day(at)
        if until > self._clock.now():
            self._block = _Block(until, "lost")
            logger.warning("quota.lost", until=rfc3339(until))

    def _wall(self, call: Call) -> datetime:
        """When the call was made, by the wall clock as it stands now."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic() - call.steady)

    def _steady(self, wall: datetime) -> float:
        """The inverse; what lies ahead was made by now at the latest."""
        return self._clock.monotonic() - max(0.0, (self._clock.now() - wall).total_seconds())

    def _zero(self) -> datetime:
        """What the wall clock says of the moment at which the steady one began; it moves with every leap."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic())

    async def _note_leap(self) -> None:
        if self._calls and self._steady_zero is not None and abs(self._zero() - self._steady_zero) > _LEAP:
            await self._save_if_possible()

    async def _save_if_possible(self) -> None:
        # What is lost this way makes us ask less, or meet one more CU-429, after a restart.
        with contextlib.suppress(JournalError):
            await self._save()

    async def _save(self) -> None:
        calls = [
            [rfc3339(self._wall(call)), call.purpose, call.routine, call.vehicle]
            for call in self._recent(self._calls)
        ]
        value: dict[str, Any] = {"calls": calls}
        if self._block is not None:
            probe = self._block.probe
            value["block"] = {
                "until": rfc3339(self._block.until),
                "by": self._block.by,
                "probed_at": rfc3339(self._wall(probe)) if probe else None,
            }
        zero = self._zero()
        await self._memory.remember(self._key, value)
        self._steady_zero = zero
        if not self._is_marked:
            await self._memory.remember(_mark(self._key), {"at": rfc3339(self._clock.now())})
            self._is_marked = True

    def _read(self, value: Mapping[str, Any]) -> tuple[tuple[Call, ...], _Block | None]:
        calls = tuple(
            Call(self._steady(parse_time(at)), str(purpose), bool(routine), str(vehicle))
            for at, purpose, routine, vehicle in value["calls"]
        )
        kept = value.get("block")
        if not kept:
            return calls, None
        probe = None
        if kept["probed_at"] is not None:
            probe = Call(self._steady(parse_time(kept["probed_at"])), "probe", routine=False)
        by: BlockedBy = "lost" if kept["by"] == "lost" else "refused"
        return calls, _Block(parse_time(kept["until"]), by, probe)


def _key(account: str) -> str:
    return f"ledger:{account}"


def _mark(key: str) -> str:
    """Where it is noted that there is a ledger, in case that it cannot be read one day."""
    return f"{key}:begun"


def _midnight(now: datetime) -> datetime:
    """When the UTC day of `now` began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _next_day(now: datetime) -> datetime:
    """When the next UTC day has begun, by any clock that is right to `MARGIN`."""
    return _midnight(now) + timedelta(days=1) + MARGIN
