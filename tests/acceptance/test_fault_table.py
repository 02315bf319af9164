"""docs/operating/faults.md is true: every row is gone through with the real parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from fault_cloud import CLOUD
from fault_drill import Mishap, OwnWay, rehearse
from fault_machine import MACHINE, MACHINE_HEALS, MACHINE_KEPT
from fault_page import PAGE, Row, read_page
from fault_promises import HEALS, KEPT
from fault_sight import wrong
from fault_sinks import SINKS

ROWS = read_page()
#: Section of the page → its faults by name.
SECTIONS: Mapping[str, Mapping[str, Mishap | OwnWay]] = {
    "The maker's cloud": CLOUD,
    "Axiom and other sinks": SINKS,
    "Your machine": MACHINE,
}
STATEMENTS = {"kept": KEPT | MACHINE_KEPT, "heals": HEALS | MACHINE_HEALS}


def test_the_page_and_the_drill_know_the_same_faults() -> None:
    """A fault of the page without a test fails, and so does a test without its fault."""
    told = [(row.section, row.name) for row in ROWS]
    assert told == [(section, name) for section, faults in SECTIONS.items() for name in faults]


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_looks_costs_and_heals_as_its_row_says(row, tmp_path) -> None:
    fault = SECTIONS[row.section][row.name]
    if isinstance(fault, Mishap):
        await rehearse(row, fault, tmp_path, **STATEMENTS)
    else:
        await fault(row, tmp_path)


FAULT = (
    "## The maker's cloud\n\n### A fault\n\nNow and then.\n\n- Log: —\n- Kept: all\n- Heals: by\n  itself\n"
)


def test_a_line_of_the_page_that_nobody_would_go_through_is_refused() -> None:
    [row] = read_page(FAULT)
    assert (row.name, row.cells["kept"], row.cells["heals"]) == ("A fault", "all", "by itself")
    assert row.nothing("log")
    assert row.nothing("page")
    for broken in (
        FAULT.replace("- Kept: all\n", ""),
        FAULT.replace("- Log", "- Logs"),
        FAULT.replace("- Log: —", "- Kept: some"),
        FAULT.replace("- Kept: all", "- Kept: "),
    ):
        with pytest.raises(ValueError, match="A fault"):
            read_page(broken)


def test_the_page_can_be_read_in_a_terminal() -> None:
    """A table of seven columns cannot; what is longer here has no place to be broken at."""
    long = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if len(line) > 85]
    assert long == []


ERROR = next(row for row in ROWS if row.name == "BMW has an error of its own (500)")
FINE = next(row for row in ROWS if row.name == "The access token has ended (401)")


def lying(row: Row, column: str, cell: str) -> Row:
    return replace(row, cells={**row.cells, column: cell})


#: What is not so of that fault: column and cell.
LIES = [
    ("log", "`source.unavailable reason=server error='BMW answered 502'`"),
    ("log", "`source.unavailable reason=server`, `login.required`"),
    ("log", "—"),
    ("readyz", "`200`"),
    ("readyz", "`503`: `source bmw: no success for … (allowed 15 min): BMW answered 500`"),
    ("readyz", "`200`, then `503`: `source bmw: no success for … (allowed 20 min)`"),
    ("page", "—"),
    ("page", "`2 things are wrong`"),
    ("page", "`last answer`"),
    ("page", "no `Mileage`"),
    ("metric", "—"),
    ("metric", '`poller_poll_failures_total{source="bmw",reason="timeout"}`'),
    ("metric", '`poller_poll_failures_total{source="bmw",reason="server"}`, `poller_ready 1`'),
    ("metric", '`poller_polls_total{source="bmw"}`'),
    ("heals", "by itself, with the next poll: `delivery.recovered`"),
]


async def test_a_row_that_says_something_else_is_found_out(tmp_path) -> None:
    """Each column is really looked at: what is not so, is not all, or would be so anyway."""
    drill = await rehearse(ERROR, CLOUD[ERROR.name], tmp_path, **STATEMENTS)
    assert wrong(ERROR, drill.story) == []
    believed = [lie for lie in LIES if not wrong(lying(ERROR, *lie), drill.story)]
    assert believed == []
    for statement in ("the login, renewed", "the answers, in quarantine", "the other car goes on"):
        with pytest.raises(AssertionError):
            await KEPT[statement](drill)


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [
        (ERROR, "heals", "at once, within the same poll"),
        (ERROR, "heals", "by prayer"),
        (ERROR, "kept", "everything"),
        (FINE, "log", "`login.refreshed`"),
    ],
)
async def test_a_promise_that_is_not_kept_fails_the_drill(row, column, cell, tmp_path) -> None:
    with pytest.raises(AssertionError):
        await rehearse(lying(row, column, cell), CLOUD[row.name], tmp_path, **STATEMENTS)
