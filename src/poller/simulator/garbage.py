"""Answers that are JSON and still wrong: values of other types than anybody expects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

#: So many of a hundred values change their type, and so many lists and objects as a whole.
_VALUES, _WHOLES = 25, 4

_Path = tuple[str | int, ...]


def wrong_types(body: bytes, seed: int) -> bytes:
    """`body` with some values replaced by others of another type; at least one, if it holds any.

    The same `seed` spoils the same places in the same way. What is not JSON stays as it is.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    draws = {path: _draw(seed, path, value) for path, value in _places(answer)}
    limit = max(1.0, min(draws.values(), default=0.0))
    spoiled = _spoil(answer, (), {path for path, draw in draws.items() if draw <= limit}, seed)
    return json.dumps(spoiled, ensure_ascii=False, separators=(",", ":")).encode()


def _places(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Every value below the whole, with the way to it."""
    for key, inner in _items(value):
        yield (*path, key), inner
        yield from _places(inner, (*path, key))


def _items(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _draw(seed: int, path: _Path, value: Any) -> float:
    """At most 1 for a value that is to be spoiled."""
    share = _WHOLES if isinstance(value, dict | list) else _VALUES
    return _chance(seed, "draw", path) * 100 / share


def _spoil(value: Any, path: _Path, chosen: set[_Path], seed: int) -> Any:
    if path in chosen:
        return _another(value, _chance(seed, "type", path))
    if isinstance(value, dict):
        return {key: _spoil(inner, (*path, key), chosen, seed) for key, inner in value.items()}
    if isinstance(value, list):
        return [_spoil(inner, (*path, index), chosen, seed) for index, inner in enumerate(value)]
    return value


def _another(value: Any, chance: float) -> Any:
    """Something of another JSON type that holds the value, or hides it."""
    texts: list[Any] = [] if isinstance(value, str) else [json.dumps(value), "unexpected"]
    numbers: list[Any] = [] if isinstance(value, int | float) and not isinstance(value, bool) else [-1, 1e300]
    others: list[Any] = [None, True, [value], {"value": value}]
    fitting = texts + numbers + [other for other in others if type(other) is not type(value)]
    return fitting[int(chance * len(fitting))]


def _chance(seed: int, what: str, path: _Path) -> float:
    """Between 0 and below 1, the same for the same arguments."""
    digest = hashlib.blake2b(repr((seed, what, path)).encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
