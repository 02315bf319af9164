"""Refreshes a CarData login without a pause until it is killed; run by test_cardata_kill.

Each line on stdin is one life: a fork, so that a life begins within milliseconds. Says ``born PID``,
``ready``, ``stored GENERATION SECONDS`` (steady time) at each refresh, ``failed REASON``, and ``dead``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import Any

from poller.errors import SourceError
from poller.runtime.clock import SystemClock
from poller.sources.base import NoMemory, SourceContext
from poller.sources.cardata.login.auth import Auth
from poller.sources.cardata.login.tokens import TokenFile, Tokens
from poller.sources.cardata.settings import CarDataSettings, account_key
from poller.sources.login_file import Past

#: A token is forced out only some seconds after the last one: of this clock.
RATE = 100_000.0


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class TimedFile(TokenFile):
    """Says when a login was stored: what is noted beside it comes after its rename."""

    def put_past(self, past: Past[Tokens]) -> None:
        if past.begun_at is None:
            say("stored", past.highest, time.monotonic())
        super().put_past(past)


def auth_on(clock: SystemClock, folder: Path, url: str, client: str) -> Auth:
    settings = CarDataSettings(type="cardata", client_id=client, auth_url=url)
    context = SourceContext(clock, NoMemory(), folder, folder, UTC)
    return Auth("home", settings, context, account_key(settings))


async def warm_up(*place: Any) -> None:
    """Have everything imported that a life would import late: those milliseconds are not the promise."""
    auth = auth_on(SystemClock(), *place)
    await auth.open()
    await auth.begin_login()
    await auth.close()


async def live(*place: Any) -> None:
    auth = auth_on(SystemClock(RATE), *place)
    auth._file = TimedFile(place[0], auth._account)
    await auth.open()
    say("ready")
    while True:
        await auth.fresh(force=True)


def main(folder: str, url: str, client: str) -> None:
    sys.stdout = sys.stderr  # the log: half of one of its lines before a word of ours would hide it
    asyncio.run(warm_up(Path(folder), url, client))
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            say("born", os.getpid())
            try:
                asyncio.run(live(Path(folder), url, client))
            except SourceError as error:
                say("failed", error.reason)
            os._exit(0)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main(*sys.argv[1:])
