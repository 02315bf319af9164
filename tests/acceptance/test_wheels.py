"""The image can be built on each kind of machine without a compiler."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

WHEELS = runpy.run_path(str(Path(__file__).parents[2] / "tools/wheels.py"))


@pytest.mark.parametrize("machine", WHEELS["MACHINES"])
def test_every_locked_package_is_there_as_a_wheel(machine) -> None:
    """Needs the package index; where that cannot be reached, this fails rather than passes."""
    assert WHEELS["lacking"](machine) == ""


def test_a_machine_that_nobody_builds_for_is_noticed() -> None:
    assert "No matching distribution" in WHEELS["lacking"]("pdp11")
