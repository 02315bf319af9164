"""``poller vehicle …`` from the owner's words to a car in the simulator, and back."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from poller.app import App
from poller.cli.main import run
from poller.commands import TABLE
from poller.settings import load
from poller.simulator.cloud import FakeCloud
from poller.simulator.fault import Fault
from poller.simulator.fleet import BEV_VIN, ICE_VIN
from poller.simulator.garage import all_cars_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.sources.mybmw.remote.views import VIEWS
from poller.sources.mybmw.source import MyBmwSource
from poller.testing.leaping import LeapingClock
from poller.web.control import SOCKET_NAME, ControlServer

CONFIG = """
data_dir = "data"
[web]
listen = ""
[sinks.files]
type = "json_files"
[sources.bmw]
type = "mybmw"
username = "{user}"
base_url = "{cloud}"
geocoder = "{geocoder}"
[vehicles.big]
vin = "{vin}"
"""
PNG = b"\x89PNG"


class Owner:
    """Types commands to a poller whose waiting takes no time, over a cloud whose cars obey."""

    def __init__(self, app: App, control: ControlServer, cloud: FakeCloud, folder: Path, capsys) -> None:
        self.app = app
        self.control = control
        self.cloud = cloud
        self.folder = folder
        self._capsys = capsys
        self.out = self.err = ""

    async def types(self, *words: str) -> int:
        self._capsys.readouterr()
        await self.app.clock.sleep(1)
        code = await asyncio.to_thread(run, ["vehicle", *words, "--config", str(self.folder / "config.toml")])
        self.out, self.err = self._capsys.readouterr()
        return code

    def told(self) -> tuple[str, str, dict]:
        """What the cloud heard last: car, service, body."""
        event = self.cloud.remote.diary[-1]
        return event.vin, event.service, dict(event.body)


async def _geocode(request: Request) -> JSONResponse:
    known = request.query_params["q"] == "Am Hart 1 Munich"
    return JSONResponse([{"lat": "48.17718", "lon": "11.55672", "address": {}}] if known else [])


@asynccontextmanager
async def owning(folder: Path, capsys) -> AsyncIterator[Owner]:
    clock = LeapingClock()
    cloud = FakeCloud(all_cars_garage(), clock)
    geocoder = Starlette(routes=[Route("/search", _geocode)])
    async with serve(cloud) as url, serve(geocoder) as where:
        (folder / "config.toml").write_text(
            CONFIG.format(user=USER, cloud=url, geocoder=where, vin=BEV_VIN), encoding="utf-8"
        )
        (folder / "config.toml").chmod(0o600)
        app = App(load(folder / "config.toml", environ={"TZ": "UTC"}), clock=clock)
        await app.open()
        source = app.road.sources["bmw"]
        assert isinstance(source, MyBmwSource)
        await source.login(refresh_token=REFRESH_TOKEN)
        commands = {name: functools.partial(command, app) for name, command in TABLE.items()}
        control = ControlServer(folder / "data" / SOCKET_NAME, commands)
        await control.start()
        yield Owner(app, control, cloud, folder, capsys)
        await control.stop()
        await app.close()


@pytest.fixture
async def owner(tmp_path, capsys) -> AsyncIterator[Owner]:
    async with owning(tmp_path, capsys) as made:
        yield made


async def test_every_subcommand_reaches_the_car(owner, tmp_path) -> None:
    """The library's, and ours beside them; each as it stands in the cloud's diary."""
    orders = {
        "lightflash big -y": ("light-flash", {}),
        f"horn {BEV_VIN.lower()} --yes": ("horn-blow", {}),
        "unlock 0000004 -y": ("door-unlock", {}),
        "lock big -y": ("door-lock", {}),
        "climate big start -y": ("climate-now START", {}),
        "climate big stop --yes": ("climate-now STOP", {}),
        "chargingsettings big --target-soc 90 -y": (
            "charging-settings",
            {"chargingTarget": 90, "acLimitValue": None},
        ),
        "vehiclefinder big 48.1 11.5 -y": ("vehicle-finder", {}),
        "call big light-flash -y": ("light-flash", {}),
    }
    for words, (service, body) in orders.items():
        assert await owner.types(*words.split()) == 0, owner.err
        assert owner.told() == (BEV_VIN, service, body)
        assert (owner.out != "", owner.err) == (True, ""), words
    assert await owner.types("chargingprofile", "big", "--precondition-climate", "False") == 0, owner.err
    vin, service, body = owner.told()
    assert (vin, service, body["isPreconditionForDepartureActive"]) == (BEV_VIN, "charging-profile", False)
    await destinations(owner)
    await found(owner)
    await pictures(owner, tmp_path)
    await journalled(owner, [*orders, "profile", "poi", "poi", "poi", "finder"])


async def destinations(owner: Owner) -> None:
    """By coordinates, or by an address that the geocoder is asked about."""
    words = ["sendpoi", "big", "48.1", "-11.5", "--name", "Work", "--city", "Munich"]
    assert await owner.types(*words) == 0, owner.err
    (place,) = owner.told()[2]["places"]
    assert (place["title"], place["position"]) == ("Work", {"lat": 48.1, "lng": -11.5})
    address = ["-a", "Am", "Hart", "1", "Munich", "--name", "Home"]
    assert await owner.types("sendpoi_from_address", "big", *address) == 0, owner.err
    (place,) = owner.told()[2]["places"]
    assert (place["title"], place["position"]) == ("Home", {"lat": 48.17718, "lng": 11.55672})
    assert await owner.types("sendpoi_from_address", "big", "-a", "Nowhere") == 1
    assert "no such address" in owner.err


async def found(owner: Owner) -> None:
    """Told whole, and in the next snapshot."""
    assert await owner.types("vehiclefinder", "big", "--json") == 0, owner.err
    place = json.loads(owner.out)["found"]
    newest = [record for record in await owner.app.journal.newest() if record.vin == BEV_VIN]
    readings = newest[0].body["readings"]
    assert readings["latitude_degrees"] == pytest.approx(place["latitude"])
    assert readings["longitude_degrees"] == pytest.approx(place["longitude"])


async def pictures(owner: Owner, folder: Path) -> None:
    assert await owner.types("image", "big", "--directory", str(folder)) == 0, owner.err
    for view in VIEWS:
        assert (folder / f"{view}.png").read_bytes().startswith(PNG)


async def journalled(owner: Owner, orders: list[str]) -> None:
    """Each order with its end, and no place in any."""
    seen = await owner.app.journal.peek("files", limit=100, kinds=["command"], after=0)
    bodies = [queued.record.body for queued in seen.records]
    assert len(bodies) == len(orders)
    assert {body["state"] for body in bodies} == {"executed", "refused"}
    assert not [word for word in ("48.17", "-11.5", "Am Hart", "Munich") if word in repr(bodies)]


async def test_what_goes_wrong_has_its_exit_code_and_is_sent_once(owner) -> None:
    owner.cloud.faults.add(Fault(kind="command_error"))
    assert await owner.types("lightflash", "big", "-j") == 1
    assert json.loads(owner.out)["state"] == "error"
    owner.cloud.faults.add(Fault(kind="command_unanswered"))
    before = owner.app.clock.monotonic()
    assert await owner.types("lightflash", "big", "-j") == 1
    assert json.loads(owner.out)["state"] == "timed_out"
    assert 230 < owner.app.clock.monotonic() - before < 260
    assert len(owner.cloud.remote.diary) == 2
    assert await owner.types("chargingsettings", ICE_VIN, "--target-soc", "80") == 1
    assert "this car was not told" in owner.err
    assert await owner.types("chargingsettings", "big", "--target-soc", "81", "-j") == 2
    assert json.loads(owner.out)["state"] == "refused"
    assert await owner.types("charge", "big", "stop") == 0
    assert "nothing was done: " in owner.out
    owner.cloud.faults.add(Fault(kind="blocked", count=None))
    assert await owner.types("lightflash", "big") == 1
    assert "489 Blocked" in owner.err
    assert len(owner.cloud.remote.diary) == 2
    owner.cloud.faults.clear()
    await owner.app.clock.sleep(86_400)
    owner.cloud.faults.add(Fault(kind="login_refused"))
    for path in (owner.folder / "data" / "accounts").iterdir():
        path.unlink()
    assert await owner.types("lightflash", "big") == 3, owner.err
    assert "poller login bmw" in owner.err


async def test_without_a_daemon_the_command_does_it_itself(owner) -> None:
    await owner.control.stop()
    await owner.app.close()
    assert await owner.types("sendpoi", "big", "48.1", "11.5", "-j") == 0, owner.err
    record = json.loads(owner.out)
    assert (record["state"], record["revision"]) == ("executed", 2)
    assert owner.told()[1] == "send-to-car"
    assert await owner.types("sendpoi", "nobody", "48.1", "11.5") == 2
    assert "no vehicle is nobody" in owner.err
