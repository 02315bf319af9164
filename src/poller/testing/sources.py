"""A source whose answers are given by the test, and whose cars do as they are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from poller.errors import CommandRefused, MalformedAnswer, SourceError
from poller.runtime.clock import Clock
from poller.sources.base import Answer, LoginState, Target
from poller.sources.remote import Deadline
from poller.vehicle.command import CommandState, Order, Outcome, Service
from poller.vehicle.records import milliseconds, parse_time
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder

VIN = "WMW00000000000001"


class FakeSource:
    """Implements `sources.base.Source`: a body is JSON ``{"observed_at": …, "readings": {…}}``.

    `script` holds what the next fetches do: readings, raw bytes, or an error to raise; when it is
    empty the last readings come again. `fetched` counts.

    Implements `sources.remote.Remote` too: `ends` holds what comes of the next orders, an error to raise
    among them; when it is empty they are executed. `orders` has those that were sent, `cannot` what
    the cars do not do, and why. `before_end` is awaited while an order is under way.
    """

    kind = "fake"
    lists_vehicles = True

    def __init__(self, clock: Clock, *, name: str = "fake", vins: Sequence[str] = (VIN,)) -> None:
        self.name = name
        self.account = f"fake:{name}"
        self.clock = clock
        self.vins = list(vins)
        self.script: list[Mapping[str, Any] | bytes | SourceError] = []
        self.listing: SourceError | None = None
        self.login = LoginState("1")
        self.fetched: list[str] = []
        self.kept: list[Answer] = []
        self.before_answer: Callable[[], Any] | None = None
        self.ends: list[Outcome | Exception] = []
        self.orders: list[Order] = []
        self.cannot: dict[Service, str] = {}
        self.before_end: Callable[[], Any] | None = None
        self.opened = 0
        self.closed = 0
        self._last: Mapping[str, Any] = {"odometer_km": 1000, "soc_percent": 80}

    async def open(self) -> None:
        """Nothing to make ready; `opened` counts."""
        self.opened += 1

    async def close(self) -> None:
        """Nothing to let go of; `closed` counts."""
        self.closed += 1

    def login_state(self) -> LoginState:
        """What the test set."""
        return self.login

    async def targets(self) -> Sequence[Target]:
        """One per VIN, or the error that the test set."""
        if self.listing is not None:
            raise self.listing
        return [Target(vin) for vin in self.vins]

    async def fetch(self, target: Target) -> Answer:
        """The next of the script."""
        self.fetched.append(target.vin)
        if self.before_answer is not None:
            await self.before_answer()
        step = self.script.pop(0) if self.script else self._last
        if isinstance(step, SourceError):
            raise step
        now = milliseconds(self.clock.now())
        if isinstance(step, bytes):
            body = step
        else:
            self._last = step
            body = json.dumps({"observed_at": now.isoformat(), "readings": step}).encode()
        return Answer(self.name, self.kind, target.vin, now, {"state": body})

    def stored(self, answer: Answer) -> None:
        """Remembered in `kept`."""
        self.kept.append(answer)

    def parse(self, answer: Answer) -> Snapshot:
        """Readings as given; anything that is not such a body is malformed."""
        try:
            body = json.loads(answer.bodies["state"])
            observed_at: datetime = parse_time(body["observed_at"])
            readings = dict(body["readings"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MalformedAnswer from error
        builder = SnapshotBuilder(answer.source, answer.vin, answer.received_at, observed_at)
        for key, value in readings.items():
            signal, _, dimension = key.partition(".")
            builder.put(signal, value, dimension=dimension or None)
        return builder.build()

    async def execute(self, order: Order, deadline: Deadline | None = None) -> Outcome:
        """The next of `ends`, but for what `cannot` names."""
        self._require(order.vin)
        if deadline is not None:
            deadline.check()
        if order.service in self.cannot:
            raise CommandRefused(self.cannot[order.service])
        self.orders.append(order)
        if self.before_end is not None:
            await self.before_end()
        end = self.ends.pop(0) if self.ends else Outcome(CommandState.EXECUTED)
        if isinstance(end, Exception):
            raise end
        return end

    async def pictures(self, vin: str, views: Sequence[str]) -> Mapping[str, bytes]:
        """Each view is its name, behind the eight bytes with which every PNG begins."""
        self._require(vin)
        return {view: b"\x89PNG\r\n\x1a\n" + view.encode() for view in views}

    def _require(self, vin: str) -> None:
        if vin not in self.vins:
            raise CommandRefused("the account has no such vehicle")
