"""What the tests of CarData's REST side share: a fake BMW on loopback, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette

from poller.simulator.cardata.rest import FakeRest, Vehicle
from poller.simulator.faults import Fault, Faults
from poller.simulator.server import serve
from poller.sources.cardata.rest.client import CarDataClient
from poller.sources.cardata.rest.ledger import Ledger
from poller.sources.http import Limits
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory

START = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
VIN, GUEST = "WBA00000000000001", "WBA00000000000002"
ODOMETER = "vehicle.vehicle.travelledDistance"
LOCK = "vehicle.cabin.door.lock.status"

SESSIONS = [{"startTime": int(START.timestamp()) - day * 86400, "displayedSoc": 80} for day in range(1, 6)]
VEHICLES = (
    Vehicle(
        VIN,
        basic={"brand": "BMW", "driveTrain": "BEV"},
        sessions=SESSIONS,
        settings=[{"id": str(number)} for number in range(3)],
        tyres={"passengerCar": {}},
    ),
    Vehicle(GUEST, mapping="SECONDARY"),
)


def car_data(_vin: str, descriptors, at: datetime) -> dict[str, Any]:
    """Every descriptor has a value but the lock, which nobody knows."""
    known = {"timestamp": at.isoformat(), "unit": None, "value": "1"}
    unknown = {"timestamp": None, "unit": None, "value": None}
    return {key: unknown if key == LOCK else known for key in descriptors}


@dataclass
class Account:
    """Tokens of one account: which one BMW takes, and which one we hold."""

    taken: str = "token-1"
    held: str = "token-1"
    next: str = "token-2"
    asked: list[bool] = field(default_factory=list)

    async def token(self, force: bool) -> str:
        self.asked.append(force)
        if force:
            self.held = self.next
        return self.held

    def admits(self, request) -> str:
        given = request.headers.get("authorization", "")
        return "account" if given == f"Bearer {self.taken}" else "CU-102"


@dataclass
class Stage:
    """A fake BMW and our client of it; the clock is the test's."""

    fake: FakeRest
    url: str
    account: Account
    clock: ManualClock
    memory: DictMemory
    ledger: Ledger
    client: CarDataClient

    def made(self) -> int:
        """Calls that BMW saw since the last look."""
        count = self.fake.requests.total()
        self.fake.requests.clear()
        return count

    @property
    def spent(self) -> int:
        return self.ledger.standing().used_24h


@asynccontextmanager
async def staged(
    *, limits: Limits | None = None, limit: int = 50, fault: Fault | None = None, **more: Any
) -> AsyncIterator[Stage]:
    """All of it, served while the block runs; `fault` spoils the wire."""
    clock, memory, account = ManualClock(START), DictMemory(), Account()
    fake = FakeRest(VEHICLES, car_data, clock, admits=account.admits, **more)
    ledger = Ledger(memory, "cardata:test", clock, limit=limit, reserve=10)
    await ledger.open()
    wire = Faults(Starlette(routes=fake.routes()), clock, {})
    if fault is not None:
        wire.add(fault)
    async with serve(wire) as url:
        client = CarDataClient(
            "home",
            api_url=url,
            token=account.token,
            ledger=ledger,
            clock=clock,
            limits=limits or Limits(timeout=5.0),
        )
        await client.open()
        try:
            yield Stage(fake, url, account, clock, memory, ledger, client)
        finally:
            await client.close()
