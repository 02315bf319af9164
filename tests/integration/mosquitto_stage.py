"""A real mosquitto on loopback: with and without TLS, users with passwords, started and stopped at will."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest

#: Debian keeps daemons where not everybody looks. Of those who start it only root could become another
#: user, who could not read its files.
_PATH = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin"
_CONFIG = """\
per_listener_settings false
user root
persistence false
allow_anonymous false
password_file {folder}/passwords
listener {plain} 127.0.0.1
listener {tls} 127.0.0.1
cafile {folder}/ca.crt
certfile {folder}/server.crt
keyfile {folder}/server.key
"""


def _free_port() -> int:
    # Below those that the system gives to others while ours starts.
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@dataclass
class Mosquitto:
    """One broker in a folder of certificates; `users`: name → password."""

    folder: Path
    users: dict[str, str]
    plain_port: int = field(default_factory=_free_port)
    tls_port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def plain(self) -> str:
        return f"mqtt://127.0.0.1:{self.plain_port}"

    @property
    def tls(self) -> str:
        return f"mqtts://localhost:{self.tls_port}"

    def prepare(self) -> None:
        """Write its files, or skip the test where there is no mosquitto."""
        if not (shutil.which("mosquitto", path=_PATH) and shutil.which("mosquitto_passwd", path=_PATH)):
            pytest.skip("mosquitto is not installed")
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{password}\n" for name, password in self.users.items()))
        hashing = [str(shutil.which("mosquitto_passwd", path=_PATH)), "-U", str(passwords)]
        subprocess.run(hashing, check=True, capture_output=True)
        config = _CONFIG.format(folder=self.folder, plain=self.plain_port, tls=self.tls_port)
        (self.folder / "mosquitto.conf").write_text(config)

    async def start(self) -> None:
        """Run it, until it listens."""
        self._run()
        async with asyncio.timeout(20):
            for port in (self.plain_port, self.tls_port):
                while not await _listens(port):  # noqa: ASYNC110  # another process gives no event
                    await asyncio.sleep(0.01)

    def _run(self) -> None:
        command = [str(shutil.which("mosquitto", path=_PATH)), "-c", str(self.folder / "mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        process, self.process = self.process, None
        for _ in range(10 if process is not None else 0):
            # One that listens already but has not begun to serve forgets that it was told.
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
                return

    async def publish(self, topic: str, body: bytes, *, user: str) -> None:
        """As a bridge does."""
        client = aiomqtt.Client("127.0.0.1", self.plain_port, username=user, password=self.users[user])
        async with client:
            await client.publish(topic, body)


@asynccontextmanager
async def mosquitto(folder: Path, **users: str) -> AsyncIterator[Mosquitto]:
    """A broker while the block runs, in the folder of `make_certificates`."""
    broker = Mosquitto(folder, users)
    broker.prepare()
    try:
        await broker.start()
        yield broker
    finally:
        broker.stop()
