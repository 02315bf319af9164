"""What an owner types for CarData: from a configuration of a few lines to a look at the whole way."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import pytest
from starlette.applications import Starlette

from poller.cli.main import run
from poller.runtime.clock import SystemClock
from poller.simulator.cardata.login import CLIENT_ID, GCID, Login
from poller.simulator.cardata.rest import FakeRest, Vehicle
from poller.simulator.server import serve

VIN = "WBA00000000000001"
CONFIG = f"""
data_dir = "data"
[web]
listen = ""
[sources.home]
type = "cardata"
client_id = "{CLIENT_ID}"
auth_url = "URL"
api_url = "URL"
stream_url = ""
"""


class Owner:
    """Sits at a terminal; BMW is on loopback."""

    def __init__(self, folder, login, terminal) -> None:
        self.config, self.login, self.terminal = folder / "config.toml", login, terminal
        self.rest: FakeRest
        self.polled = asyncio.Event()

    def values(self, _vin, descriptors, at):
        """What BMW has of the car."""
        self.polled.set()
        stamp = at.isoformat()
        return {key: {"timestamp": stamp, "unit": None, "value": "1"} for key in descriptors}

    async def start(self, *arguments):
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-m", "poller", *arguments, "--config", str(self.config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def types(self, *arguments):
        """Exit code, stdout, stderr; in a thread of ours, for BMW is in this loop."""
        self.terminal.readouterr()
        code = await asyncio.to_thread(run, [*arguments, "--config", str(self.config)])
        return code, *self.terminal.readouterr()


@pytest.fixture
async def owner(tmp_path, capsys):
    clock = SystemClock()
    login = Login(clock, interval=0.2)
    words = {"yes": GCID, "token": "CU-102", "scope": "CU-103"}
    cars = [Vehicle(VIN, basic={"brand": "BMW", "driveTrain": "BEV"})]
    made = Owner(tmp_path, login, capsys)
    made.rest = FakeRest(cars, made.values, clock, admits=lambda request: words[login.admits(request)])
    async with serve(Starlette(routes=[*made.rest.routes(), *login.routes()])) as url:
        made.config.write_text(CONFIG.replace("URL", url))
        made.config.chmod(0o600)
        yield made


async def lines_until(child, word):
    """What the child prints up to a line with that word."""
    seen = ""
    async with asyncio.timeout(20):
        while word not in seen:
            line = await child.stdout.readline()
            assert line, seen
            seen += line.decode()
    return seen


async def test_giving_up_a_login_is_clean(owner):
    child = await owner.start("login", "home")
    await lines_until(child, "Waiting for you to allow it")
    child.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        out, err = await child.communicate()
    assert (child.returncode, out) == (1, b"")
    assert err.decode() == "\nStopped. No login was made.\n"


async def test_from_login_to_doctor_with_a_daemon_that_runs(owner):
    code, out, _ = await owner.types("doctor", "--json")
    assert code == 3
    assert "run `poller login home`" in out
    owner.login.automatic = True
    code, out, err = await owner.types("login", "home")
    assert (code, err) == (0, "")
    assert out.endswith("Logged in: source home. The login is stored.\n")
    daemon = await owner.start("run")
    try:
        await asyncio.wait_for(owner.polled.wait(), 20)
        owner.rest.requests.clear()
        code, out, _ = await owner.types("doctor", "--json")
        report = json.loads(out)
        assert (code, report["calls"], report["exit_code"]) == (0, 2, 0)
        asked = [
            owner.rest.requests[f"GET /customers/{what}"] for what in ("vehicles/mappings", "containers")
        ]
        assert asked == [1, 1]
        subjects = {finding["subject"]: finding["level"] for finding in report["findings"]}
        assert subjects["source home, login"] == subjects["source home, container"] == "ok"
        assert VIN not in out
        code, out, _ = await owner.types("descriptors", "home", "--json")
        [source] = json.loads(out)["sources"]
        came = {one["name"]: one["arrivals"] for one in source["descriptors"]}
        assert came["vehicle.vehicle.travelledDistance"] == {"0000001": "rest"}
        _, out, _ = await owner.types("status")
        assert "calls left: 4" in out
        assert "spent in 24 h: the container 2, `poller doctor` 2, " in " ".join(out.split())
    finally:
        daemon.terminate()
        await daemon.communicate()
    assert daemon.returncode == 0


async def test_descriptors_of_a_source_that_is_not_there(owner):
    code, _, err = await owner.types("descriptors", "work")
    assert code == 2
    assert "no source with descriptors is named work" in err
    assert "known: home" in err
