"""Thirty days of a simulated car with a script of mishaps: exactly these messages, in this order.

The transcript is tests/cases/alerts/thirty-days.txt: `- -` is what happens, the rest is what the owner
hears. When what is told has changed on purpose, read the difference, then write it anew:
``python tests/integration/test_alert_month.py``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import UTC, timedelta
from pathlib import Path

import pytest
import structlog
from alert_month import (
    BEGIN,
    Act,
    Month,
    boot,
    calls_spent,
    message,
    no_network,
    of,
    refused_login,
    server_down,
    service,
    tyre,
    unlocked,
    window,
)

from poller.testing.clock import ManualClock
from poller.testing.records import VIN

KEPT = Path(__file__).parents[1] / "cases" / "alerts" / "thirty-days.txt"
DAYS, TENTH = 30, 3
SCRIPT = (
    Act(1, "19:45", 2, "the left front window is left open until 21:45", window("leftFront")),
    Act(2, "10:00", 2.5, "the line to the internet is cut until 12:30", error=no_network),
    Act(2, "11:00", 0.5, "the poller is off until 11:30", restart=True),
    Act(2, "20:30", 1.5, "the car is left unlocked until 22:00", unlocked),
    Act(3, "17:50", 0.25, "the poller is off until 18:05", restart=True),
    Act(4, "22:45", 8.5, "the right front window is left open all night, until 07:15", window("rightFront")),
    Act(5, "12:00", 0.4, "the line is cut for 24 minutes", error=no_network),
    Act(6, "08:00", 26, "BMW refuses the login; the owner logs in next day at 10:00", error=refused_login),
    Act(8, "09:00", 28 * 24, "brake fluid will be due on 1 March", service(29)),
    Act(8, "15:00", 9, "the day's calls are spent until midnight", error=calls_spent),
    Act(11, "09:00", 10, "the left front tyre has lost air", tyre("frontLeft", 170)),
    Act(11, "19:00", 4, "that tyre is nearly flat; it is pumped up at 23:00", tyre("frontLeft", 130)),
    Act(13, "09:00", 20, "the washer fluid is low until 05:00", message("WASHER_FLUID", "LOW")),
    Act(14, "09:00", 3, "the stream is refused until 12:00", silence="stream_down"),
    Act(15, "14:00", 1, "the trunk is left open, the car unlocked, until 15:00", boot),
    Act(16, "00:00", 12 * 24, "the car sends nothing of its own for twelve days", silence="car_quiet"),
    Act(18, "20:00", 2.2, "a window is left open until 22:12", window("leftFront")),
    Act(18, "20:40", 0.6, "the poller is off until 21:16", restart=True),
    Act(20, "09:00", 1, "BMW's servers fail for an hour", error=server_down),
    Act(22, "06:00", 10, "the machine is off until 16:00", restart=True),
    Act(24, "20:00", 0.05, "a window is open for three minutes", window("leftFront")),
)  # fmt: skip


@pytest.fixture(autouse=True)
def quiet_log() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))


async def the_messages_are_those_that_are_kept(folder: Path, days: int) -> None:
    month = Month(folder, SCRIPT)
    lines = await month.live(days)
    assert lines == of(KEPT.read_text(encoding="utf-8"), days)
    assert month.restarts == 1 + sum(act.restart and act.day <= days for act in SCRIPT)
    ids = [record["id"] for record in month.phone.records]
    assert len(ids) == len(set(ids)), "none twice"
    told = str([(record["title"], record["text"], record["values"]) for record in month.phone.records])
    assert VIN[-7:] not in told


async def test_the_first_three_days(tmp_path) -> None:
    """A tenth of it, on every run."""
    await the_messages_are_those_that_are_kept(tmp_path, TENTH)


@pytest.mark.soak
async def test_thirty_days(tmp_path) -> None:
    await the_messages_are_those_that_are_kept(tmp_path, DAYS)


PARKED = BEGIN + timedelta(days=2, hours=23)


@pytest.mark.parametrize("days", [1, pytest.param(7, marks=pytest.mark.soak)])
async def test_a_week_of_quiet_parking_is_no_message_at_all(tmp_path, days) -> None:
    month = Month(tmp_path, (), still=PARKED.astimezone(UTC))
    month.clock = ManualClock(PARKED.astimezone(UTC) + timedelta(minutes=20))
    assert await month.live(days) == []


def write() -> None:
    """The transcript, from scratch."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(Month(Path(folder), SCRIPT).live(DAYS))
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{KEPT.name}: {BEGIN:%d %b} and {DAYS} days\n")
