"""Custody of the container: the named list of descriptors without which BMW gives no telematic data.

Ten fit into an account, a deleted one may count for 29 days more (facts section 2.4): so the id is kept
on disk, one that is there is used again, and no more is created than must be.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from poller.errors import JournalError, LoginRequired, RateLimited, SourceError, SourceUnavailable
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.base import Memory
from poller.sources.cardata.rest.client import CarDataClient
from poller.sources.cardata.rest.refusals import (
    CONTAINER_LIMIT,
    DESCRIPTORS_REFUSED,
    CarDataUnavailable,
    foreseen,
)
from poller.sources.http import NotSent
from poller.vehicle.records import parse_time, rfc3339

NAME: Final = "poller"
MOST: Final = 10
#: What the ledger notes of each call about it.
PURPOSE: Final = "container"
#: After so many tries in vain: each may cost two calls or more.
_PAUSES: Final = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
#: A container that vanishes is made anew once in this time.
_RECREATE: Final = timedelta(hours=24)
#: Ids that BMW did not honour, however it lists them.
_REMEMBERED: Final = 5


@dataclass(frozen=True, slots=True)
class _Held:
    """What is kept on disk. `wanted`: the hash of the list that was wanted when `id` was settled on.

    `tries`: in a row and in vain, the last one at `tried_at`. `bad`: ids that BMW did not honour.
    """

    id: str = ""
    wanted: str = ""
    tries: int = 0
    tried_at: datetime | None = None
    remade_at: datetime | None = None
    bad: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> _Held:
        """What `to_json` made; anything else is nothing known."""
        try:
            tried_at, remade_at = (
                parse_time(value[key]) if value[key] else None for key in ("tried_at", "remade_at")
            )
            names = tuple(str(name) for name in value["bad"])
            return cls(
                str(value["id"]), str(value["wanted"]), int(value["tries"]), tried_at, remade_at, names
            )
        except (KeyError, TypeError, ValueError):
            return cls()

    def to_json(self) -> dict[str, Any]:
        """For the memory."""
        return {
            "id": self.id,
            "wanted": self.wanted,
            "tries": self.tries,
            "tried_at": rfc3339(self.tried_at) if self.tried_at else None,
            "remade_at": rfc3339(self.remade_at) if self.remade_at else None,
            "bad": list(self.bad),
        }


class Containers:
    """Gives the id of a container with our descriptors.

    `ladder`: the list that is wanted, then smaller ones for when BMW refuses it; none is empty. What
    cannot be written to the memory costs a call after the next restart, nothing else.
    """

    def __init__(
        self,
        name: str,
        account: str,
        *,
        client: CarDataClient,
        memory: Memory,
        clock: Clock,
        ladder: Sequence[Sequence[str]],
    ) -> None:
        self._key = f"container:{account}"
        self._client = client
        self._memory = memory
        self._clock = clock
        self._ladder = ladder
        self._wanted = intent_of(ladder[0])
        self._held = _Held()
        self._lock = asyncio.Lock()
        self._logger = log.get("source", source=name)

    async def open(self) -> None:
        """Read what is kept; asks nobody."""
        kept = await self._memory.recall(self._key)
        self._held = _Held.from_json(kept) if kept else _Held()

    async def current(self) -> str:
        """The container to ask with: no call if it is known, else a list, and a creation if it must be.

        While a changed list cannot be had, the old container serves on. Raises SourceError if there is
        none; then it is tried again after a pause that grows.
        """
        async with self._lock:
            held = self._held
            if held.id and held.wanted == self._wanted:
                return held.id
            waits_until = self._waits_until()
            if waits_until is not None:
                return self._makeshift(self._too_early(waits_until))
            await self._keep(replace(held, tries=held.tries + 1, tried_at=self._clock.now()))
            try:
                return await self._settle(held)
            except (RateLimited, LoginRequired, NotSent) as error:
                # Not the container's fault: whoever raised it says when to ask again, or nobody was reached.
                await self._keep(replace(self._held, tries=held.tries))
                return self._makeshift(error)
            except SourceUnavailable as error:
                if isinstance(error, CarDataUnavailable) and error.code == CONTAINER_LIMIT:
                    await self._keep(replace(self._held, tries=len(_PAUSES)))
                return self._makeshift(error)

    async def gone(self, container: str) -> None:
        """BMW does not honour this container (CU-105, CU-121): `current` makes it anew, once a day."""
        async with self._lock:
            held, now = self._held, self._clock.now()
            if container != held.id:
                return
            again = held.remade_at is not None and abs(now - held.remade_at) < _RECREATE
            self._logger.warning("container.gone", remade=not again)
            await self._keep(
                _Held(
                    tries=len(_PAUSES) if again else 0,
                    tried_at=now,
                    remade_at=held.remade_at if again else now,
                    bad=(*held.bad, container)[-_REMEMBERED:],
                )
            )

    async def _settle(self, before: _Held) -> str:
        """Find or make a container, keep its id, and clear away the one it replaces."""
        listed = containers_in(await self._client.containers(purpose=PURPOSE))
        active = [entry for entry in listed if entry.get("state") == "ACTIVE"]
        ours = [e for e in active if e.get("name") == NAME and e["containerId"] not in before.bad]
        try:
            found = await self._find_or_create(ours, full=len(active) >= MOST)
        except SourceUnavailable:
            if not before.id and ours:
                # Another list of ours is better than none; the one that is wanted is tried for again.
                await self._keep(replace(self._held, id=ours[0]["containerId"]))
            raise
        await self._keep(_Held(found, self._wanted, remade_at=before.remade_at, bad=before.bad))
        if before.id and before.id != found:
            await self._clear_away(before.id)
        return found

    async def _find_or_create(self, ours: Sequence[Mapping[str, Any]], *, full: bool) -> str:
        """The first list of the ladder that is there or that BMW takes."""
        last: CarDataUnavailable | None = None
        for descriptors in self._ladder:
            intent = intent_of(descriptors)
            for entry in ours:
                if entry.get("purpose") == intent:
                    return str(entry["containerId"])
            if full:
                continue
            try:
                body = await self._client.create_container(NAME, intent, descriptors, purpose=PURPOSE)
            except CarDataUnavailable as error:
                if error.code not in DESCRIPTORS_REFUSED and error.reason != "server":
                    raise
                self._logger.warning("container.refused", descriptors=len(descriptors), error=error.message)
                last = error
                continue
            self._logger.info("container.created", descriptors=len(descriptors))
            return container_in(body)
        raise last or foreseen(CONTAINER_LIMIT)

    async def _clear_away(self, container: str) -> None:
        """Delete the one that was replaced; one that stays takes a place, nothing else."""
        try:
            await self._client.delete_container(container, purpose=PURPOSE, routine=True)
        except SourceError as error:
            self._logger.warning("container.left", error=error.message)

    def _makeshift(self, error: SourceError) -> str:
        """The container that there is, although it is not the one that is wanted; else raises."""
        if not self._held.id:
            raise error
        return self._held.id

    def _waits_until(self) -> datetime | None:
        held = self._held
        if not held.tries or held.tried_at is None:
            return None
        pause = _PAUSES[min(held.tries, len(_PAUSES)) - 1]
        # A clock that was ahead once must not make us wait for years.
        return held.tried_at + pause if abs(self._clock.now() - held.tried_at) < pause else None

    def _too_early(self, until: datetime) -> SourceError:
        return CarDataUnavailable(
            "there is no container yet, and it is too early to try again",
            hint=f"it is tried again after {rfc3339(until)}; `poller doctor` says what BMW refuses",
            reason="container",
        )

    async def _keep(self, held: _Held) -> None:
        self._held = held
        with contextlib.suppress(JournalError):
            await self._memory.remember(self._key, held.to_json())


def intent_of(descriptors: Sequence[str]) -> str:
    """What we tell BMW as a container's purpose: a list's hash, so that no call is needed to compare."""
    digest = hashlib.sha256("\n".join(sorted(set(descriptors))).encode()).hexdigest()
    return f"{NAME} {digest[:12]}"


def containers_in(body: bytes) -> list[Mapping[str, Any]]:
    """The entries of the list, each with a ``containerId``. Raises CarDataUnavailable if it is none."""
    raw = json.loads(body)
    entries = raw.get("containers") if isinstance(raw, dict) else raw
    if not isinstance(entries, list):
        raise CarDataUnavailable("BMW's list of containers was not understood", reason="malformed")
    entries = [entry for entry in entries if isinstance(entry, dict)]
    return [entry for entry in entries if isinstance(entry.get("containerId"), str)]


def container_in(body: bytes) -> str:
    """The id of a container that was made. Raises CarDataUnavailable if there is none to read."""
    raw = json.loads(body)
    found = raw.get("containerId") if isinstance(raw, dict) else None
    if not isinstance(found, str) or not found:
        raise CarDataUnavailable("BMW made a container and did not name it", reason="malformed")
    return found
