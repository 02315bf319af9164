"""A daemon that stands still, and a browser without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from poller.runtime.status import DaemonStatus, Failure, JournalStatus, SinkStatus, SourceStatus
from poller.testing.daemon import StillDaemon
from poller.vehicle.display import Display
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.snapshot import SnapshotBuilder

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
VIN = "WMW00000000000001"


class Stage:
    """Makes statuses and cars as of `now`; times are given as minutes before it."""

    now = NOW
    vin = VIN
    display = Display("metric", ZoneInfo("Europe/London"))

    def __init__(self) -> None:
        self.fleet = Fleet()

    @staticmethod
    def ago(minutes: float) -> datetime:
        return NOW - timedelta(minutes=minutes)

    def failure(self, minutes: float = 1, message: str = "it went wrong", hint: str | None = None) -> Failure:
        return Failure(self.ago(minutes), "server", message, hint)

    def source(self, **changes: Any) -> SourceStatus:
        plain: dict[str, Any] = {
            "name": "bmw", "kind": "mybmw", "state": "ok", "allowed_age": 900.0,
            "last_success_at": self.ago(2),
        }  # fmt: skip
        return SourceStatus(**(plain | changes))

    def sink(self, **changes: Any) -> SinkStatus:
        plain: dict[str, Any] = {
            "name": "files", "kind": "json_files", "live": False, "up": True,
            "last_success_at": self.ago(2), "backlog_limit": 3600.0,
        }  # fmt: skip
        return SinkStatus(**(plain | changes))

    def status(self, **changes: Any) -> DaemonStatus:
        plain: dict[str, Any] = {
            "version": "1.2.3", "started_at": self.ago(600), "now": NOW, "sources": [self.source()],
            "sinks": [self.sink()], "journal": JournalStatus(size=4096, limit=2**31, disk_free=2**33),
        }  # fmt: skip
        return DaemonStatus(**(plain | changes))

    def car(
        self,
        asked: float = 2,
        reported: float | None = 12,
        *,
        vin: str = VIN,
        source: str = "bmw",
        up: bool | None = True,
        **values: Any,
    ) -> None:
        """Add a snapshot; ``door_open__rear_left`` has a dimension, ``(62, 90)`` is 90 minutes old."""
        observed = None if reported is None else self.ago(reported)
        builder = SnapshotBuilder(source, vin, self.ago(asked), observed)
        for name, given in values.items():
            key, _, dimension = name.partition("__")
            value, own = given if isinstance(given, tuple) else (given, None)
            at = None if own is None else self.ago(own)
            builder.put(key, value, dimension=dimension or None, observed_at=at)
        snapshot = builder.build()
        assert not snapshot.unknown_tokens
        self.fleet.update(snapshot, up=up)

    def daemon(self, status: DaemonStatus | None = None, **more: Any) -> StillDaemon:
        rendering = Rendering({VIN: "mini"}, location="none", vin="short")
        return StillDaemon(status or self.status(), fleet=self.fleet, rendering=rendering, **more)


@pytest.fixture
def stage() -> Stage:
    return Stage()
