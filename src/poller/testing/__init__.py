"""Shipped doubles: they implement the seams and pass the same contract suites as the real parts.

The four that a test of a new part needs are here; the others are in the modules of this folder.
"""

from __future__ import annotations

from poller.testing.clock import ManualClock
from poller.testing.journal import MemoryJournal
from poller.testing.sinks import RecordingSink
from poller.testing.sources import FakeSource

__all__ = ["FakeSource", "ManualClock", "MemoryJournal", "RecordingSink"]
