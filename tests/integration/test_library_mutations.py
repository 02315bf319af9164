"""No answer crashes the library's form, and none costs it a key: leaves of all cars, changed one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from damaged_answers import mangled
from library_cars import LibraryCar, own_cars, recorded_cars

from poller.errors import MalformedAnswer
from poller.library.privacy import shown
from poller.vehicle.answer import Answer
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import dumps

CARS = [*own_cars(), *recorded_cars()]
PLAIN, SOAK = 700, 40_000
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 2**63, 2**64, 10**30, 1e308, -1e308, -0.5, float("nan"), float("inf"), "",
    "UNKNOWN", "INVALID", "OPEN", "CHARGING", "WAITING_FOR_CHARGING", "PLUGIN_HYBRID", "ELECTRIC",
    "ELECTRIC_WITH_RANGE_EXTENDER", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "\ud800",
    "\x00", [], {}, [[]], {"a": 1}, [None, 1, "x"], {"hour": 25}, {"hour": "x"}, [{}],
)  # fmt: skip
NONE_OF_IT = Rendering({}, "none", "short")


def nodes(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if path:
        yield path
    for key, child in children:
        yield from nodes(child, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    copied = json.loads(json.dumps(tree))
    node = copied
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return copied


def check(car: LibraryCar, answer: Answer) -> None:
    """The same keys, whatever is in the answer, and JSON that everybody can write."""
    try:
        keys = car.keys(answer)
    except MalformedAnswer:
        return
    assert list(keys) == list(car.expected)
    for seen in (keys, shown(keys, answer.vin, NONE_OF_IT)):
        dumps(seen).encode()
        orjson.dumps(seen)


def run_over(count: int) -> None:
    rng = random.Random(7)
    trees = {car.name: {name: json.loads(body) for name, body in car.answer().bodies.items()} for car in CARS}
    paths = {name: list(nodes(tree)) for name, tree in trees.items()}
    for number in range(count):
        car = CARS[number % len(CARS)]
        tree = changed(trees[car.name], rng.choice(paths[car.name]), rng.choice(ODD))
        bodies = {name: json.dumps(body).encode() for name, body in tree.items()}
        check(car, Answer("case", "recorded", car.answer().vin, car.at, bodies))


def test_any_value_in_any_place_leaves_all_keys_there() -> None:
    run_over(PLAIN)


@pytest.mark.soak
def test_many_values_in_many_places() -> None:
    run_over(SOAK)


def test_answers_as_a_bad_line_leaves_them() -> None:
    rng = random.Random(11)
    for number in range(300):
        car = CARS[number % len(CARS)]
        answer = car.answer()
        bodies = dict(answer.bodies)
        name = rng.choice(sorted(bodies))
        bodies[name] = mangled(bodies[name], rng, renamed=(b"range", b"ranges"))
        check(car, Answer("case", "recorded", answer.vin, car.at, bodies))
