"""``poller demo``: a week to look at, at once; and it goes on where it ended."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from poller.cli.main import run
from poller.journal.lock import DirectoryLock
from poller.simulator.garage import cardata_cars

#: A real poller's variables, which have no business here.
FOREIGN = {"AXIOM_TOKEN": "xaat-real", "POLLER_SOURCES__BMW__PASSWORD": "secret", "PYTHONUNBUFFERED": "1"}
COMMAND = (sys.executable, "-m", "poller", "demo")
END = "Ctrl-C ends it"


class Demo:
    """A running demo: what it printed, and its page."""

    def __init__(self, child: asyncio.subprocess.Process, browser: httpx.AsyncClient) -> None:
        self.child = child
        self.browser = browser
        self.text = ""
        self.page = ""

    async def printed(self, words: str) -> None:
        while words not in self.text:
            line = await self.child.stdout.readline()
            assert line, self.text + (await self.child.stderr.read()).decode()
            self.text += line.decode()

    async def ready(self) -> tuple[int, str]:
        answer = await self.browser.get(self.page + "readyz")
        return answer.status_code, str(answer.json()["reasons"])

    async def channels(self) -> dict:
        """How the CarData source stands."""
        status = (await self.browser.get(self.page + "api/v1/status")).json()
        return next(source for source in status["sources"] if source["kind"] == "cardata")

    async def sinks(self) -> dict[str, dict]:
        status = (await self.browser.get(self.page + "api/v1/status")).json()
        return {sink["name"]: sink for sink in status["sinks"]}

    async def stop(self) -> int:
        self.child.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            out, _ = await self.child.communicate()
        self.text += out.decode()
        return self.child.returncode


@asynccontextmanager
async def demo(folder: Path, *arguments: str):
    child = await asyncio.create_subprocess_exec(
        *COMMAND, "--folder", str(folder), "--listen", "127.0.0.1:0", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **FOREIGN},
    )  # fmt: skip
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(timeout=10) as browser:
            running = Demo(child, browser)
            await running.printed(END)
            running.page = re.search(r"http://127\.0\.0\.1:\d+/", running.text)[0]
            yield running
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def until(condition) -> None:
    """Wait for what another process does; the demo's own time-out ends it."""
    while not await condition():  # noqa: ASYNC110  # another process sends no event
        await asyncio.sleep(0.05)


def files(folder: Path) -> dict[str, list[dict]]:
    """The records in the files by vehicle, oldest first."""
    found: dict[str, list[dict]] = {}
    for path in sorted((folder / "data" / "snapshots").rglob("*.json")):
        record = json.loads(path.read_bytes())
        found.setdefault(record["vehicle"], []).append(record)
    return found


def talkative_days(now: datetime) -> int:
    """On how many days of the past week the car at CarData has said something."""
    (car,) = cardata_cars()
    arrivals = car.arrivals(now - timedelta(days=7), now)
    return len({arrival.report.arrived_at.date() for arrival in arrivals})


async def test_it_begins_with_a_week_and_goes_on_where_it_ended(tmp_path) -> None:
    begun = datetime.now(UTC)
    async with demo(tmp_path) as first:
        assert int(re.search(r"(\d+) snapshots\.", first.text)[1]) > 100
        page = (await first.browser.get(first.page)).text
        assert all(name in page for name in ("mini", "x1", "i4"))

        async def settled() -> bool:
            sinks, (code, _) = await first.sinks(), await first.ready()
            return code == 200 and not any(sink["backlog"] for sink in sinks.values())

        await until(settled)
        assert (await first.ready())[1] == "[]", "a week's backlog is no reason to be worried"

        async def streamed() -> bool:
            stream = (await first.channels())["stream"]
            return stream["state"] == "connected" and stream["last_message_at"] is not None

        await until(streamed)
        assert (await first.channels())["quota"]["remaining"] >= 40, "a start costs few calls"

        async def told() -> bool:
            """Where each value came from: what the stream has brought shows at the next look."""
            page = (await first.browser.get(first.page)).text
            return all(word in page for word in ("cardata, stream", "cardata, rest", "demo"))

        await until(told)
        assert all(sink["dead_letters"] == 0 for sink in (await first.sinks()).values())
        assert await first.stop() == 0
    assert first.text.endswith("The demo is over.\n")
    week = files(tmp_path)
    days = {(begun - timedelta(days=back)).date().isoformat() for back in range(8)}
    for vehicle, records in week.items():
        there = {record["received_at"][:10] for record in records}
        assert len(there & days) >= (talkative_days(begun) if vehicle == "i4" else 7), (
            "a car may say nothing on one of them, one that stays at home on more"
        )
    assert sorted(week) == ["i4", "mini", "x1"]

    async with demo(tmp_path, "--scenario", "internet-outage", "--speed", "1000") as second:
        await second.printed("/_sim/state")
        assert "The internet is gone for two hours" in second.text
        assert f"poller status --config {tmp_path}/config.toml" in second.text
        assert "log lines carry real time" in second.text
        assert 'level = "info"' in (tmp_path / "config.toml").read_text(), "hints name events of that level"
        filled = re.search(r"(\d+) snapshots\.|It is there\.", second.text)
        assert int(filled[1] or 0) < 20, "a few minutes' worth at most"

        async def out() -> bool:
            code, reasons = await second.ready()
            return code == 503 and "source demo: no success" in reasons

        await until(out)
        assert await second.stop() == 0
    later = files(tmp_path)
    for vehicle, records in later.items():
        assert records[: len(week[vehicle])] == week[vehicle]
        assert len({record["id"] for record in records}) == len(records)
        # An alert carries the time of the snapshot that raised it: a car that gets full just then.
        polls = [record["received_at"] for record in records if record["kind"] == "snapshot"]
        assert len(set(polls)) == len(polls)


async def test_a_scenario_that_is_not_there_is_a_usage_error(tmp_path) -> None:
    child = await asyncio.create_subprocess_exec(
        *COMMAND, "--folder", str(tmp_path / "new"), "--scenario", "internet-outrage",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        _, complaint = await child.communicate()
    assert child.returncode == 2
    assert "internet-outage" in complaint.decode()
    assert not (tmp_path / "new").exists()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and complaint of a demo that does not start."""
    code = run(["demo", *arguments])
    out, complaint = capsys.readouterr()
    assert out == ""
    return code, complaint


def test_a_configuration_of_somebody_else_is_left_alone(tmp_path, capsys) -> None:
    config = tmp_path / "config.toml"
    config.write_text("data_dir = 'mine'\n")
    code, complaint = refused(capsys, "--folder", str(tmp_path))
    assert code == 2
    assert "was not written by `poller demo`" in complaint
    assert "choose another --folder" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
    assert config.read_text() == "data_dir = 'mine'\n"


def test_a_running_demo_keeps_its_configuration(tmp_path, capsys) -> None:
    (tmp_path / "data").mkdir()
    config = tmp_path / "config.toml"
    config.write_text("# Written by `poller demo`, the running one")
    lock = DirectoryLock(tmp_path / "data")
    lock.acquire()
    try:
        code, complaint = refused(capsys, "--folder", str(tmp_path))
    finally:
        lock.release()
    assert code == 1
    assert complaint.endswith("choose another --folder\n")
    assert config.read_text() == "# Written by `poller demo`, the running one"


@pytest.mark.parametrize("folder", ["/proc/x", __file__, "/dev/null/x"])
def test_a_folder_that_cannot_be_is_refused_with_the_mend(folder, capsys) -> None:
    code, complaint = refused(capsys, "--folder", folder)
    assert (code, complaint.endswith("choose another --folder\n")) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--folder", ""], "--folder is empty"),
        (["--listen", "0.0.0.0:9877"], "ssh -L 9877:127.0.0.1:9877"),
        (["--listen", "127.0.0.1:x"], "--listen: '127.0.0.1:x' is no address"),
    ],
)
def test_options_that_cannot_be_meant_are_usage_errors(
    arguments, told, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    code, complaint = refused(capsys, *arguments)
    assert code == 2
    assert told in complaint
    assert not list(tmp_path.iterdir())


async def test_where_the_port_is_busy_another_is_taken_and_a_dead_login_can_be_mended(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        there = ("--listen", str(port), "--scenario", "password-changed")
        async with demo(tmp_path, *there) as running:
            assert f"{port} is busy, so:" in running.text
            assert running.page != f"http://127.0.0.1:{port}/"
            await running.printed("To log in: poller ")
            await running.printed("/_sim/state")
            words = re.search(r"To log in: poller (.*)", running.text)[1].split()
            login = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "poller", *words,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, complaint = await login.communicate()
            assert login.returncode == 0, complaint
            assert await running.stop() == 0
