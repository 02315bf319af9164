"""What follows from snapshots: pure derivers, each (state, snapshot) → (state, records)."""

from __future__ import annotations

from poller.derive.base import Deriver

__all__ = ["Deriver"]
