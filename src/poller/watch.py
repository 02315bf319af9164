"""The task that looks at the poller itself: once a minute, from its status to alerts and the heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from poller.derive.alerts.settings import Alerts
from poller.derive.alerts.watch import watch
from poller.errors import JournalError
from poller.heartbeat import Heartbeat
from poller.journal.base import Entry, Journal
from poller.runtime import log
from poller.runtime.clock import Clock, wait
from poller.runtime.status import DaemonStatus
from poller.vehicle.display import Display

#: Seconds between two looks.
EVERY = 60.0
STATE = "watch:alerts"


@dataclass(frozen=True, slots=True)
class Manners:
    """How alerts are told, by the settings of now; `names`: slug → what the owner calls the car."""

    settings: Alerts
    display: Display
    names: Mapping[str, str]


class Watch:
    """Keeps what it told in the journal, together with the records: nothing is told twice.

    `status` gives how everything stands; `manners` the settings, which a reload changes; `committed` is
    called when there is something to deliver.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        status: Callable[[], DaemonStatus],
        manners: Callable[[], Manners],
        committed: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._status = status
        self._manners = manners
        self._committed = committed
        self._heartbeat = Heartbeat()
        self._beat_at: float | None = None
        self._logger = log.get("watch")
        #: What it knows, as the journal has it; None: not read yet.
        self.state: Mapping[str, Any] | None = None

    async def open(self) -> None:
        """Read what was told before a restart. Raises JournalError."""
        self.state = await self._journal.recall(STATE) or {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`; under ``--speed`` not oftener than a status changes."""
        while not await wait(stop, self._clock, max(EVERY, self._clock.rate)):
            await self.look()

    async def look(self) -> None:
        """One look; a journal that cannot take it is tried again in a minute."""
        status, manners = self._status(), self._manners()
        try:
            await self._tell(status, manners)
        except JournalError as error:
            # The journal says it itself, on the page and at /readyz.
            self._logger.debug("watch.failed", error=error.message)
            return
        await self._beat(status, manners.settings)

    async def _tell(self, status: DaemonStatus, manners: Manners) -> None:
        if not status.clock_set:
            return  # times would be wrong, and reminders with them
        if self.state is None:
            await self.open()
        before = self.state or {}
        state, records = watch(before, status, manners.settings, manners.display, manners.names)
        if records or _differs(state, before):
            await self._journal.append(Entry(records=records, state={STATE: state}))
            self.state = state
        if records:
            self._committed()

    async def _beat(self, status: DaemonStatus, settings: Alerts) -> None:
        if settings.heartbeat_url is None or not all_goes_on(status, settings):
            return
        now = self._clock.monotonic()
        if self._beat_at is None or now - self._beat_at >= settings.heartbeat_every:
            self._beat_at = now
            await self._heartbeat.send(settings.heartbeat_url.get_secret_value())


def all_goes_on(status: DaemonStatus, settings: Alerts) -> bool:
    """Whether the poller does all of its work: ready, every part alive, and no sink stuck."""
    stuck = any(
        sink.backlog
        and sink.waiting_since is not None
        and (status.now - sink.waiting_since).total_seconds() > settings.sink_backlog_age
        for sink in status.sinks
    )
    return status.ready and status.progressing and not stuck


def _differs(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether anything but the time of the look has changed."""
    return {**new, "at": ""} != {**old, "at": ""}
