"""Another program's words in a line of ours."""

from __future__ import annotations

import pytest

from poller.runtime.quoted import quoted


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("Door open.", "Door open."),
        ("  bad\n\tvalue\u202e \x00", "bad value"),
        ("at 48.123, you at -11.5 km", "at …, you at -11.5 km"),
        ("of 8D6C2B1A-0000-4000-8000-000000000001.", "of …."),
        ("WMW00000000000001 of owner@example.com", "…0000001 of …"),
        ("Bearer abcdefgh, token=abc", "Bearer …, token=…"),
        ("x" * 999, "x" * 200),
        ("", ""),
    ],
)
def test_it_is_one_line_without_what_is_secret_or_personal(words, line) -> None:
    assert quoted(words) == line


def test_what_is_hidden_goes_the_longest_first() -> None:
    """A part that is hidden too must not leave the rest of the whole behind."""
    assert quoted("no 4711-secret for 4711", ["4711", "", "4711-secret"]) == "no … for …"


def test_what_is_hidden_is_hidden_at_the_edge_too() -> None:
    assert "sec" not in quoted("x" * 198 + "secret", ["secret"])
