"""What follows from snapshots: pure derivers, each (state, snapshot) → (state, records)."""

from __future__ import annotations

from poller.derive.base import Deriver

#: In the order in which they run. None yet: sessions, trips and alerts are issues of their own.
DERIVERS: tuple[Deriver, ...] = ()
