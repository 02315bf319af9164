"""The service under a real systemd, old and new: what `poller install-service` makes does what it promises.

Each machine is booted once and the service installed in it; BMW and Axiom are simulated on loopback. Every
test finds the service running and logged in, and leaves it so.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_house import free_port
from systemd_machine import POLLER, SUITES, Machine, Said, booted, need_systemd, wheel_of_ours

from poller.runtime.clock import SystemClock
from poller.simulator.axiom import TOKEN, FakeAxiom, slow, take_in
from poller.simulator.cardata.cloud import PREFIX, FakeCarData
from poller.simulator.cardata.login import CLIENT_ID
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

CONFIG = """
[poll]
interval = "1s"
jitter   = "0s"
[web]
listen = "127.0.0.1:{port}"
[log]
level = "debug"
[display]
timezone = "Europe/London"
[sources.bmw]
type     = "mybmw"
username = "{user}"
base_url = "{cloud}"
[sources.home]
type       = "cardata"
client_id  = "{client}"
auth_url   = "{cloud}{prefix}"
api_url    = "{cloud}{prefix}"
stream_url = ""
interval   = "1h"
[sinks.files]
type = "json_files"
[sinks.axiom]
type    = "axiom"
url     = "{axiom}"
dataset = "cars"
max_backlog_age = "2s"
[sinks.prometheus]
type = "prometheus"
"""
MORE = """
[sinks.more]
type = "json_files"
directory = "more"
"""
#: The unit's own times would make these tests an hour's work; what they do is not changed.
QUICKER = "[Service]\nWatchdogSec=3s\nRestartSec=200ms\n"
MEMBER, STRANGER = "mona", "sam"
SECRET = "/etc/poller/secrets/sinks__axiom__token"


class House:
    """A machine with the service, the cars' cloud and Axiom; `said`: what install-service said, in order."""

    def __init__(self, machine: Machine, axiom: FakeAxiom, port: int, config: str) -> None:
        self.machine = machine
        self.axiom = axiom
        self.config = config
        self.said: list[str] = []
        self._url = f"http://127.0.0.1:{port}"

    async def systemctl(self, *words: str) -> str:
        """A verb for the service."""
        return await self.machine.run("systemctl", *words, "poller")

    async def poller(self, *words: str, user: str = MEMBER, stdin: str = "") -> Said:
        """A command that somebody types."""
        return await self.machine.try_run(POLLER, *words, user=user, stdin=stdin)

    async def install(self, *options: str) -> str:
        """``poller install-service`` by root."""
        said = await self.machine.try_run(POLLER, "install-service", *options)
        log = await self.machine.run("journalctl", "-u", "poller", "-n", "20", "-o", "cat", "--no-pager")
        assert said.code == 0, f"{said}\n{log}"
        return said.out

    async def shown(self, *names: str) -> list[str]:
        """Properties of the service."""
        out = await self.systemctl("show", *(f"--property={name}" for name in names))
        values = dict(line.split("=", 1) for line in out.splitlines())
        return [values[name] for name in names]

    async def restarts(self) -> int:
        """How often systemd started it again by itself."""
        return int((await self.shown("NRestarts"))[0])

    async def log(self, since: str = "") -> list[dict[str, Any]]:
        """The service's log since that cursor, event by event."""
        after = [f"--after-cursor={since}"] if since else []
        out = await self.machine.run("journalctl", "-u", "poller", "-o", "cat", "--no-pager", *after)
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    async def now(self) -> str:
        """The log's cursor."""
        out = await self.machine.run("journalctl", "-n", "1", "--show-cursor", "-o", "cat", "--no-pager")
        return out.rpartition("-- cursor: ")[2].strip()

    async def ready(self) -> tuple[int, str]:
        """What /readyz says."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                reply = await client.get(f"{self._url}/readyz")
        except httpx.HTTPError as error:
            return 0, type(error).__name__
        return reply.status_code, reply.text

    async def until_ready(self) -> None:
        """All is well."""

        async def well() -> bool:
            return (await self.ready())[0] == 200

        await until(well, "ready", said=self.ready)

    async def polled(self, since: str = "") -> set[str]:
        """Ids of the records that the journal took."""
        return {str(one["record"]) for one in await self.log(since) if one["event"] == "poll.completed"}

    async def files(self) -> set[str]:
        """Ids of the records that the files sink wrote."""
        folder = self.machine.at("/var/lib/private/poller/snapshots")
        return {json.loads(path.read_bytes())["id"] for path in folder.rglob("*.json")}


async def until(
    true: Callable[[], Awaitable[bool]],
    what: str,
    within: float = 30,
    said: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Wait until it is true."""
    ends = time.monotonic() + within
    while not await true():
        if time.monotonic() > ends:
            pytest.fail(f"{what}: not within {within:g} s; {await said() if said else ''}")
        await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_systemd()
    return wheel_of_ours(tmp_path_factory.mktemp("wheel"))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SUITES)
async def moved_in(request, wheel, tmp_path_factory) -> AsyncIterator[House]:
    """The service on a machine, installed as the page on systemd says."""
    async with AsyncExitStack() as stack:
        clock, garage, axiom = SystemClock(), demo_garage(1), FakeAxiom()
        cardata = FakeCarData(tuple(garage.cars.values()), clock, automatic=True)
        cloud = await stack.enter_async_context(serve(FakeCloud(garage, clock, cardata=cardata)))
        port = free_port()
        config = CONFIG.format(
            port=port, user=USER, cloud=cloud, client=CLIENT_ID, prefix=PREFIX,
            axiom=await stack.enter_async_context(serve(axiom)),
        )  # fmt: skip
        folder = tmp_path_factory.mktemp(request.param)
        machine = await stack.enter_async_context(booted(request.param, folder, wheel))
        house = House(machine, axiom, port, config)
        await _move_in(house)
        yield house


async def _move_in(house: House) -> None:
    machine = house.machine
    for user in (MEMBER, STRANGER):
        await machine.run("useradd", "--create-home", user)
    house.said.append(await house.install("--dry-run"))
    house.said.append(await house.install("--now"))
    machine.write("/etc/poller/config.toml", house.config)
    machine.write(SECRET, TOKEN + "\n", 0o600)
    machine.write("/etc/systemd/system/poller.service.d/zz-quicker.conf", QUICKER)
    await machine.run("systemctl", "daemon-reload")
    await machine.run("usermod", "-aG", "poller", MEMBER)
    house.said.append(await house.install("--now"))
    house.said.append(await house.install("--now"))
    logins = {"bmw": ("--refresh-token", REFRESH_TOKEN + "\n"), "home": ("", "")}
    for source, (option, typed) in logins.items():
        words = [word for word in ("login", source, option) if word]
        said = await house.poller(*words, stdin=typed)
        assert (said.code, "Logged in" in said.out) == (0, True), said


@pytest_asyncio.fixture(loop_scope="module")
async def house(moved_in: House) -> AsyncIterator[House]:
    await moved_in.until_ready()
    yield moved_in
    await moved_in.machine.run("systemctl", "start", "poller")


async def test_install_service_says_what_it_does_and_does_it_once(house):
    planned, installed, started, again = house.said
    assert "Nothing was done (--dry-run)." in planned
    assert [line for line in planned.splitlines() if line.startswith("  ->")]
    assert "-> add the group poller" in installed
    assert "Not started: there is no source" in installed
    assert "enable --now poller.service" in started
    assert "->" not in again
    assert "Nothing was to be done." in again
    assert [line for said in house.said for line in said.splitlines() if len(line) > 80] == []
    stats = {path: house.machine.at(path).stat() for path in ("/etc/poller", "/etc/poller/secrets")}
    assert [stat.st_mode & 0o7777 for stat in stats.values()] == [0o750, 0o700]
    version = int(re.findall(r"systemd (\d+)", planned)[0])
    backoff = house.machine.at("/etc/systemd/system/poller.service.d/backoff.conf")
    assert backoff.exists() == (version >= 254)


async def test_the_unit_is_clean_and_locked(house):
    said = await house.machine.try_run("systemd-analyze", "verify", "--man=no", "poller.service")
    assert (said.code, said.out + said.err) == (0, "")
    out = await house.machine.run("systemd-analyze", "security", "--no-pager", "poller.service")
    exposure = float(re.findall(r"exposure level for poller.service: ([\d.]+)", out)[0])
    assert exposure <= 1.5


async def test_it_is_active_only_when_every_source_has_its_first_poll_before_it(house):
    await house.systemctl("stop")
    await house.machine.run("systemctl", "start", "--no-block", "poller")
    states = []
    while not states or states[-1] == "activating":
        states += await house.shown("ActiveState")
    assert (states[0], states[-1]) == ("activating", "active")
    said = await house.poller("status", "--json")
    report = json.loads(said.out)
    planned = {source["name"]: source["next_poll_at"] for source in report["sources"]}
    assert set(planned) == {"bmw", "home"}
    assert None not in planned.values()


async def test_a_daemon_that_stands_still_is_started_again(house):
    before, pid = await house.restarts(), (await house.shown("MainPID"))[0]
    await house.machine.run("sh", "-c", f"kill -STOP {pid}")

    async def again() -> bool:
        return await house.restarts() == before + 1 and await house.shown("ActiveState") == ["active"]

    await until(again, "restarted by the watchdog")
    out = await house.machine.run("journalctl", "-u", "poller", "-o", "cat", "--no-pager", "-n", "50")
    assert "Watchdog timeout" in out


async def test_a_sink_that_hangs_is_no_reason_to_restart_and_turns_readiness_red(house):
    before = await house.shown("NRestarts", "MainPID")
    house.axiom.standing = slow(600)
    try:

        async def red() -> bool:
            code, text = await house.ready()
            return code == 503 and "sink axiom" in text

        await until(red, "readiness red")
        # Well past the watchdog's time: it is fed all the same.
        await asyncio.sleep(4)
        assert await house.shown("NRestarts", "MainPID") == before
        [line] = await house.shown("StatusText")
        assert line.startswith("One thing is wrong: sink axiom: ")
    finally:
        house.axiom.standing = take_in
        await house.systemctl("restart")
    await house.until_ready()


async def test_after_kill_9_it_is_back_and_nothing_is_lost(house):
    before, since = await house.restarts(), await house.now()

    async def some() -> bool:
        return len(await house.polled(since)) >= 4

    await until(some, "polls")
    await house.machine.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "poller")
    acknowledged = await house.polled(since)

    async def back() -> bool:
        return await house.restarts() == before + 1 and (await house.ready())[0] == 200

    await until(back, "restarted")

    async def delivered() -> bool:
        return acknowledged <= await house.files() and acknowledged <= set(house.axiom.ids())

    await until(delivered, "everything delivered")


async def test_it_stops_within_its_grace_whatever_hangs(house):
    house.axiom.standing = slow(600)
    try:
        await asyncio.sleep(2)
        began = time.monotonic()
        await house.systemctl("stop")
        assert time.monotonic() - began < 6
        assert await house.shown("Result", "ExecMainStatus") == ["success", "0"]
    finally:
        house.axiom.standing = take_in


async def test_a_reload_takes_the_new_configuration_and_keeps_the_old_one_when_it_is_bad(house):
    pid, since = (await house.shown("MainPID"))[0], await house.now()

    async def heard(event: str) -> None:
        async def seen() -> bool:
            return any(one["event"] == event for one in await house.log(since))

        await until(seen, event, said=lambda: house.log(since))

    try:
        house.machine.write("/etc/poller/config.toml", house.config + "typo = 1\n")
        await house.systemctl("reload")
        await heard("reload.refused")

        async def told() -> bool:
            return "typo" in (await house.shown("StatusText"))[0]

        await until(told, "the refusal in the status", said=lambda: house.shown("StatusText"))
        house.machine.write("/etc/poller/config.toml", house.config + MORE)
        await house.systemctl("reload")
        await heard("reload.completed")
        said = await house.poller("status")
        assert "sink more" in said.out
    finally:
        house.machine.write("/etc/poller/config.toml", house.config)
        await house.systemctl("reload")

    async def over() -> bool:
        return await house.shown("ActiveState", "MainPID") == ["active", pid]

    await until(over, "active again, the same process", said=lambda: house.shown("ActiveState", "MainPID"))
    await house.poller("sinks", "forget", "more")


async def test_a_member_of_the_group_commands_it_without_root(house):
    said = await house.poller("status", "--json")
    assert (said.code, len(json.loads(said.out)["sources"])) == (0, 2), said
    said = await house.poller("once")
    assert said.code == 0, said
    said = await house.poller("dead-letters", "list")
    assert (said.code, said.out) == (0, "No dead letters.\n"), said
    said = await house.poller("resend", "--sink", "axiom", "--from", "2020-01-01")
    assert (said.code, "sent to axiom again" in said.out) == (0, True), said
    said = await house.poller("login", "home")
    assert (said.code, "Logged in: source home" in said.out) == (0, True), said
    assert not house.machine.at(f"/home/{MEMBER}/.local").exists()


@pytest.mark.parametrize("command", [["status"], ["once"], ["login", "home"]])
async def test_a_stranger_is_refused_and_told_what_to_do(house, command):
    said = await house.poller(*command, user=STRANGER)
    assert (said.code, said.out) == (1, ""), said
    assert "join the group poller" in said.err


async def test_its_secrets_are_readable_by_nobody_else(house):
    pid = (await house.shown("MainPID"))[0]
    credentials = "/run/credentials/poller.service"
    names = {path.name for path in house.machine.at(credentials).iterdir()}
    assert names == {"poller", "poller_sinks__axiom__token"}
    secrets = (
        SECRET,
        f"{credentials}/poller_sinks__axiom__token",
        f"/proc/{pid}/environ",
        "/var/lib/private/poller/journal.db",
    )
    for user in (MEMBER, STRANGER, "nobody"):
        for path in secrets:
            said = (
                await house.machine.try_run("cat", path, user=user)
                if user != "nobody"
                else await as_nobody(house, path)
            )
            assert (said.code, said.out) == (1, ""), (user, path)
            assert "Permission denied" in said.err
    said = await house.machine.try_run("cat", "/etc/poller/config.toml", user=STRANGER)
    assert said.code == 1


async def as_nobody(house: House, path: str) -> Said:
    return await house.machine.try_run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path
    )


@asynccontextmanager
async def other_secrets(house: House) -> AsyncIterator[None]:
    """The secrets as they were come back."""
    try:
        yield
    finally:
        house.machine.write("/etc/poller/config.toml", house.config)
        await house.machine.run("install", "-d", "-m", "0700", "/etc/poller/secrets")
        house.machine.at(SECRET).unlink(missing_ok=True)
        house.machine.write(SECRET, TOKEN + "\n", 0o600)
        await house.machine.run("systemctl", "daemon-reload")
        await house.machine.run("systemctl", "restart", "poller")


async def test_it_starts_without_a_folder_of_secrets(house):
    async with other_secrets(house):
        await house.machine.run("rm", "-r", "/etc/poller/secrets")
        inline = house.config.replace('dataset = "cars"', f'dataset = "cars"\ntoken = "{TOKEN}"')
        house.machine.write("/etc/poller/config.toml", inline)
        await house.systemctl("restart")
        await house.until_ready()


async def test_encrypted_secrets_arrive_in_plain_words(house):
    machine = house.machine
    async with other_secrets(house):
        machine.at(SECRET).unlink()
        name = "poller_sinks__axiom__token"
        await machine.run("systemd-creds", "encrypt", f"--name={name}", "-", SECRET, stdin=TOKEN)
        assert TOKEN.encode() not in machine.at(SECRET).read_bytes()
        said = await house.install("--now", "--with", "encrypted-secrets")
        assert "restart poller.service" in said
        await house.until_ready()
        assert machine.at(f"/run/credentials/poller.service/{name}").read_text() == TOKEN
        machine.at("/etc/systemd/system/poller.service.d/encrypted-secrets.conf").unlink()


async def test_a_wrong_configuration_is_not_tried_again(house):
    house.machine.write("/etc/poller/config.toml", house.config + "typo = 1\n")
    try:
        said = await house.machine.try_run("systemctl", "restart", "poller")
        assert said.code != 0
        await asyncio.sleep(1)
        assert await house.shown("ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "2", "0"]
    finally:
        house.machine.write("/etc/poller/config.toml", house.config)
        await house.machine.run("systemctl", "reset-failed", "poller")
        await house.machine.run("systemctl", "start", "poller")


PROGRAM = """#!/bin/sh
# Keeps its login at home, as others do.
echo kept > ~/.login && echo '{"no": "car"}'
"""


async def test_a_command_source_gets_what_its_drop_in_gives(house):
    machine = house.machine
    machine.write("/usr/local/bin/car", PROGRAM, 0o755)
    source = '[sources.loop]\ntype = "command"\ncommand = ["/usr/local/bin/car"]\ninterval = "1h"\n'
    machine.write("/etc/poller/config.toml", house.config + source)
    try:
        await house.systemctl("restart")

        async def refused() -> bool:
            return "the program ended with" in " ".join((await house.poller("status")).out.split())

        await until(refused, "the program without a home", said=lambda: house.poller("status"))
        await house.install("--now", "--with", "command-source")
        # By itself it would wait: its back-off outlives the restart.
        await house.poller("once")
        assert machine.at("/var/lib/private/poller/.login").read_text() == "kept\n"
        out = await machine.run("systemd-analyze", "verify", "--man=no", "poller.service")
        assert out == ""
    finally:
        machine.at("/etc/systemd/system/poller.service.d/command-source.conf").unlink(missing_ok=True)
        machine.write("/etc/poller/config.toml", house.config)
        await machine.run("systemctl", "daemon-reload")
        await machine.run("systemctl", "restart", "poller")


async def test_it_goes_and_leaves_what_is_the_owners(house):
    machine = house.machine
    said = await house.install("--remove")
    assert "rm -r /etc/poller" in said
    assert not machine.at("/etc/systemd/system/poller.service").exists()
    [left] = machine.at("/etc/systemd/system/poller.service.d").iterdir()
    assert left.name == "zz-quicker.conf"  # not ours
    assert not machine.at("/run/poller").exists()
    assert machine.at(SECRET).exists()
    assert machine.at("/var/lib/private/poller/journal.db").exists()
    assert "Nothing was to be done." in await house.install("--remove")
    await house.install("--now")
    await house.until_ready()


async def test_an_account_has_one_of_its_own(house):
    machine = house.machine
    uid = (await machine.run("id", "-u", STRANGER)).strip()
    await machine.run("systemctl", "start", f"user@{uid}.service")
    own = house.config.replace('dataset = "cars"', f'dataset = "cars"\ntoken = "{TOKEN}"')
    own = re.sub(r'listen = ".*"', 'listen = ""', own)
    home = f"/home/{STRANGER}"
    machine.write(f"{home}/.config/poller/config.toml", own, 0o600)
    await machine.run("chown", "-R", f"{STRANGER}:", home)

    async def by_account(*words: str) -> str:
        runtime = [
            f"XDG_RUNTIME_DIR=/run/user/{uid}",
            f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus",
        ]
        return await machine.run("env", *runtime, *words, user=STRANGER)

    said = await by_account(POLLER, "install-service", "--user", "--now")
    assert "loginctl enable-linger" in said
    assert (await by_account("systemctl", "--user", "is-active", "poller")).strip() == "active"
    status = await by_account(POLLER, "status", "--json", "--config", f"{home}/.config/poller/config.toml")
    assert json.loads(status)["running"]
    await by_account("systemctl", "--user", "reload", "poller")
    said = await by_account(POLLER, "install-service", "--user", "--remove")
    assert f"{home}/.local/share/poller" in said
    assert not machine.at(f"{home}/.config/systemd/user/poller.service").exists()
    await machine.run("systemctl", "stop", f"user@{uid}.service")
