"""The last orders to each car, kept in mind beside their records: those are pruned with their day."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from poller.journal.base import Entry, Journal
from poller.runtime.status import OrderStatus
from poller.vehicle.records import Json, Record, parse_time

#: Of one car.
KEPT: Final = 3


class LastOrders:
    """Journals what is to be said of orders, and knows the newest of each car, over a restart too."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, Json] = {}
        #: Who adds to what is there must know all of it.
        self._one_by_one = asyncio.Lock()

    async def append(self, record: Record) -> None:
        """Make safe, in one transaction, the record and that it is its car's last. Raises JournalError."""
        key = _key(record.vin)
        async with self._one_by_one:
            last = _with(await self._recall(key), record)
            await self._journal.append(Entry(records=[record], state={key: last}))
            self.know(record)

    def know(self, record: Record) -> None:
        """Show what came of an order that is in the journal, be this there or not."""
        key = _key(record.vin)
        self._known[key] = _with(self._known[key], record)

    async def recall(self, vins: Collection[str]) -> None:
        """Know what the journal has of these cars, unless that is known. Raises JournalError."""
        for vin in vins:
            await self._recall(_key(vin))

    def of(self, vin: str, slug: str, *, under_way: bool) -> Iterator[OrderStatus]:
        """Those to one car, newest first; `under_way`: one is at this moment."""
        for told in self._known.get(_key(vin), {}).get("last", ()):
            order = _status(told, slug)
            waits = under_way and order.ended_at is None
            under_way = False  # at most the newest: one at a time
            yield replace(order, under_way=waits)

    async def _recall(self, key: str) -> Json:
        if key not in self._known:
            known = await self._journal.recall(key) or {}
            self._known.setdefault(key, known)
        return self._known[key]


def _with(before: Mapping[str, Any], record: Record) -> Json:
    """`before` with this order; what it said of the same one is replaced."""
    told = {"id": record.id, "source": record.source, **record.body}
    others = [one for one in before.get("last", ()) if one["id"] != record.id]
    # The end of an earlier one may come after the beginning of the next.
    last = sorted([told, *others], key=lambda one: str(one["ordered_at"]), reverse=True)
    return {"last": last[:KEPT]}


def _status(told: Mapping[str, Any], slug: str) -> OrderStatus:
    ended_at = told.get("ended_at")
    return OrderStatus(
        vehicle=slug,
        source=told["source"],
        service=told["service"],
        state=told["state"],
        ordered_at=parse_time(told["ordered_at"]),
        ended_at=parse_time(ended_at) if ended_at else None,
        reason=told.get("reason", ""),
        arguments=told["arguments"],
    )


def _key(vin: str) -> str:
    return f"orders:{vin.upper()}"  # another account may spell it otherwise
