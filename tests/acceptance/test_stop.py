"""SIGTERM: a clean end in time, whatever is under way."""

import asyncio
import json
import shutil
import signal

import httpx
import pytest

from poller.simulator import axiom
from poller.simulator.faults import Fault

WITHIN = 6.0


async def eventually(condition, within=10):
    """Wait for something that another process does to the servers here; fails after `within` seconds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # what the servers count sends no event
            await asyncio.sleep(0.01)


async def poll_under_way(rehearsal):
    rehearsal.cloud.faults.add(Fault(path_prefix="/eadrax-vcs/v4", kind="slow", seconds=20, count=1))
    daemon = await rehearsal.start("run")
    await daemon.until("app.started")
    await eventually(lambda: rehearsal.cloud.requests["/eadrax-vcs/v4/vehicles/state"])
    return daemon


async def delivery_under_way(rehearsal):
    rehearsal.axiom.plan(axiom.slow(20))
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed")
    await eventually(lambda: rehearsal.axiom.requests)
    return daemon


@pytest.mark.parametrize("busy", [poll_under_way, delivery_under_way])
async def test_it_ends_with_0_in_time_and_loses_nothing(rehearsal, busy):
    daemon = await busy(rehearsal)
    async with httpx.AsyncClient(timeout=5) as browser:
        page = await browser.get(await daemon.page())
        assert page.status_code == 200
        assert await daemon.terminate(within=WITHIN) == 0
    code, out, err = await rehearsal.command("once")
    assert code == 0, out + err
    assert daemon.acknowledged() <= set(rehearsal.files())
    assert daemon.acknowledged() <= set(rehearsal.axiom.ids())


async def test_told_twice_it_ends_at_once_with_1_and_loses_nothing(rehearsal):
    """What was under way is cut off, and a supervisor that looks at the code may know it."""
    daemon = await delivery_under_way(rehearsal)
    daemon.child.send_signal(signal.SIGTERM)
    await daemon.until("app.stopping")
    assert await daemon.terminate(within=2) == 1
    code, out, err = await rehearsal.command("once")
    assert code == 0, out + err
    assert daemon.acknowledged() <= set(rehearsal.axiom.ids())


async def test_an_idle_daemon_ends_at_once(rehearsal):
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    assert await daemon.terminate(within=3) == 0


async def test_a_restart_is_ready_before_its_first_poll(rehearsal):
    """A restart within the interval asks nobody; what the journal knows is recent enough."""
    rehearsal.configure(*rehearsal.addresses, interval="5m")
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    assert await daemon.terminate(within=WITHIN) == 0
    asked = rehearsal.cloud.requests["/eadrax-vcs/v4/vehicles/state"]
    daemon = await rehearsal.start("run")
    async with httpx.AsyncClient(timeout=5) as client:
        ready = await client.get(await daemon.page() + "readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (200, [])
    assert rehearsal.cloud.requests["/eadrax-vcs/v4/vehicles/state"] == asked


async def test_a_second_poller_on_the_same_data_names_the_first(rehearsal):
    daemon = await rehearsal.start("run")
    await daemon.until("app.started")
    code, _, err = await rehearsal.command("run")
    assert code == 1
    assert str(daemon.child.pid) in err


async def test_status_and_once_speak_to_the_running_daemon(rehearsal):
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    code, out, err = await rehearsal.command("once", "--json")
    assert code == 0, err
    assert json.loads(out)["sources"][0]["good"] == 2
    code, out, err = await rehearsal.command("status", "--json")
    assert code == 0, err
    assert json.loads(out)["sources"][0]["state"] == "ok"


async def test_metrics_of_cars_and_daemon_are_served(rehearsal):
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    async with httpx.AsyncClient(timeout=5) as client:
        text = (await client.get(await daemon.page() + "metrics")).text
    assert "vehicle_odometer_meters{" in text
    assert 'poller_polls_total{source="bmw"}' in text
    if (promtool := shutil.which("promtool")) is not None:
        lint = await asyncio.create_subprocess_exec(
            promtool, "check", "metrics", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, findings = await lint.communicate(text.encode())
        assert (lint.returncode, findings) == (0, b"")


async def test_a_reload_takes_a_good_file_and_refuses_a_bad_one(rehearsal):
    daemon = await rehearsal.start("run")
    page = await daemon.page()
    good = rehearsal.config.read_text()
    rehearsal.config.write_text(good + "\n[sinks.broken]\ntype = 'no_such_kind'\n")
    daemon.child.send_signal(signal.SIGHUP)
    refused = await daemon.until("reload.refused")
    assert "sinks.broken.type" in str(refused["problems"])
    rehearsal.config.write_text(good + "\n[sinks.more]\ntype = 'json_files'\ndirectory = 'more'\n")
    daemon.child.send_signal(signal.SIGHUP)
    await daemon.until("reload.completed")
    polled = len(daemon.acknowledged())
    await daemon.until("poll.completed", count=polled + 2)
    assert await daemon.terminate(within=WITHIN) == 0
    assert list((rehearsal.folder / "data" / "more").rglob("*.json"))
    assert page
