"""Laws of the parser, on mutated answers of real cars (where they are there) and of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from damaged_answers import changed, check_storable, mangled
from hypothesis import given, settings
from hypothesis import strategies as st
from mybmw_cloud import CASES, Case, captured_cases, synthetic_cases

from poller.errors import MalformedAnswer
from poller.sources.mybmw.meaning.parse import parse
from poller.sources.mybmw.meaning.table import RULES
from poller.vehicle.answer import Answer
from poller.vehicle.snapshot import Snapshot

KIND = "mybmw"
PLAIN, SOAK = 1_000, 10_000
NOW = datetime(2023, 1, 4, 15, 0, tzinfo=UTC)
SHARED = CASES.parents[3] / "shared"
CARS: list[Case] = [*(captured_cases(SHARED) if SHARED.is_dir() else ()), *synthetic_cases()]
Path = tuple[str | int, ...]

#: What a leaf may become. A number of 5,000 digits, a lone surrogate and endless nesting can all be written.
DELETED = object()
ODD: tuple[Any, ...] = (
    DELETED, None, True, False, 0, -1, 1, 7, 2**63, 10**30, -(10**400), 1e308, -0.5, float("nan"),
    float("inf"), "", " ", "UNKNOWN", "unknown", "INVALID", "OPEN", "CHARGING", "WAITING_FOR_CHARGING",
    "PLUGIN_HYBRID", "ELECTRIC", "COMBUSTION", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00",
    "2026-01-01", "\ud800", "\x00", "x" * 5_000, "İ", "OIL", [], {}, [[]], {"a": 1}, [None, 1, "x"],
    {"hour": 25},
)  # fmt: skip
values = st.one_of(
    st.sampled_from(ODD),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.booleans(), max_size=3),
)


def _leaves(node: Any, path: Path = ()) -> Iterator[Path]:
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    elif path:
        yield path
    for key, child in children:
        yield from _leaves(child, (*path, key))


def _load(case: Case) -> dict[str, Any]:
    return {name: json.loads(body) for name, body in case.bodies.items()}


TREES = {case.name: _load(case) for case in CARS}
LEAVES = {name: sorted(_leaves(tree), key=str) for name, tree in TREES.items()}


def _mutate(tree: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    # Only the way down to the leaf is copied.
    copied: Any = dict(tree)
    node = copied
    for key in path[:-1]:
        node[key] = deepcopy(node[key]) if key == path[0] else node[key]
        node = node[key]
    if value is DELETED:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copied


def _snapshot(case: Case, tree: dict[str, Any]) -> Snapshot:
    bodies = {name: json.dumps(body).encode() for name, body in tree.items()}
    return parse(Answer("case", KIND, case.vin, NOW, bodies), UTC)


BEFORE = {case.name: _snapshot(case, TREES[case.name]) for case in CARS}


def _table_path(path: Path) -> str:
    """A path in the bodies as the parser's table writes it."""
    body, *members = path
    # The state body's member "state" is the table's root "state".
    written: list[str] = [] if body == "state" else [str(body)]
    for member in members:
        if isinstance(member, int):
            written[-1] += "[]"
        else:
            written.append(member)
    return ".".join(written)


def owned_by(path: Path) -> set[str]:
    """The signals that may change with this leaf: those whose rules name it or something in it."""
    changed = _table_path(path)
    return {
        rule.key if rule.dimension is None else f"{rule.key}.{rule.dimension}"
        for rule in RULES
        for read in rule.paths
        if f"{read}.".startswith(f"{changed}.") or f"{changed}.".startswith(f"{read}.")
    }


def _check_ownership(case: Case, path: Path, value: Any) -> None:
    before = BEFORE[case.name]
    after = _snapshot(case, _mutate(TREES[case.name], path, value))
    owned = owned_by(path)
    assert {
        key for key in changed(before, after) if key not in owned and key.partition(".")[0] not in owned
    } == set()
    if _table_path(path) != "state.lastUpdatedAt":
        assert after.observed_at == before.observed_at
    check_storable(after, KIND)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Case, Path, Any]:
    case = draw(st.sampled_from(CARS))
    return case, draw(st.sampled_from(LEAVES[case.name])), draw(values)


@settings(max_examples=PLAIN)
@given(mutations())
def test_one_leaf_changes_only_its_own_signals(mutation) -> None:
    """And always leaves a snapshot: no leaf of an answer is worth all the others."""
    _check_ownership(*mutation)


@pytest.mark.soak
@settings(max_examples=SOAK)
@given(mutations())
def test_one_leaf_changes_only_its_own_signals_at_length(mutation) -> None:
    _check_ownership(*mutation)


def test_most_mutations_still_give_a_snapshot(rng) -> None:
    """At least 95 of 100 is asked for; a bad leaf costs none. Every odd value is tried on every car."""
    tried = given_up = 0
    for case in CARS:
        for value in ODD:
            tried += 1
            try:
                _check_ownership(case, rng.choice(LEAVES[case.name]), value)
            except MalformedAnswer:
                given_up += 1
    assert tried >= 500
    assert given_up == 0


def _check_mangled(rng: Any, rounds: int) -> None:
    given_up = set()
    for _ in range(rounds):
        case = rng.choice(CARS)
        name = rng.choice(sorted(case.bodies))
        bodies = {**case.bodies, name: mangled(case.bodies[name], rng, renamed=(b'"state"', b'"status"'))}
        try:
            snapshot = parse(Answer("case", KIND, case.vin, NOW, bodies), UTC)
        except MalformedAnswer:
            given_up.add(name)
        else:
            check_storable(snapshot, KIND)
    # The other bodies cost their own signals only.
    assert given_up == {"state"}


def test_nothing_but_malformed_answer_comes_out_of_a_mangled_body(rng) -> None:
    _check_mangled(rng, PLAIN)


@pytest.mark.soak
def test_nothing_but_malformed_answer_comes_out_at_length(rng) -> None:
    _check_mangled(rng, SOAK)


@settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_as_a_state_is_a_snapshot_or_malformed(document) -> None:
    body = json.dumps({"state": document}).encode()
    answer = Answer("case", KIND, "WBATEST0000000099", NOW, {"state": body, "profile": body})
    if isinstance(document, dict):
        assert parse(answer, UTC).vin == answer.vin
    else:
        with pytest.raises(MalformedAnswer):
            parse(answer, UTC)


def test_the_law_can_fail() -> None:
    """A leaf that is not in the table owns nothing; one that is, owns what names it."""
    assert owned_by(("state", "state", "driverPreferences", "lscPrivacyMode")) == set()
    assert owned_by(("state", "state", "requiredServices", 3, "mileage")) == {"service_due_km"}
    assert owned_by(("state", "state", "doorsState", "leftFront")) == {"door_open.front_left"}
    assert "range_fuel_km" in owned_by(("profile", "driveTrain"))
    assert owned_by(("state", "capabilities", "lock")) == set()
