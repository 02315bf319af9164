"""Every figure of `make bench` can still be measured; how fast it is, is not asked here."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Sizes at which each needs a few seconds at most.
TINY = {
    "cycle": {"rounds": 1, "polls": 1, "warm_up": 1},
    "day": {"rounds": 1, "window": 0.3, "speed": 100.0},
    "drain": {"rounds": 1, "records": 20},
    "journal": {"rounds": 1, "polls": 20},
    "memory": {"first": 1, "last": 2},
    "scrape": {"rounds": 1, "vehicles": 2},
    "start": {"rounds": 1, "warm_up": 0},
}
#: Those that start no daemon, or only one, and look at it once.
QUICK = ("journal", "scrape", "start")


@pytest.fixture(autouse=True)
def beside_the_sources(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


@pytest.mark.parametrize(
    "names", [QUICK, pytest.param(tuple(TINY), marks=pytest.mark.soak)], ids=["quick", "all"]
)
def test_every_module_gives_results_that_the_table_can_show(names):
    """Side by side, for most of the time they wait for processes."""
    bench = importlib.import_module("bench.__main__")
    assert set(bench.MODULES) == set(TINY)

    def measured(name):
        return importlib.import_module(f"bench.{name}").measure(**TINY[name])

    with ThreadPoolExecutor(len(names)) as pool:
        results = [result for found in pool.map(measured, names) for result in found]
    table = bench.table(results)
    assert len(results) >= len(names)
    assert all(result.value > 0 for result in results if "growth" not in result.figure)
    assert all(result.figure in table for result in results)


def test_the_page_says_on_what_machine_without_naming_it(monkeypatch, tmp_path):
    """Date, processor, versions and the kind of file system, between the markers; the rest stays."""
    bench = importlib.import_module("bench.__main__")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{bench.BEGIN}old\n{bench.END}after\n")
    bench.write(page, "| the table |")
    text = page.read_text()
    assert text.startswith(f"before\n{bench.BEGIN}")
    assert text.endswith(f"| the table |\n{bench.END}after\n")
    assert "cores of" in text
    assert "Python 3." in text
    assert str(tmp_path) not in text
    assert "old" not in text
