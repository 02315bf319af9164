"""The faults of the page's section "Axiom and other sinks": how each begins, and what ends it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_drill import Mishap, Step, nothing
from fault_house import House
from starlette.responses import Response

from poller.simulator.axiom import (
    Behaviour,
    Event,
    Exchange,
    exhausted,
    html,
    partial,
    poisoned,
    rate_limited,
    redirect,
    reset_after_storing,
    slow,
    status,
    take_in,
)

#: Real seconds that a request may take where the fault is that it takes too long.
SHORT = 0.05
_NOBODY = 65_534


def standing(behaviour: Behaviour) -> Step:
    """Axiom behaves so until it is forgiven."""

    async def begin(house: House) -> None:
        house.axiom.standing = behaviour

    return begin


async def hang_up(house: House) -> None:
    await house.axiom_door.close()


async def pick_up(house: House) -> None:
    await house.axiom_door.open()


def epoch(house: House, later: timedelta) -> str:
    return str(int((house.clock.now() + later).timestamp()))


async def limit_the_rate(house: House) -> None:
    house.axiom.standing = rate_limited(epoch(house, timedelta(minutes=4)))


async def use_up_the_month(house: House) -> None:
    house.axiom.standing = exhausted(epoch(house, timedelta(days=9)))


async def revoke_the_token(house: House) -> None:
    house.axiom.token = "xaat-another"


async def delete_the_dataset(house: House) -> None:
    async def behave(exchange: Exchange) -> Response | None:
        gone = exchange.request.path.endswith("/cars")
        return await (status(404, "dataset not found") if gone else take_in)(exchange)

    house.axiom.standing = behave


async def poison_one(house: House) -> None:
    """Axiom finds the next record of one car invalid, whatever is sent with it."""
    poison: list[str] = []

    def refuses(event: Event) -> bool:
        if not poison and event["vehicle"] == "x1":
            poison.append(event["id"])
        return event["id"] in poison

    house.axiom.standing = poisoned(refuses)


async def lock_the_folder(house: House) -> None:
    """Nobody may write there; for root's sake the sink's own thread becomes nobody (Linux knows that)."""
    if os.geteuid() == 0:
        await _thread_is(house, _NOBODY)
    for folder in _folders(house):
        folder.chmod(0o500)


async def unlock_the_folder(house: House) -> None:
    if os.geteuid() == 0:
        await _thread_is(house, 0)
    for folder in _folders(house):
        folder.chmod(0o750)


async def _thread_is(house: House, user: int) -> None:
    setfsuid = ctypes.CDLL(None).setfsuid
    sink: Any = house.app.road._queued["files"]
    await sink._aside(lambda: setfsuid(user))


def _folders(house: House) -> list[Path]:
    root = house.data / "snapshots"
    return [root, *(path for path in root.rglob("*") if path.is_dir())]


async def rename(house: House) -> None:
    house.configure(axiom_name="cloud")
    await house.reload()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The files' directory on a disk of a megabyte of its own."""
    mount, root = shutil.which("mount"), folder / "data" / "snapshots"
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root, to mount a small disk")
    root.mkdir(parents=True)
    (folder / "data").chmod(0o700)
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m,mode=0750", "tmpfs", root], check=False)
    if made.returncode != 0:
        pytest.skip("may not mount here")
    try:
        yield
    finally:
        subprocess.run(["umount", root], check=True)


async def fill_the_disk(house: House) -> None:
    ballast = house.data / "snapshots" / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


async def make_room(house: House) -> None:
    (house.data / "snapshots" / "ballast").unlink()


SINKS = {
    "Axiom cannot be reached": Mishap(hang_up, pick_up),
    "Axiom has an error of its own (5xx)": Mishap(standing(status(503, "try again later"))),
    "Axiom is slow": Mishap(standing(slow(5)), patience=SHORT),
    "Axiom's answer is lost": Mishap(standing(reset_after_storing)),
    "Too many requests (429)": Mishap(limit_the_rate),
    "The month's volume is used up (430)": Mishap(use_up_the_month),
    "The token is unknown (401)": Mishap(standing(status(401, "invalid token"))),
    "The token may not (403)": Mishap(revoke_the_token, nothing),
    "The dataset is gone (404)": Mishap(delete_the_dataset, nothing),
    "Another server answers (3xx)": Mishap(standing(redirect())),
    "A web page answers (200)": Mishap(standing(html)),
    "Axiom refuses one record (400)": Mishap(poison_one),
    "Axiom refuses some records": Mishap(standing(partial(lambda event: event["vehicle"] == "x1"))),
    "The field limit is reached": Mishap(standing(partial(lambda _: True))),
    "The files' directory is not writable": Mishap(lock_the_folder, unlock_the_folder),
    "The files' disk is full": Mishap(fill_the_disk, make_room, around=small_disk),
    "A sink is renamed": Mishap(rename, nothing),
}
