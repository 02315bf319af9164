"""Everything that can go wrong, in random order, and kill -9 between: every acknowledged record arrives."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from poller.simulator import axiom

#: Lives of the poller, each with some faults and a sudden end.
ROUNDS = 3
SOAK_ROUNDS = 30
CLOUD_FAULTS: list[dict[str, Any]] = [
    {"kind": "server_error"},
    {"kind": "maintenance"},
    {"kind": "status", "status": 404},
    {"kind": "unauthorized"},
    {"kind": "reset"},
    {"kind": "half_body"},
    {"kind": "broken_json"},
    {"kind": "wrong_types"},
    {"kind": "slow", "seconds": 0.2},
]
AXIOM_FAULTS = [
    axiom.status(500),
    axiom.status(503),
    axiom.rate_limited(None),
    axiom.reset_after_storing,
    axiom.truncated,
    axiom.html,
    axiom.slow(0.2),
]


class Misfortune:
    """Spoils the world of a rehearsal, one way or another."""

    def __init__(self, rehearsal: Any, rng: random.Random) -> None:
        self._rehearsal = rehearsal
        self._rng = rng
        self._client = httpx.AsyncClient(base_url=rehearsal.addresses[0], trust_env=False, timeout=10)

    async def strikes(self, daemon: Any) -> None:
        """One fault, for as long as it lasts."""
        ways: list[Callable[[Any], Awaitable[None]]] = [self._cloud, self._cloud, self._axiom, self._disk]
        await self._rng.choice(ways)(daemon)

    async def is_over(self) -> None:
        """All is well again, outside."""
        (await self._client.delete("/_sim/faults")).raise_for_status()
        self._rehearsal.axiom.standing = axiom.take_in

    async def close(self) -> None:
        await self._client.aclose()

    async def _cloud(self, _daemon: Any) -> None:
        fault = {**self._rng.choice(CLOUD_FAULTS), "count": self._rng.randint(1, 6)}
        (await self._client.post("/_sim/faults", json=fault)).raise_for_status()

    async def _axiom(self, _daemon: Any) -> None:
        self._rehearsal.axiom.standing = self._rng.choice([axiom.take_in, *AXIOM_FAULTS])

    async def _disk(self, daemon: Any) -> None:
        """No file of the poller's may grow, as on a disk that fails; then it plays again."""
        if daemon.child.returncode is None:
            unlimited = resource.RLIM_INFINITY
            resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE, (4096, unlimited))
            await asyncio.sleep(self._rng.uniform(0, 0.3))
            resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)], ids=["plain", "soak"]
)
async def test_every_acknowledged_record_arrives_whatever_happens(rehearsal, rng, rounds):
    rehearsal.configure(*rehearsal.addresses, interval="100ms")
    misfortune, acknowledged = Misfortune(rehearsal, rng), set()
    for life in range(rounds):
        daemon = await rehearsal.start("run")
        # Later lives may begin with a back-off, and end before a poll.
        await daemon.until("app.started" if life else "poll.completed")
        for _ in range(rng.randint(1, 4)):
            # Real time is the thing tested: the next one comes at any moment.
            await asyncio.sleep(rng.uniform(0, 0.4))
            await misfortune.strikes(daemon)
        await (daemon.kill() if rng.random() < 0.8 else daemon.terminate(within=8))
        await misfortune.is_over()
        acknowledged |= daemon.acknowledged()
        assert "task.failed" not in {event["event"] for event in daemon.events}, daemon.events
    assert acknowledged, "the rounds must have stored something to lose"
    await misfortune.close()
    await drained(rehearsal)
    assert acknowledged <= set(rehearsal.files())
    assert acknowledged <= set(rehearsal.axiom.ids())


async def drained(rehearsal: Any) -> None:
    """Let the poller deliver until no sink is behind; a back-off is 25 seconds at most."""
    for _ in range(10):
        code, out, err = await rehearsal.command("once", "--json")
        if code == 0:
            return
    pytest.fail(out + err)
