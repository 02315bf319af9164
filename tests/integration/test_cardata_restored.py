"""A journal that was put back from a backup: BMW has counted the calls made since, and so do we."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from poller.errors import RateLimited
from poller.sources.cardata.rest.ledger import Ledger
from poller.sources.cardata.rest.spare import Spare
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


class House:
    """A data directory with a journal's memory, which can be backed up and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "quota"
        self.clock = ManualClock(NOW)
        self.memory = DictMemory()

    async def started(self, *, spared: bool = True) -> Ledger:
        """As after a start; not `spared`: of a version that knew no files beside the journal."""
        memory = Spare(self.memory, self.folder) if spared else self.memory
        ledger = Ledger(memory, "cardata:test", self.clock, limit=5, reserve=0)
        await ledger.open()
        return ledger

    @property
    def file(self) -> Path:
        (file,) = self.folder.iterdir()
        return file

    def backed_up(self) -> Callable[[], None]:
        """What puts back the journal of now."""
        values = dict(self.memory.values)

        def put_back() -> None:
            self.memory.values = dict(values)

        return put_back


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


async def test_calls_made_since_the_backup_count(house) -> None:
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    restore = house.backed_up()
    for _ in range(4):
        await house.clock.advance(600)
        await ledger.spend("polling", routine=True)
    restore()
    again = await house.started()
    assert again.standing().used_24h == 5
    with pytest.raises(RateLimited):
        await again.spend("polling", routine=True)
    await house.clock.advance(90_000)
    assert (await house.started()).standing().used_24h == 0


async def test_a_refusal_since_the_backup_holds(house) -> None:
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    restore = house.backed_up()
    await house.clock.advance(1)
    until = await ledger.refused()
    restore()
    assert (await house.started()).standing().blocked_until == until


async def test_a_backup_of_an_older_version_is_older(house) -> None:
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    house.memory.values["ledger:cardata:test"] = '{"calls": []}'
    assert (await house.started()).standing().used_24h == 1


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: file.write_bytes(b"{")])
async def test_without_such_a_file_the_journal_counts(house, spoil) -> None:
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    file = house.file
    assert (file.stat().st_mode & 0o777, house.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    spoil(file)
    assert (await house.started()).standing().used_24h == 1


async def test_a_file_that_cannot_be_written_stops_no_call(house) -> None:
    house.folder.write_text("in the way")
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    assert (await house.started()).standing().used_24h == 1


async def test_a_call_that_was_given_back_is_none_after_a_restore_either(house) -> None:
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    restore = house.backed_up()
    await house.clock.advance(60)
    await ledger.give_back(await ledger.spend("polling", routine=True))
    restore()
    assert (await house.started()).standing().used_24h == 1


async def test_calls_made_by_an_older_version_count_with_those_before_it(house) -> None:
    """It was rolled back for some hours, and knew nothing of the files: each has calls that one lacks."""
    await (await house.started()).spend("mappings", routine=True)
    await house.clock.advance(600)
    older = await house.started(spared=False)
    for _ in range(3):
        await older.spend("polling", routine=True)
    again = await house.started()
    assert again.standing().used_24h == 4
    await again.spend("polling", routine=True)
    assert (await house.started()).standing().used_24h == 5


async def test_a_clock_that_was_ahead_at_the_backup_forgets_no_call(house) -> None:
    house.clock.jump(86_400)
    await (await house.started()).spend("mappings", routine=True)
    restore = house.backed_up()
    house.clock.jump(-86_400)
    ledger = await house.started()
    for _ in range(3):
        await ledger.spend("polling", routine=True)
    restore()
    # The one from the morrow is counted by both times that it has had: rather one too many.
    assert (await house.started()).standing().used_24h == 5


async def test_a_clock_that_was_put_right_makes_no_call_two(house) -> None:
    ledger = await house.started()
    for _ in range(2):
        await ledger.spend("polling", routine=True)
    restore = house.backed_up()
    house.clock.jump(5)
    await ledger.spend("polling", routine=True)
    restore()
    assert (await house.started()).standing().used_24h == 3


@pytest.mark.parametrize(
    "spoilt",
    [
        {"calls": None},
        {"calls": {}},
        {"calls": [7]},
        {"calls": [["yesterday", "polling", True, ""]]},
        {"block": "x"},
        {"block": {"until": "2099-01-01T00:00:00Z"}},
    ],
)
async def test_a_file_that_says_nothing_spoils_no_good_row(house, spoilt) -> None:
    await (await house.started()).spend("polling", routine=True)
    house.file.write_text(json.dumps({**json.loads(house.file.read_text()), "saved_at": "2099", **spoilt}))
    standing = (await house.started()).standing()
    assert (standing.used_24h, standing.blocked_by) == (1, "")


async def test_of_two_refusals_the_later_one_holds(house) -> None:
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    await ledger.refused(timedelta(hours=2))
    restore = house.backed_up()
    await house.clock.advance(60)
    until = await ledger.refused(timedelta(hours=23))
    restore()
    assert (await house.started()).standing().blocked_until == until


async def test_a_ledger_is_not_lost_with_its_journal(house) -> None:
    """Deleted, or set aside because it is damaged: lock and services are asked for all the same."""
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    del house.memory.values["ledger:cardata:test"]
    standing = (await house.started()).standing()
    assert (standing.blocked_by, standing.used_24h) == ("", 1)


async def test_a_ledger_that_both_have_lost_is_lost(house) -> None:
    """Then nothing is asked until the next UTC day."""
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    del house.memory.values["ledger:cardata:test"]
    house.file.unlink()
    assert (await house.started()).standing().blocked_by == "lost"
