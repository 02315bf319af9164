"""A source whose answers are given by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from poller.errors import MalformedAnswer, SourceError
from poller.runtime.clock import Clock
from poller.sources.base import Answer, LoginState, Target
from poller.vehicle.records import milliseconds, parse_time
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder

VIN = "WMW00000000000001"


class FakeSource:
    """Implements `sources.base.Source`: a body is JSON ``{"observed_at": …, "readings": {…}}``.

    `script` holds what the next fetches do: readings, raw bytes, or an error to raise; when it is
    empty the last readings come again. `fetched` counts.
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
        self._last: Mapping[str, Any] = {"odometer_km": 1000, "soc_percent": 80}

    async def open(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

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
