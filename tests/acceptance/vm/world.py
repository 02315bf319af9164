"""Inside the virtual machine: cloud, Axiom and daemon on one disk, until the power goes.

Says on the console, line by line: ``ACK <record>`` for what the journal acknowledged, ``USED <n>`` when
the daemon asks with its nth login, ``LOG …`` for what else the daemon has to say, and ``POWER-CUT``, upon
which the machine is killed. ``/cuts`` holds one moment a boot, in seconds after the first record; without
one the daemon catches up and is stopped properly. ``/unsynced`` is there to be lost: if it is not, the cut
proves nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from poller.runtime.atomic import write_atomic
from poller.runtime.clock import SystemClock
from poller.simulator.axiom import Exchange, FakeAxiom, take_in
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.server import serve

CUTS = Path("/cuts")
#: What Axiom has taken in: its own disk, as it were, and synced before it says so.
TAKEN = Path("/taken")
UNSYNCED = Path("/unsynced")
FILES = Path("/var/lib/poller/snapshots")
CLOUD_PORT, AXIOM_PORT = 9901, 9902
#: Ends 30 s before its time, so a new login every other second.
TOKEN_LIFETIME = 32.0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # the console is how the machine speaks


class Logins:
    """The cloud, and which of the logins that it gave out are used."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._cloud = cloud
        self._given: dict[str, str] = {}
        self._used = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if scope["path"] == "/gcdm/oauth/token" and b"refresh_token" in message.get("body", b""):
                grant = json.loads(message["body"])
                self._given[grant["access_token"]] = grant["refresh_token"].rpartition(".")[2]
            await send(message)

        bearer = Headers(scope=scope).get("authorization", "").removeprefix("Bearer ")
        number = self._given.get(bearer, self._used)
        if number != self._used:
            self._used = number
            say(f"USED {number}")
        await self._cloud(scope, receive, watched)


async def keep(exchange: Exchange) -> Response:
    """Axiom's part of the promise: on its disk, then the answer."""
    note([event["id"] for event in exchange.request.events])
    return await take_in(exchange)


def note(records: list[str]) -> None:
    with TAKEN.open("a") as file:
        file.writelines(f"{record}\n" for record in records)
        file.flush()
        os.fsync(file.fileno())


def next_cut() -> float | None:
    """When the power goes in this boot; the next boot has another moment."""
    cuts = CUTS.read_text().split()
    write_atomic(CUTS, " ".join(cuts[1:]).encode())
    return float(cuts[0]) if cuts else None


async def listen(daemon: asyncio.subprocess.Process, first: asyncio.Future[str]) -> None:
    """Pass on what the daemon says; `first` is the first record that it acknowledges."""
    assert daemon.stderr is not None
    async for line in daemon.stderr:
        text = line.decode().strip()
        event = json.loads(text) if text.startswith("{") else {}
        if event.get("event") == "poll.completed":
            say(f"ACK {event['record']}")
            if not first.done():
                first.set_result(event["record"])
        elif event.get("level") != "debug":
            say(f"LOG {text}")


def in_files(record: str) -> bool:
    return any(FILES.rglob(f"*-{record[:8]}.json"))


async def main() -> int:
    cut = next_cut()
    axiom = FakeAxiom()
    axiom.standing = keep
    cloud = Logins(FakeCloud(demo_garage(1), SystemClock(), token_lifetime=TOKEN_LIFETIME))
    async with serve(cloud, port=CLOUD_PORT), serve(axiom, port=AXIOM_PORT):
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "poller", "run", stderr=asyncio.subprocess.PIPE
        )
        first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        listening = asyncio.create_task(listen(daemon, first))
        await asyncio.wait({first, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            return await daemon.wait() or 1
        if cut is not None:
            await asyncio.to_thread(UNSYNCED.write_text, first.result())
            await asyncio.sleep(cut)
            say("POWER-CUT")
            await asyncio.sleep(60)
        # What both sinks have, they have together with all that came before it.
        while not (first.result() in axiom.ids() and in_files(first.result())):  # noqa: ASYNC110  # files send no event
            await asyncio.sleep(0.2)
        daemon.terminate()
        await listening
        return await daemon.wait()


sys.exit(asyncio.run(main()))
