"""Settings as TOML: for `poller init`, and for `poller check --show` with everything private masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from poller.runtime.redact import MASK, redact_value
from poller.settings.problems import Place, dotted
from poller.settings.tree import Settings

_VIN = re.compile(r"[A-Z0-9]{10}([A-Z0-9]{7})")


def toml(value: object) -> str:
    """`value` (text, number, list of these) as TOML; None as the empty text that stands for it."""
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    # TOML's quoted text is JSON's, but for the one control character that JSON lets through.
    return json.dumps("" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def document(tree: Mapping[str, Any]) -> str:
    """A tree of tables and values as a TOML document."""
    return "\n".join(_lines(tree, ())).strip() + "\n"


def _lines(table: Mapping[str, Any], place: Place) -> Iterator[str]:
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if place and values:
        yield f"\n[{dotted(place)}]"
    for key in sorted(values, key=lambda key: key != "type"):
        yield f"{key} = {toml(values[key])}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*place, key))


def masked(settings: Settings) -> dict[str, Any]:
    """Every setting as it would be written, without secrets, addresses of mail, and whole VINs."""
    tree: dict[str, Any] = _mask("", settings.model_dump(mode="json"))
    return tree


def _mask(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mask(name, child) for name, child in value.items()}
    if key == "command":
        return [*value[:1], *(MASK for _ in value[1:])]  # arguments may hold a password
    if isinstance(value, list):
        return [_mask(key, item) for item in value]
    if key in ("vin", "vins") and (match := _VIN.fullmatch(value)):
        return MASK + match[1]
    return redact_value(key, value) if value else value
