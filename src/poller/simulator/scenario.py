"""Scenarios: bad days as TOML, to be played on a simulated cloud.

The seam, for `poller simulate`, `poller demo` and tests alike::

    scenario = load("internet-outage")        # a shipped name, or a path; ConfigError names all problems
    cloud = FakeCloud(garage, clock, quota_per_day=scenario.quota_per_day)
    scenario.story()                          # to print: title, description, what to look at
    play = scenario.play(cloud)               # its faults are ordered; their time counts from now
    play.programme()                          # to print: what happens when, by the cloud's clock
    cloud.at_first_state(begin)               # for a `begin` that plays it when a poller is there
    cloud.faults.listed()                     # what is active and pending, at any time

`scenario.cars`, `.seed` and `.answers` say which garage it wants; the host makes it, and may have its
own. `names()` are the shipped ones. Nothing here runs by itself: faults follow the cloud's clock.
"""

from __future__ import annotations

import math
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from poller.errors import ConfigError
from poller.runtime.quantities import Count, Items, StrictTable, written_duration
from poller.settings.problems import nearest
from poller.simulator.cloud import FakeCloud
from poller.simulator.fault import MOMENTS, Fault
from poller.simulator.wording import ordinal, problems_of

_WIDTH = 100
_TIMES = {1: "once", 2: "twice"}


class Scenario(StrictTable):
    """A bad day: what happens to a simulated cloud, and what its owner will see.

    `look_at`: hints, one line each. `cars` and `seed` choose a garage; `answers`, a folder of captured
    answers (in a file, relative to it), goes before them. `quota_per_day`: calls of each device; None: any.
    """

    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    look_at: Annotated[tuple[str, ...], Items] = ()
    cars: Literal["two", "all"] = "two"
    seed: Count = 1
    answers: Path | None = None
    quota_per_day: Annotated[Count, Field(ge=1)] | None = None
    faults: tuple[Fault, ...] = ()

    def story(self) -> list[str]:
        """What to print at the start: title, description, what to look at."""
        return [
            self.title,
            *textwrap.wrap(self.description, _WIDTH - 2, initial_indent="  ", subsequent_indent="  "),
            *(["", "What to look at:"] if self.look_at else []),
            *(f"  - {hint}" for hint in self.look_at),
        ]

    def play(self, cloud: FakeCloud) -> Play:
        """Order all faults of `cloud`; their time begins now, on its clock."""
        for fault in self.faults:
            cloud.faults.add(fault)
        return Play(self, cloud.clock.now(), cloud.clock.rate)


#: A day on which nothing goes wrong.
FINE: Final = Scenario(title="A fine day", description="Nothing goes wrong.")


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario that began at `began` (UTC) of a clock that runs `rate` times faster than real time."""

    scenario: Scenario
    began: datetime
    rate: float

    def programme(self) -> list[str]:
        """What to print when it begins: what happens when."""
        told = self.scenario
        by_time = sorted(told.faults, key=lambda fault: fault.first_in(self.began))
        return [
            f"What happens (it is {self.began:%H:%M} UTC here):",
            *(f"  {self._line(fault)}" for fault in by_time),
            *([f"  always: {told.quota_per_day} calls a day"] if told.quota_per_day else []),
        ]

    def _line(self, fault: Fault) -> str:
        first = fault.first_in(self.began)
        begins = self.began + timedelta(seconds=first)
        wait = f"in {written_duration(max(1, round(first / self.rate)))}" if first else "now"
        when = f"{self._clock(begins)}, {wait}"
        often = f"; again every {written_duration(fault.every)}" if fault.every else ""
        return f"{when}: {fault.words}{self._extent(fault, begins)}{often}"

    def _extent(self, fault: Fault, begins: datetime) -> str:
        """How long and how often, as a continued sentence."""
        if fault.kind in MOMENTS:
            return ""
        times = "" if fault.limit is None else f", {_TIMES.get(fault.limit, f'{fault.limit} times')}"
        if fault.lasts is None:
            return times
        if math.isinf(fault.lasts):
            return f"{times}, until the end"
        return f"{times}, until {self._clock(begins + timedelta(seconds=fault.lasts))}"

    def _clock(self, moment: datetime) -> str:
        return f"{moment:%H:%M}" if moment.date() == self.began.date() else f"{moment:%d %b %H:%M}"


def names() -> list[str]:
    """The shipped scenarios."""
    return sorted(
        file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml")
    )


def load(name: str) -> Scenario:
    """A shipped scenario by its name, or the one in a file. Raises ConfigError with all problems."""
    shipped = names()
    if name in shipped:
        return read(name, (_folder() / f"{name}.toml").read_text("utf-8"))
    path = Path(name)
    if path.is_dir():
        raise ConfigError([f"{name}: is a folder: give the path of a TOML file"])
    if not path.exists() and ("/" in name or name.endswith(".toml")):
        raise ConfigError([f"{name}: no such file"])
    if not path.is_file():
        near = nearest(name, shipped)
        meant = f'is "{near}" meant? ' if near else ""
        known = ", ".join(shipped)
        raise ConfigError([f"no scenario {name!r}: {meant}shipped: {known}; or give the path of a TOML file"])
    try:
        scenario = read(name, path.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError([f"{name}: is not UTF-8 text: save it as UTF-8"]) from None
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from error
    if scenario.answers is None:
        return scenario
    return scenario.model_copy(update={"answers": path.parent / scenario.answers})


def read(name: str, text: str) -> Scenario:
    """A scenario from its TOML; `name` stands before each problem. Raises ConfigError with all of them."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{name}: is not valid TOML: {error}"]) from error
    problems = [*_without_faults(document), *_without_end(document)]
    try:
        scenario = Scenario.model_validate(document)
    except ValidationError as error:
        problems = [*problems_of(error, {"": Scenario, "faults": Fault}), *problems]
    if problems:
        raise ConfigError([f"{name}: {problem}" for problem in problems])
    return scenario


def _without_faults(document: dict[str, Any]) -> Iterator[str]:
    """A scenario in which nothing happens is a mistake; a small quota or bad answers are something."""
    if not any(document.get(name) for name in ("faults", "quota_per_day", "answers")):
        yield "nothing happens in it: add a [[faults]] table, quota_per_day or answers"


def _without_end(document: dict[str, Any]) -> Iterator[str]:
    """Each fault of a scenario says how long it lasts: one request is seldom what is meant."""
    faults = document.get("faults")
    for number, fault in enumerate(faults if isinstance(faults, list) else (), 1):
        if not isinstance(fault, dict) or fault.get("kind") in MOMENTS:
            continue
        if not {"for", "lasts", "count"} & set(fault):
            mend = 'add for = "2h", for = "ever" or count = 3'
            yield f"{ordinal(number)} [[faults]]: does not say how long: {mend}"


def _folder() -> Traversable:
    return resources.files("poller.simulator") / "scenarios"
