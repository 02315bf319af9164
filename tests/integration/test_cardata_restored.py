"""A journal that was put back from a backup: BMW has counted the calls made since, and so do we."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
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

    async def started(self) -> Ledger:
        """As after a start."""
        memory = Spare(self.memory, self.folder, self.clock)
        ledger = Ledger(memory, "cardata:test", self.clock, limit=5, reserve=0)
        await ledger.open()
        return ledger

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
    (file,) = house.folder.iterdir()
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


async def test_a_ledger_that_the_journal_has_lost_is_lost(house) -> None:
    """The file may be older than the loss: then nothing is asked until the next UTC day, as ever."""
    ledger = await house.started()
    await ledger.spend("polling", routine=True)
    del house.memory.values["ledger:cardata:test"]
    assert (await house.started()).standing().blocked_by == "lost"
