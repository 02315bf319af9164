"""What the web needs to know of the daemon; `app` provides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from poller.runtime.status import DaemonStatus
from poller.sources.device import ByDevice
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering

if TYPE_CHECKING:  # short commands read the page's words, and need no metrics
    from poller.runtime.metrics import Registry


class Daemon(Protocol):
    """The running poller, seen from its web pages. Everything but `refresh` is cheap and does no I/O."""

    async def refresh(self) -> None:
        """Bring the status up to date with the journal; at most a moment, whatever the disk does."""
        ...

    def status(self) -> DaemonStatus:
        """How everything stands as of the last `refresh`, `reasons` filled in."""
        ...

    def to_log_in(self, source: str) -> ByDevice | None:
        """The source of that name, if a human logs in to it with a code; None if not."""
        ...

    def origins(self, vin: str) -> Mapping[str, Mapping[str, str]]:
        """Source → record key → the way by which its value came; only sources that have several ways."""
        ...

    @property
    def fleet(self) -> Fleet:
        """The newest of every vehicle."""
        ...

    @property
    def registries(self) -> Sequence[Registry]:
        """What /metrics serves, in this order."""
        ...

    @property
    def rendering(self) -> Rendering:
        """Names and VINs as page and API may show them."""
        ...
