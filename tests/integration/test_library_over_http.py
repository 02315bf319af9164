"""The same keys when the answers come over HTTP, from the simulator, through the MyBMW source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from library_cars import (
    CASES,
    SHARED,
    LibraryCar,
    differences,
    own_cars,
    recorded_cars,
    without_null_capabilities,
)
from mybmw_cloud import HastyClock, stage

from poller.simulator.folder import FolderGarage
from poller.vehicle.answer import Answer

STOPS = {"OH_F33", "OH_F56_MINI", "OH_G30_PHEV"}


async def _asked(folder: Path, cars: Sequence[LibraryCar], directory: Path) -> dict[str, Answer]:
    """VIN → what a poll brings of each car in the folder."""
    async with stage(directory, FolderGarage(folder), clock=HastyClock(cars[0].at)) as set_up:
        source = await set_up.logged_in()
        return {target.vin: await source.fetch(target) for target in await source.targets()}


async def _check(folder: Path, cars: Sequence[LibraryCar], directory: Path) -> None:
    answers = await _asked(folder, cars, directory)
    wrong = []
    for car in cars:
        answer = replace(answers[car.expected["vin"]], kind="mybmw")
        keys = car.keys(answer)
        keys = without_null_capabilities(keys) if car.name in STOPS else keys
        wrong += [f"{car.name}{line}" for line in differences(car.expected, keys)]
    assert wrong == []


async def test_our_own_cars(tmp_path) -> None:
    await _check(CASES, own_cars(), tmp_path)


@pytest.mark.parametrize("folder", ["fingerprints", "fingerprints_extra"])
async def test_recorded_cars(folder, tmp_path) -> None:
    cars = [car for car in recorded_cars() if car.folder.parent.name == folder]
    if not cars:
        pytest.skip("the recordings are not beside this checkout")
    await _check(SHARED / folder, cars, tmp_path)
