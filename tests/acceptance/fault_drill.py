"""Going through a row of the page: the fault, what is seen of it, its cure, what is left of it.

A fault inside one process is a `Mishap`, and `rehearse` does the rest. One that takes the process
itself (a kill, a power cut) is a coroutine function of row and folder of its own: it collects
`fault_sight.Sight`s in a `Story` as it can, and asks `fault_sight.wrong`. Either stands under the
row's name in the table of its section: `fault_cloud`, `fault_sinks`, `fault_machine`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fault_house import DEADLINE, INTERVAL, House, living
from fault_page import Row
from fault_sight import Story, missing, wrong

from poller.journal.base import DeadLetter
from poller.simulator.axiom import take_in

#: Polls that every fault lasts: longer than a source may be silent and stay ready.
LEAST_POLLS = 4
#: Polls after which what was not seen is not seen any more; a back-off is an hour at most.
MOST_POLLS = 15
#: Polls after the cure in which nothing of the fault shows any more.
POLLS_AFTER = 1

Step = Callable[[House], Awaitable[None]]
T = TypeVar("T")


async def nothing(_house: House) -> None:
    """There is nothing to do."""


async def forgive(house: House) -> None:
    """Both clouds behave again."""
    house.cloud.faults.clear()
    house.axiom.standing = take_in


@dataclass(frozen=True, slots=True)
class Mishap:
    """How a fault begins and ends. `wait`: seconds for which a server told us to wait.

    `extra` goes behind the configuration, `values` into it. `patience`: real seconds for one request.
    `polls`: at most so many during the fault. `around`: what holds for the folder from before the start.
    """

    begin: Step
    cure: Step = forgive
    wait: float = 0.0
    extra: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    patience: float = DEADLINE
    around: Callable[[Path], AbstractContextManager[None]] = lambda _: nullcontext()
    polls: int = MOST_POLLS


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is at one moment: files and events at Axiom by id, dead letters, login and back-off."""

    files: Mapping[str, Any]
    axiom: Sequence[str]
    letters: Sequence[DeadLetter]
    login: str
    backoff: Mapping[str, Any]


@dataclass(slots=True)
class Drill:
    """A rehearsal: what a check of "What is kept" may look at.

    `begun`, `middle`: the stock before the fault and just before its cure.
    """

    house: House
    mishap: Mishap
    story: Story
    begun: Stock
    middle: Stock


@dataclass(frozen=True, slots=True)
class Heal:
    """What a person does (`act`), and how many seconds later all is well, given the mishap."""

    within: Callable[[Mishap], float]
    act: Step = nothing


Kept = Callable[[Drill], Awaitable[None]]
OwnWay = Callable[[Row, Path], Awaitable[None]]


async def rehearse(
    row: Row, mishap: Mishap, folder: Path, *, kept: Mapping[str, Kept], heals: Mapping[str, Heal]
) -> Drill:
    """Go through the fault of a row; AssertionError says all that is not as the row says.

    `kept` and `heals`: the statements that those two cells may make, with their checks.
    """
    ways = [_known(heals, statement, row) for statement in row.statements("heals")]
    promises = [_known(kept, statement, row) for statement in row.statements("kept")]
    with mishap.around(folder):
        return await _go_through(row, mishap, folder, ways, promises)


async def _go_through(
    row: Row, mishap: Mishap, folder: Path, ways: Sequence[Heal], promises: Sequence[Kept]
) -> Drill:
    async with living(folder, mishap.extra, mishap.patience, **mishap.values) as house:
        begun = await _take_stock(house)
        drill = Drill(house, mishap, Story(await house.looks()), begun, begun)
        await mishap.begin(house)
        await _suffer(row, drill)
        drill.middle = await _take_stock(house)
        await mishap.cure(house)
        for way in ways:
            await way.act(house)
            await _recover(house, way.within(mishap), row)
        await _live_on(drill)
        assert not (lies := wrong(row, drill.story)), "\n".join([row.name, *lies])
        for promise in promises:
            await promise(drill)
        return drill


async def _suffer(row: Row, drill: Drill) -> None:
    for poll in range(drill.mishap.polls):
        await drill.house.passes(INTERVAL)
        drill.story.during.append(await drill.house.looks())
        if poll + 1 >= LEAST_POLLS and not missing(row, drill.story):
            return


async def _recover(house: House, within: float, row: Row) -> None:
    end = house.clock.monotonic() + within
    while not await house.is_well():
        left = end - house.clock.monotonic()
        assert left > 0, f"{row.name}: not well {within:.0f} s after the cure: {house.app.status()}"
        step = max(2.0, within / 10)
        await house.passes(min(left, step), max(INTERVAL / 2, step / 2))


async def _live_on(drill: Drill) -> None:
    drill.story.after.append(await drill.house.looks())
    for _ in range(POLLS_AFTER):
        await drill.house.passes(INTERVAL)
    drill.story.after.append(await drill.house.looks())


async def _take_stock(house: House) -> Stock:
    source, journal = house.app.road.sources["bmw"], house.app.journal
    return Stock(
        house.files(),
        house.axiom.ids(),
        await journal.dead_letters(),
        source.login_state().version,
        await journal.recall(f"backoff:{source.account}") or {},
    )


def _known(table: Mapping[str, T], statement: str, row: Row) -> T:
    assert statement in table, f"{row.name}: nobody checks {statement!r}; known: {sorted(table)}"
    return table[statement]
