"""Scenarios as text: what is read, what is said at the start, and every mistake at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from poller.errors import ConfigError
from poller.simulator.fault import Kind
from poller.simulator.scenario import Play, load, read

GOOD = """
title = "A bad night"
description = "What you will see."
look_at = ["the log"]
seed = 7
quota_per_day = 200

[[faults]]
kind  = "maintenance"
at    = "02:00"
for   = "1h30m"
every = "1d"

[[faults]]
kind  = "half_body"
path  = "/eadrax-vcs/v4"
after = "10m"
count = 3

[[faults]]
kind = "blocked"
for  = "ever"
"""


ONE_BEGINNING = "at: it begins `after` a while or `at` a time of day: take one of them out"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read("night.toml", text)
    return list(caught.value.problems)


def test_it_says_what_to_look_at_and_what_happens_when_by_the_clock() -> None:
    scenario = read("night.toml", GOOD)
    assert scenario.story() == [
        "A bad night",
        "  What you will see.",
        "",
        "What to look at:",
        "  - the log",
    ]
    play = Play(scenario, datetime(2026, 11, 21, 14, 0, tzinfo=UTC), 60)
    assert play.programme() == [
        "What happens (it is 14:00 UTC here):",
        "  14:00, now: BMW blocks clients that are not its own app (489), until the end",
        "  14:10, in 10s: the connection ends in the middle of an answer, below /eadrax-vcs/v4, 3 times",
        "  22 Nov 02:00, in 12m: BMW is down for maintenance (503), until 22 Nov 03:30; again every 1d",
        "  always: 200 calls a day",
    ]


def test_every_mistake_is_told_at_once_with_its_place_and_its_mend() -> None:
    text = """
        titel = "x"
        description = ""
        look_at = "the log"
        cars = "three"
        seed = "one"
        [[faults]]
        kind = "qouta"
        for = "2 hours"
        [[faults]]
        kind = "slow"
        secnds = 4
        [[faults]]
        after = "3m"
        at = "99:00"
        path = "x"
        count = 0
        """
    assert problems(text) == [
        "night.toml: title: is missing: add it",
        "night.toml: description: must not be empty",
        'night.toml: look_at: expected a list in square brackets, such as ["one", "two"]',
        "night.toml: cars: unknown: known: two | all",
        "night.toml: seed: expected a whole number without quotes",
        f'night.toml: 1st [[faults]]: kind: unknown: is "quota" meant? known: {" | ".join(get_args(Kind))}',
        'night.toml: 1st [[faults]]: for: expected a duration such as "90s", "5m", "1h30m" or "2d"',
        'night.toml: 2nd [[faults]]: secnds: unknown: is "seconds" meant?',
        "night.toml: 3rd [[faults]]: kind: is missing: add it",
        'night.toml: 3rd [[faults]]: path: expected a path that begins with "/"',
        f"night.toml: 3rd [[faults]]: {ONE_BEGINNING}",
        "night.toml: 3rd [[faults]]: count: must be greater than or equal to 1",
        'night.toml: titel: unknown: is "title" meant?',
        'night.toml: 2nd [[faults]]: does not say how long: add for = "2h", for = "ever" or count = 3',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("faults = 3\n", "night.toml: faults: expected a list in square brackets"),
        ("faults = [3]\n", "night.toml: 1st [[faults]]: expected a table of names and values"),
        ("title = 'x\n", "night.toml: is not valid TOML: "),
        ("[faults]\n", "night.toml: faults: one table stands where a list is expected: write [[faults]]"),
        (
            "title = 'x'\n",
            "night.toml: nothing happens in it: add a [[faults]] table, quota_per_day or answers",
        ),
    ],
)
def test_what_is_no_scenario_is_refused(text, problem) -> None:
    assert any(line.startswith(problem) for line in problems(text))


def test_a_small_quota_is_enough_of_a_bad_day() -> None:
    assert read("x", 'title = "x"\ndescription = "y"\nquota_per_day = 5\n').faults == ()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere/night", "nowhere/night: no such file"),
        ("night.toml", "night.toml: no such file"),
        ("/", "/: is a folder: give the path of a TOML file"),
        ("internet-outrage", "no scenario 'internet-outrage': is \"internet-outage\" meant? "),
    ],
)
def test_what_cannot_be_read_is_said_by_what_it_is(name, problem) -> None:
    with pytest.raises(ConfigError) as caught:
        load(name)
    assert caught.value.problems[0].startswith(problem)


def test_a_refused_login_needs_no_length() -> None:
    text = 'title = "x"\ndescription = "y"\n[[faults]]\nkind = "login_refused"\nafter = "10m"\n'
    assert len(read("x", text).faults) == 1
