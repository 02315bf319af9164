"""The answers of real cars: `poller simulate` serves them, `poller once` polls them."""

import asyncio
import json
import re
import sys

import pytest

CARS = {"fingerprints": 6, "fingerprints_extra": 11}


@pytest.fixture(params=CARS)
async def served(request, shared):
    """Base URL of ``poller simulate --answers`` on one of the folders, and how many cars it has."""
    child = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "poller", "simulate", "--answers", str(shared / request.param)],
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        line = (await child.stdout.readline()).decode()
    yield re.search(r"http://\S+", line)[0], CARS[request.param]
    child.terminate()
    await child.communicate()
    assert child.returncode == 0


async def test_every_car_is_polled_without_an_error_and_lands_in_every_sink(rehearsal, served):
    cloud, cars = served
    rehearsal.configure(cloud, rehearsal.addresses[1])
    await rehearsal.log_in()
    code, out, err = await rehearsal.command("once", "--json")
    assert code == 0, out + err
    report = json.loads(out)
    assert (report["sources"][0]["good"], report["sources"][0]["bad"]) == (cars, 0)
    files = rehearsal.files()
    assert len({record["vin"] for record in files.values()}) == cars
    assert set(files) == set(rehearsal.axiom.ids())
    assert all(record["readings"]["model"] for record in files.values())
    assert not [line for line in err.splitlines() if '"level": "error"' in line or "token.unknown" in line]
