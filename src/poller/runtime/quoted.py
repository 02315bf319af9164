"""Another program's words, fit to stand in a line of ours: an error, a log, a report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from poller.runtime.redact import MASK, redact

_LONGEST: Final = 200
#: Others name these by themselves, we never do: a coordinate, an account's or an event's number.
_PERSONAL: Final = re.compile(r"-?\d{1,3}\.\d{3,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def quoted(words: str, hidden: Iterable[str] = ()) -> str:
    """`words` on one line of 200 characters at most, without `hidden` and what is secret or personal."""
    for text in sorted(filter(None, hidden), key=len, reverse=True):
        words = words.replace(text, MASK)
    # Who says much pays no attention to whom it keeps waiting.
    words = words[: 10 * _LONGEST]
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
    return _PERSONAL.sub(MASK, redact(line))[:_LONGEST]
