"""The simulator's page knows every fault and every scenario, and its example is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from poller.simulator.fault import Fault, Kind
from poller.simulator.scenario import Scenario, names, read


@pytest.fixture
def text(pages) -> str:
    return pages["docs/simulator.md"].text


def first_column(text: str, head: str) -> Iterator[str]:
    """The code spans in the first column of the table with this head."""
    table = text[text.index(f"| {head} |") :].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        yield from re.findall(r"`([^`]+)`", row.split("|")[1])


def test_every_kind_of_fault_is_in_the_table_in_order(text) -> None:
    assert list(first_column(text, "`kind`")) == list(get_args(Kind))


def test_every_shipped_scenario_is_in_the_table(text) -> None:
    assert sorted(first_column(text, "scenario")) == names()


def test_every_setting_of_a_fault_is_named(text) -> None:
    known = [field.alias or name for name, field in Fault.model_fields.items()]
    assert [name for name in known if f"`{name}`" not in text] == []


def test_the_example_is_a_scenario(pages) -> None:
    (example,) = [block for info, block in pages["docs/simulator.md"].blocks() if info == "toml scenario"]
    scenario = read("example", example)
    assert {fault.kind for fault in scenario.faults} == {"maintenance", "half_body"}
    assert [name for name in Scenario.model_fields if name not in example] == []
