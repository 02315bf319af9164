"""A task that fails is started again, less and less eagerly, and counted; one that is told to stop ends."""

import asyncio

import pytest
from structlog.testing import capture_logs

from poller.runtime.metrics import Metrics
from poller.runtime.supervise import supervise
from poller.testing.clock import ManualClock


class Task:
    """What is supervised: each run fails until `fails` are used up, then it waits for the stop."""

    def __init__(self, fails):
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.stop = asyncio.Event()
        self.fails = fails
        self.steady = 0.0
        self.returns = False
        self.started_at = []

    async def run(self, stop):
        self.started_at.append(self.clock.monotonic() - 1000)
        if len(self.started_at) > self.fails:
            await stop.wait()
            return
        if self.steady:
            await self.clock.sleep(self.steady)
        if not self.returns:
            raise RuntimeError("a bug")

    async def supervised(self, seconds):
        """Let it run under supervision for so long, stop it, and give how often it was restarted."""
        task = asyncio.create_task(
            supervise("part", self.run, stop=self.stop, clock=self.clock, metrics=self.metrics)
        )
        await self.clock.advance(seconds)
        self.stop.set()
        await asyncio.wait_for(task, 5)
        return self.metrics.restarts


async def test_what_fails_is_started_again_counted_and_logged():
    task = Task(fails=2)
    with capture_logs() as logs:
        assert await task.supervised(10) == 2
    assert task.started_at == [0, 1, 3]
    assert [(entry["event"], entry["task"]) for entry in logs] == [("task.failed", "part")] * 2


async def test_the_pauses_grow_to_a_minute_and_no_further():
    task = Task(fails=9)
    await task.supervised(600)
    pauses = [later - earlier for earlier, later in zip(task.started_at, task.started_at[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_what_ran_long_before_it_failed_is_started_again_soon():
    task = Task(fails=3)
    task.steady = 301.0
    await task.supervised(1000)
    assert task.started_at == [0, 302, 604, 906]


async def test_a_task_that_returns_early_has_failed_too():
    task = Task(fails=1)
    task.returns = True
    assert await task.supervised(2) == 1
    assert task.started_at == [0, 1]


async def test_a_stop_ends_it_also_between_two_tries():
    task = Task(fails=99)
    await task.supervised(0.5)
    assert task.started_at == [0]


async def test_cancelling_is_no_failure():
    task = Task(fails=0)
    running = asyncio.create_task(
        supervise("part", task.run, stop=task.stop, clock=task.clock, metrics=task.metrics)
    )
    await task.clock.settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert task.metrics.restarts == 0
