"""A simulated cloud that takes orders, in process: what the tests of its remote services share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from simulated_app import CHARGING, STATE, App

from poller.simulator.cloud import FakeCloud
from poller.simulator.fleet import BEV_VIN
from poller.simulator.garage import CarGarage, Garage, all_cars_garage
from poller.testing.clock import ManualClock

COMMANDS = "/eadrax-vrccs/v4/presentation/remote-commands/"
EVENT_STATUS = "/eadrax-vrccs/v3/presentation/remote-commands/eventStatus"
EVENT_POSITION = COMMANDS + "eventPosition"
SEND_TO_CAR = "/eadrax-dcs/v2/user/00000000-0000-0000-0000-000000000000/send-to-car"
#: In the first weeks of their lives, which are cheap to live through.
START = datetime(2023, 2, 10, 12, tzinfo=UTC)
#: Seconds until all know what became of an order.
KNOWN = 10.0


def charging(vin: str, service: str) -> str:
    return f"/eadrax-crccs/v1/vehicles/{vin}/{service}"


class Stage:
    """An owner who is logged in, a cloud, and its clock."""

    def __init__(self, cloud: FakeCloud, clock: ManualClock, http: httpx.AsyncClient) -> None:
        self.cloud = cloud
        self.clock = clock
        self.http = http
        self.bearer: dict[str, str] = {}

    async def post(self, path: str, vin: str = "", body: Any = None, **headers: str) -> httpx.Response:
        named = {"bmw-vin": vin} if vin else {}
        sent = {} if body is None else body
        return await self.http.post(path, json=sent, headers={**self.bearer, **named, **headers})

    async def tell(self, service: str, vin: str = BEV_VIN, body: Any = None) -> str:
        """Order it as the app does, and wait for the end: the event's last status."""
        of_charging = "charging" in service
        path = charging(vin, service) if of_charging else COMMANDS + service
        answer = await self.post(path, "" if of_charging else vin, body)
        assert answer.status_code == 200, answer.text
        await self.clock.advance(KNOWN)
        return (await self.status(answer.json()["eventId"]))["eventStatus"]

    async def status(self, event: str) -> dict[str, Any]:
        answer = await self.post(f"{EVENT_STATUS}?eventId={event}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self, vin: str = BEV_VIN) -> dict[str, Any]:
        answer = await self.http.get(STATE, headers={**self.bearer, "bmw-vin": vin})
        return answer.json()["state"]

    async def settings(self, vin: str = BEV_VIN) -> dict[str, Any]:
        answer = await self.http.get(CHARGING, headers={**self.bearer, "bmw-vin": vin})
        return answer.json()

    async def until(self, at: datetime) -> None:
        """Let the time come; a little early, for the order to arrive then."""
        await self.clock.advance((at - self.clock.now()).total_seconds())

    async def plugged(self, vin: str = BEV_VIN) -> None:
        """Let it come to charge, for a good while yet."""
        car, now = self.garage.cars[vin], self.clock.now()
        charges = car.truth(now, now + timedelta(days=20)).charges
        long = [c for c in charges if c.flowed_until - c.flowed_from > timedelta(hours=2)]
        await self.until(long[0].flowed_from + timedelta(hours=1))

    async def parked(self, vin: str = BEV_VIN) -> None:
        """Let it stand, unplugged and locked, as after a drive."""
        car, now = self.garage.cars[vin], self.clock.now()
        trips = car.truth(now, now + timedelta(days=5)).trips
        ends = (trip.end + timedelta(minutes=30) for trip in trips)
        await self.until(next(at for at in ends if _stands(car.moment(at))))

    @property
    def garage(self) -> CarGarage:
        assert isinstance(self.cloud._garage, CarGarage)
        return self.cloud._garage


def _stands(moment: Any) -> bool:
    return not moment.driving and moment.plug is None and moment.locked and not moment.open


@asynccontextmanager
async def stage_of(
    garage: Garage | None = None, clock: ManualClock | None = None, **kinds: Any
) -> AsyncIterator[Stage]:
    clock = clock or ManualClock(START)
    cloud = FakeCloud(garage or all_cars_garage(), clock, token_lifetime=1e8, **kinds)
    transport = httpx.ASGITransport(app=cloud)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud.test") as http:
        stage = Stage(cloud, clock, http)
        stage.bearer = await App(http).enter()
        yield stage
