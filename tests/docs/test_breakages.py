"""Broken on purpose: the places still fit, tests/README.md lists them, and the tests notice each."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def tool(root):
    """tools/breakages.py, which is a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tools"))
        import breakages

        yield breakages


def test_every_breakage_fits_in_exactly_one_place(tool, root):
    """A text that moved: say in tools/breakages.toml where it is now."""
    unfit = []
    for breakage in tool.breakages():
        try:
            assert breakage.applied(root) != (root / breakage.file).read_text(encoding="utf-8")
        except ValueError as error:
            unfit.append(str(error))
    assert unfit == []


def test_the_tests_that_must_go_red_are_there(tool, root):
    for breakage in tool.breakages():
        assert breakage.red, breakage.name
        for test in breakage.red:
            path, *names = test.split("::")
            text = (root / path).read_text(encoding="utf-8")
            assert all(f" {name}" in text for name in names), f"{breakage.name}: {test} is gone"


def test_the_list_is_fresh(tool, root):
    page = (root / "tests" / "README.md").read_text(encoding="utf-8")
    assert tool.table(tool.breakages()) in page, "paste what `python tools/breakages.py --table` prints"


@pytest.mark.soak
def test_every_breakage_is_noticed(root):
    run = subprocess.run(
        [sys.executable, root / "tools" / "breakages.py"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
