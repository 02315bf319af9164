"""An order under way in the daemon: everything else goes on, and no web page leads to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC

import httpx
import pytest
from order_house import BMW, FILES, NAMES, WIFE, OrderHouse

from poller.commands import TABLE
from poller.daemon import Daemon
from poller.errors import LoginRequired
from poller.testing.sources import VIN
from poller.vehicle.command import CommandState, Outcome
from poller.vehicle.display import Display
from poller.web.control import SOCKET_NAME, ControlClient, CutOff
from poller.web.page import Page
from poller.web.routes import Routes

WITHIN = 10


async def until(true: Callable[[], bool]) -> None:
    """What comes about in another task, without a word to us."""
    async with asyncio.timeout(WITHIN):
        while not true():  # noqa: ASYNC110 - the doubles have no event for it
            await asyncio.sleep(0.005)


class Running(OrderHouse):
    """A daemon; an order to a car is under way until `gate` opens."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.gate, self.begun = asyncio.Event(), asyncio.Event()
        self.urls: list[str] = []
        (folder / "dumps").mkdir()
        (folder / "more").mkdir()

    async def start(self) -> None:
        self.daemon = Daemon(self.make(), again=self.load)
        ready = asyncio.Event()

        def started(urls: list[str]) -> None:
            self.urls.extend(urls)
            ready.set()

        self.running = asyncio.create_task(self.daemon.run(started))
        await asyncio.wait_for(ready.wait(), WITHIN)
        self.built["bmw"].before_end = self._under_way

    async def stop(self) -> None:
        self.daemon.stop()
        await asyncio.wait_for(self.running, WITHIN)

    async def over_socket(self, command: str, **args) -> dict:
        client = ControlClient(self.folder / "data" / SOCKET_NAME)
        return await asyncio.to_thread(client.call, command, args)

    async def ordering(self) -> asyncio.Task[dict]:
        """An order that is with the car now."""
        task = asyncio.create_task(self.over_socket("vehicle-order", service="horn", vehicle="mini"))
        await asyncio.wait_for(self.begun.wait(), WITHIN)
        return task

    async def _under_way(self) -> None:
        self.begun.set()
        await self.gate.wait()


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[Running]:
    made = Running(tmp_path)
    await made.start()
    yield made
    made.gate.set()
    await made.stop()


async def test_other_commands_and_a_reload_go_on_meanwhile(house) -> None:
    """And the order's own connection stays open until its end, which the journal of now has."""
    task, first = await house.ordering(), house.built["bmw"]
    assert (await house.over_socket("once"))["exit_code"] == 0
    old = house.app.road
    house.load(BMW + WIFE + NAMES + FILES)
    house.daemon.reload()
    await until(lambda: house.app.road is not old and "wife" in house.built)
    assert (await house.over_socket("once"))["exit_code"] == 0
    assert (first.closed, house.built["bmw"] is first) == (0, False)
    house.gate.set()
    assert (await task)["record"]["state"] == "executed"
    assert first.closed == 1
    assert [record.body["state"] for record in await house.journalled()] == ["executed"]


async def test_a_stop_tells_that_nobody_knows_and_keeps_what_was_ordered(house, tmp_path) -> None:
    task = await house.ordering()
    await house.stop()
    with pytest.raises(CutOff):
        await task
    again = OrderHouse(tmp_path)
    await again.open()
    try:
        assert [record.body["state"] for record in await again.journalled()] == ["ordered"]
    finally:
        await again.app.close()


async def test_after_an_order_the_daemon_polls_in_its_own_time(house) -> None:
    house.gate.set()
    source = house.built["bmw"]
    source.ends = [Outcome(CommandState.EXECUTED, stale=True)]
    await until(lambda: len(source.fetched) == 1)
    assert (await house.over_socket("vehicle-order", service="lock", vehicle=VIN))["stale"]
    rereading = asyncio.create_task(house.over_socket("vehicle-reread", source="bmw"))
    sleeping = house.clock.sleeping
    await until(lambda: house.clock.sleeping > sleeping)
    await house.clock.advance(7)
    assert (await rereading)["error"] is None
    await until(lambda: len(source.fetched) == 2)


async def test_a_login_that_is_refused_to_an_order_shows_at_once(house) -> None:
    """A poll tells whether it is the login, or only this order that BMW does not take."""
    house.gate.set()
    source = house.built["bmw"]
    await until(lambda: len(source.fetched) == 1)
    source.ends = [LoginRequired("the login was refused")]
    source.script = [LoginRequired("the login was refused")]
    assert (await house.over_socket("vehicle-order", service="lock", vehicle=VIN))["exit_code"] == 3
    await until(lambda: house.app.road.rounds["bmw"].status.state == "login_required")


async def test_no_web_route_tells_a_car_anything(house) -> None:
    """Not by the name of a command, and not by any route that there is."""
    house.gate.set()
    order = {"service": "horn", "vehicle": "mini"}
    async with httpx.AsyncClient(
        base_url=house.urls[0], headers={"origin": house.urls[0].rstrip("/")}
    ) as client:
        for name in TABLE:
            for path in (f"/{name}", f"/api/v1/{name}", f"/api/v1/vehicles/mini/{name}"):
                reply = await client.post(path, json=order)
                assert reply.status_code in {404, 405}, path
        for route in Routes(house.app, Page(Display("metric", UTC), ""), None).app()._app.routes:
            path = route.path.format(source="bmw", name="page.css", slug="mini")
            assert not {"order", "command", "remote"} & set(path.split("/"))
            for method in ("GET", "POST", "PUT", "DELETE"):
                await client.request(method, path, json=order)
    assert house.built["bmw"].orders == []
