"""The Python on docs/library.md runs as it stands there, against the simulator, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from pathlib import Path

import pytest
from library_cloud import served
from mybmw_cloud import HastyClock

from poller import errors
from poller.simulator.cloud import FakeCloud
from poller.simulator.fleet import MINI_VIN
from poller.simulator.garage import demo_garage
from poller.simulator.login import PASSWORD, USER

PAGE = "docs/library.md"
CAPTURES = Path(__file__).parents[1] / "cases" / "library" / "electric_charging"


@pytest.fixture(scope="module")
def address():
    clock = HastyClock()
    with served(FakeCloud(demo_garage(), clock)) as url:
        yield {"base_url": url, "clock": clock}


@pytest.fixture
def given(address, request) -> dict[str, object]:
    """What the page says that the reader has."""
    login = {**address, "captcha_token": f"of {request.node.name}"}
    return {
        "USERNAME": USER, "PASSWORD": PASSWORD, "VIN": MINI_VIN, "LOGIN": login, "CAPTURES": str(CAPTURES),
    }  # fmt: skip


def examples(page) -> list[tuple[str, str]]:
    """Each block of Python, and what the next block says it prints."""
    blocks = list(page.blocks())
    return [
        (text, after)
        for (info, text), (kind, after) in itertools.pairwise(blocks)
        if (info, kind) == ("python", "text")
    ]


@pytest.mark.parametrize("number", range(4))
def test_an_example_prints_what_the_page_says(pages, given, number: int) -> None:
    code, printed = examples(pages[PAGE])[number]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, PAGE, "exec"), given)  # noqa: S102  # our own page
    assert said.getvalue() == printed


def test_every_block_of_python_is_run(pages) -> None:
    page = pages[PAGE]
    assert [info for info, _ in page.blocks()].count("python") == len(examples(page)) == 4


def test_the_errors_on_the_page_are_there(pages) -> None:
    named = re.findall(r"^\| `([A-Z]\w+)` \|", pages[PAGE].text, re.MULTILINE)
    assert len(named) == 8
    assert all(issubclass(getattr(errors, name), errors.PollerError) for name in named)
