"""What we write is TOML, and says the same when it is read."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from poller.settings.writing import document, toml

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(_TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.lists(_TEXT))
def test_a_value_comes_back(value) -> None:
    assert tomllib.loads(f"x = {toml(value)}") == {"x": value}


def test_a_document_comes_back() -> None:
    tree = {
        "data_dir": "d",
        "sources": {"my-car": {"x": 1, "type": "mybmw"}, "b": {"type": "t"}},
        "empty": {},
    }
    text = document(tree)
    assert tomllib.loads(text) == {key: value for key, value in tree.items() if value}
    assert text.index("type") < text.index("x = 1")


def test_none_is_the_empty_text_that_stands_for_it() -> None:
    assert toml(None) == '""'
