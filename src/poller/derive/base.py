"""The seam of derivation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from poller.vehicle.records import Record
from poller.vehicle.snapshot import Snapshot


class Deriver(Protocol):
    """A pure function over snapshots; time comes from the snapshot only."""

    @property
    def name(self) -> str:
        """Key of its state in the journal."""
        ...

    def derive(
        self, state: Mapping[str, Any], snapshot: Snapshot
    ) -> tuple[Mapping[str, Any], Sequence[Record]]:
        """The new state (JSON-ready) and what follows; the first state is empty."""
        ...
