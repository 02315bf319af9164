"""The timer: APScheduler on a fixed grid, and a watch over the wall clock.

APScheduler's own interval trigger drifts with jitter and stands still after the wall clock goes
back; so the trigger is ours and a jump of the clock makes every job due at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from poller.runtime import log
from poller.runtime.clock import Clock, wait

WATCH_EVERY = 30.0
#: NTP slews below this; a suspend or a hand on the clock moves further.
JUMP = 5.0


def next_on_grid(anchor: datetime, interval: float, after: datetime) -> datetime:
    """The first ``anchor + n × interval`` (seconds, any whole n) strictly after `after`."""
    steps = (after - anchor).total_seconds() // interval + 1
    return anchor + timedelta(seconds=steps * interval)


def first_due(now: datetime, interval: float, last_attempt: datetime | None) -> datetime:
    """When a source is asked first after a start: at once, or when its last attempt plus interval says.

    A crash loop must not hammer the maker's cloud. A last attempt in the future is no reason to wait.
    """
    if last_attempt is None or last_attempt > now:
        return now
    return max(now, last_attempt + timedelta(seconds=interval))


class GridTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires on the grid, strictly after now; runs on the poller's clock, so it can be warped."""

    def __init__(self, anchor: datetime, interval: float, clock: Clock) -> None:
        self._anchor = anchor
        self._interval = interval
        self._clock = clock

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next fire time on the machine's clock; missed ones are not made up for."""
        warped_now = self._clock.now()
        due = next_on_grid(self._anchor, self._interval, warped_now)
        fire = now + (due - warped_now) / self._clock.rate
        # The first poll comes before the grid's own phase, and the clock may have gone back a little:
        # a place on the grid that is next to the last fire has been used.
        step = timedelta(seconds=self._interval / self._clock.rate)
        if previous_fire_time is not None and abs(fire - previous_fire_time) < step / 2:
            fire += step
        return fire


def machine_time() -> datetime:
    """The time that APScheduler reads by itself, whatever the poller's clock says."""
    return datetime.now(UTC)


class Timer:
    """Calls `mark` of each entry when it is due; entries are added before or after `start`.

    `machine` must agree with what APScheduler reads: its times are given on that clock.
    """

    def __init__(
        self, clock: Clock, on_jump: Callable[[float], None], machine: Callable[[], datetime] = machine_time
    ) -> None:
        self._clock = clock
        self._on_jump = on_jump
        self._machine = machine
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._logger = log.get("schedule")

    def add(
        self,
        name: str,
        mark: Callable[[], None],
        *,
        interval: float,
        jitter: float,
        last_attempt: datetime | None,
    ) -> None:
        """Call `mark` on a grid of `interval` seconds, its phase drawn once from 0..`jitter`."""
        now = self._clock.now()
        due = first_due(now, interval, last_attempt)
        # The phase keeps a thousand homes from asking in the same second; the rate stays exact.
        anchor = due + timedelta(seconds=random.uniform(0, jitter))  # noqa: S311  # not cryptography

        async def job() -> None:  # a plain function would run in another thread
            mark()

        self._scheduler.add_job(
            job,
            GridTrigger(anchor, interval, self._clock),
            id=name,
            next_run_time=self._machine() + (due - now) / self._clock.rate,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
            replace_existing=True,
        )

    def remove(self, name: str) -> None:
        """Forget an entry."""
        self._scheduler.remove_job(name)

    def next_due(self, name: str) -> datetime | None:
        """When the entry fires next, on the poller's clock."""
        job: Any = self._scheduler.get_job(name)
        when: datetime | None = getattr(job, "next_run_time", None)
        if when is None:
            return None
        return self._clock.now() + (when - self._machine()) * self._clock.rate

    def start(self) -> None:
        """Begin; needs the running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; jobs only mark, so nothing is cut short."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def watch(self, stop: asyncio.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Compare wall and steady time every half minute; after a jump every entry is due now.

        `beat` is called at the start, and then each time that no entry is overdue.
        """
        wall, steady = self._clock.now(), self._clock.monotonic()
        beat()
        while not await wait(stop, self._clock, WATCH_EVERY * self._clock.rate):
            moved = (self._clock.now() - wall).total_seconds() - (self._clock.monotonic() - steady)
            wall, steady = self._clock.now(), self._clock.monotonic()
            if abs(moved) > JUMP * self._clock.rate:
                self._jumped(moved)
            if self._punctual():
                beat()

    def _punctual(self) -> bool:
        """Whether the scheduler runs and has fired what was due: a jump has just made everything due."""
        late = self._machine() - timedelta(seconds=WATCH_EVERY)
        fires = (job.next_run_time for job in self._scheduler.get_jobs())
        return bool(self._scheduler.running) and all(at is None or at > late for at in fires)

    def _jumped(self, seconds: float) -> None:
        self._logger.warning("clock.jumped", seconds=round(seconds))
        self._on_jump(seconds)
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=self._machine())
