"""Answers with wrong types: still JSON, wrong somewhere, and every time in the same way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.simulator.garbage import wrong_types

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()
ANSWERS = st.dictionaries(
    st.text(min_size=1),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20),
    min_size=1,
)


@settings(max_examples=30)
@given(ANSWERS, st.integers(0, 100))
def test_something_is_always_wrong_and_always_the_same(answer, seed) -> None:
    body = json.dumps(answer).encode()
    spoiled = wrong_types(body, seed)
    assert json.dumps(json.loads(spoiled)) != json.dumps(answer)
    assert wrong_types(body, seed) == spoiled


@given(st.dictionaries(st.text(min_size=1), SCALARS), st.integers(0, 100))
def test_a_value_that_changes_changes_its_type(answer, seed) -> None:
    spoiled = json.loads(wrong_types(json.dumps(answer).encode(), seed))
    assert list(spoiled) == list(answer)
    changed = [key for key in answer if spoiled[key] != answer[key]]
    assert [key for key in changed if _type(spoiled[key]) == _type(answer[key])] == []


def _type(value):
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def test_most_of_an_answer_stays_and_seeds_differ() -> None:
    answer = {f"value{number}": number for number in range(1000)}
    body = json.dumps(answer).encode()
    first, second = (json.loads(wrong_types(body, seed)) for seed in (1, 2))
    changed = [{key for key in answer if spoiled[key] != answer[key]} for spoiled in (first, second)]
    assert all(150 < len(keys) < 350 for keys in changed)
    assert changed[0] != changed[1]


@pytest.mark.parametrize("body", [b"", b"\x89PNG", b"<html>", b"{}", b"[]"])
def test_what_holds_no_value_stays_as_it_is(body) -> None:
    assert wrong_types(body, 1) == body
