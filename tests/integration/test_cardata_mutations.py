"""Laws of the CarData parser, on mutated answers, messages and states of our own cars."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from cardata_cases import Case, cases
from damaged_answers import changed, check_storable, mangled
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.errors import MalformedAnswer
from poller.sources.cardata.cars.state import CarState
from poller.sources.cardata.meaning.parse import parse
from poller.sources.cardata.meaning.table import RULES
from poller.vehicle.answer import Answer
from poller.vehicle.records import dumps
from poller.vehicle.snapshot import Snapshot

KIND = "cardata"
PLAIN, SOAK = 1_000, 10_000
#: "data" or "telematicData", as it would be misspelt.
RENAMED = (b'ata"', b'ate"')
NOW = datetime(2026, 11, 1, 15, 0, tzinfo=UTC)
CARS = cases()

DELETED = object()
#: What a value, a unit or a time may become. What JSON can write and Python can hardly hold is among it.
ODD: tuple[Any, ...] = (
    DELETED, None, True, False, 0, -1, 1, 7, 2**63, 10**30, -(10**400), 1e308, -0.5, float("nan"),
    float("inf"), "", " ", "-NA-", "null", "UNKNOWN", "INVALID", "ASN_isUnknown", "ASN_isTrue", "OPEN",
    "CHARGINGACTIVE", "CONNECTED", "1e400", "0.0", "12,5", "km", "miles", "percent", "Â°C", "kW",
    "2026-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "31.02.2027 00:00:00 UTC",
    "\ud800", "\x00", "x" * 20_000, "İ", "<xml/>", "[]", '[{"id": []}]', '[{"id": 1, "status": 7}]',
    "[" * 5_000, [], {}, [[]], {"a": 1}, [None, 1, "x"],
)  # fmt: skip
values = st.one_of(st.sampled_from(ODD), st.integers(), st.floats(), st.text(max_size=30))


def _basic(case: Case) -> dict[str, Any]:
    return json.loads(case.basic) if case.basic is not None else {}


def _snapshot(case: Case, state: CarState, basic: bytes | None) -> Snapshot:
    bodies = {"state": dumps(state.to_json()).encode()}
    if basic is not None:
        bodies["basicData"] = basic
    return parse(Answer("case", KIND, case.vin, NOW, bodies), case.expected.get("steering"))


#: Which signals a descriptor may change: those of the rules that read it …
OWNED: dict[str, set[str]] = {}
for _rule in RULES:
    for _name in _rule.reads:
        for _side in ("driver", "passenger"):
            OWNED.setdefault(_name.format(left=_side, right=_side), set()).add(_rule.key)
#: … and what these show of the car, which decides what others mean (`Car`).
DECIDES = {
    *(
        name
        for rule in RULES
        if rule.key in ("soc_percent", "range_electric_km", "fuel_liters")
        for name in rule.reads
    ),
    "vehicle.cabin.infotainment.displayUnit.distance",
    "vehicle.cabin.infotainment.hmi.distanceUnit",
}
STATES = {case.name: case.state() for case in CARS}
BEFORE = {case.name: _snapshot(case, STATES[case.name], case.basic) for case in CARS}


def _check_descriptor(case: Case, name: str, member: str, value: Any, *, rest: bool) -> None:
    """A descriptor measured anew, with something odd in it, changes only what reads it."""
    entry: dict[str, Any] = {"value": "7", "unit": None, "timestamp": "2026-10-31T00:00:00Z", member: value}
    if value is DELETED:
        del entry[member]
    body = json.dumps({"telematicData" if rest else "data": {name: entry}}).encode()
    state = STATES[case.name]
    merged, _ = (state.merge_rest if rest else state.merge_stream)(body, NOW)
    after = _snapshot(case, merged, case.basic)
    check_storable(after, KIND)
    if name not in DECIDES:
        others = {key.partition(".")[0] for key in changed(BEFORE[case.name], after)}
        assert others <= OWNED.get(name, set())


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Case, str, str, Any]:
    case = draw(st.sampled_from(CARS))
    name = draw(st.sampled_from(sorted({*STATES[case.name].held, *OWNED})))
    return case, name, draw(st.sampled_from(["value", "unit", "timestamp"])), draw(values)


@settings(max_examples=PLAIN)
@given(mutations(), st.booleans())
def test_one_descriptor_changes_only_its_own_signals(mutation, rest) -> None:
    """And always leaves a snapshot: no value is worth all the others."""
    _check_descriptor(*mutation, rest=rest)


@pytest.mark.soak
@settings(max_examples=SOAK)
@given(mutations(), st.booleans())
def test_one_descriptor_changes_only_its_own_signals_at_length(mutation, rest) -> None:
    _check_descriptor(*mutation, rest=rest)


def _check_basic(rng: Any, rounds: int) -> None:
    for _ in range(rounds):
        case = rng.choice([case for case in CARS if case.basic is not None])
        basic, value = _basic(case), rng.choice(ODD)
        name = rng.choice([*basic, "puStep", "hvsMaxEnergyAbsolute", "driveTrain", "steering"])
        basic[name] = None if value is DELETED else value
        check_storable(_snapshot(case, STATES[case.name], json.dumps(basic).encode()), KIND)


def test_whatever_basic_data_says_there_is_a_snapshot(rng) -> None:
    _check_basic(rng, PLAIN // 4)


@pytest.mark.soak
def test_whatever_basic_data_says_there_is_a_snapshot_at_length(rng) -> None:
    _check_basic(rng, SOAK)


def _check_state(rng: Any, rounds: int) -> None:
    """A stored state with an odd member, as a damaged file or another release might leave it."""
    given_up = 0
    for _ in range(rounds):
        case = rng.choice(CARS)
        body = deepcopy(STATES[case.name].to_json())
        where = rng.choice(
            [body, *body["descriptors"].values(), *([body["position"]] if "position" in body else [])]
        )
        where[rng.choice(list(where))] = rng.choice(ODD[1:])
        bodies = {"state": json.dumps(body).encode()}
        try:
            check_storable(parse(Answer("case", KIND, case.vin, NOW, bodies)), KIND)
        except MalformedAnswer:
            given_up += 1
            assert where is body
    assert 0 < given_up < rounds / 4


def test_a_damaged_state_costs_only_what_is_damaged(rng) -> None:
    _check_state(rng, PLAIN)


@pytest.mark.soak
def test_a_damaged_state_costs_only_what_is_damaged_at_length(rng) -> None:
    _check_state(rng, SOAK)


def _check_mangled(rng: Any, rounds: int) -> None:
    given_up = 0
    for _ in range(rounds):
        case = rng.choice(CARS)
        sent = rng.choice(case.sent)
        state = STATES[case.name]
        merge = state.merge_stream if sent.via == "stream" else state.merge_rest
        basic = None if case.basic is None else mangled(case.basic, rng, renamed=RENAMED)
        try:
            state, _ = merge(mangled(sent.body, rng, renamed=RENAMED), NOW)
        except MalformedAnswer:
            given_up += 1
        check_storable(_snapshot(case, state, basic), KIND)
    assert 0 < given_up < rounds


def test_nothing_but_malformed_answer_comes_out_of_a_mangled_message(rng) -> None:
    _check_mangled(rng, PLAIN)


@pytest.mark.soak
def test_nothing_but_malformed_answer_comes_out_of_a_mangled_message_at_length(rng) -> None:
    _check_mangled(rng, SOAK)


def test_the_law_can_fail() -> None:
    """A descriptor that no rule reads owns nothing; one that is read, owns what reads it."""
    assert OWNED.get("vehicle.serviceDemand.defect.id") is None
    assert OWNED["vehicle.cabin.door.lock.status"] == {"locked", "lock_state"}
    assert OWNED["vehicle.cabin.door.row1.driver.isOpen"] == {"door_open"}
    case = CARS[0]
    assert changed(BEFORE[case.name], _snapshot(case, CarState(case.vin), case.basic))
