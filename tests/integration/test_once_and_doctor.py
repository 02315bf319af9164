"""What `poller once` and `poller doctor` say of sinks: no more than was tried."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_house import BMW, FILES, NAMES, OrderHouse

from poller.cli.run_daemon import _sink_line as sink_line

#: Gets trips alone, which nobody makes: nothing ever waits for it.
IDLE = '[sinks.trips]\ntype = "json_files"\ndirectory = "trips"\nkinds = ["trip"]\n'
LIVE = '[sinks.prometheus]\ntype = "prometheus"\n'


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[OrderHouse]:
    made = OrderHouse(tmp_path)
    await made.open(BMW + NAMES + FILES + IDLE + LIVE)
    yield made
    await made.app.close()


async def findings(house: OrderHouse) -> dict[str, str]:
    report = await house.ask("doctor")
    assert report["exit_code"] == 0
    return {finding["subject"]: finding["text"] for finding in report["findings"]}


async def test_a_sink_that_was_never_tried_is_not_said_to_have_had_anything(house) -> None:
    found = await findings(house)
    assert found["sink files"] == "everything delivered"
    assert found["sink trips"] == "nothing waits for it, and nothing was tried yet"


async def test_every_sink_has_a_finding(house) -> None:
    assert (await findings(house))["sink prometheus"] == "will show the newest state once a poller runs"
    house.app.running = True
    assert (await findings(house))["sink prometheus"] == "shows the newest state"


async def test_once_names_the_sinks_that_only_a_running_poller_serves(house) -> None:
    assert (await house.ask("once"))["idle"] == ["prometheus"]
    house.app.running = True
    assert (await house.ask("once"))["idle"] == []


@pytest.mark.parametrize(
    ("sink", "line"),
    [
        ({"backlog": 0, "error": None, "tried": True}, "sink files: everything delivered"),
        ({"backlog": 0, "error": None, "tried": False}, "sink files: nothing to deliver"),
        ({"backlog": 0, "error": None}, "sink files: everything delivered"),
        ({"backlog": 3, "error": None}, "sink files: 3 records waiting: not delivered yet"),
        ({"backlog": 3, "error": "no", "hint": "mend"}, "sink files: 3 records waiting: no\n  mend"),
        ({"backlog": 0, "error": "no", "hint": None}, "sink files: failed: no"),
    ],
)
def test_what_once_prints_of_a_sink(sink, line) -> None:
    assert sink_line({"name": "files", **sink}) == line
