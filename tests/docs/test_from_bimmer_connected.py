"""Every name of ours that the page gives for one of the library's is there."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields
from typing import Any

import pytest

from poller.library import model, words
from poller.library.vehicle import Capabilities, Vehicle
from poller.vehicle.signals import BY_KEY

_ROW = re.compile(r"^\| `([\w.]+)` \| `(poller\.[\w.]+)` \|(?: (.*) \|)?$", re.MULTILINE)
_NAME = re.compile(r"`([a-z_]+)`")
#: Members of a record's envelope, which the page names beside signals.
_ENVELOPE = {"vin", "received_at", "observed_at"}


@pytest.fixture
def rows(pages) -> list[tuple[str, str, str]]:
    return _ROW.findall(pages["docs/from-bimmer-connected.md"].text)


def resolve(name: str) -> Any:
    module, _, rest = name.partition(".")
    found: Any = importlib.import_module(module)
    for part in rest.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            if part in getattr(found, "__dataclass_fields__", {}):
                return None
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


def test_every_name_of_ours_resolves(rows) -> None:
    assert len(rows) > 100
    for _, ours, _ in rows:
        resolve(ours)


def test_every_signal_is_one(rows) -> None:
    named = {name for _, _, signals in rows for name in _NAME.findall(signals)}
    assert named - BY_KEY.keys() <= _ENVELOPE


def test_every_public_attribute_of_the_model_is_on_the_page(rows) -> None:
    """Whatever is added to the model has its row."""
    told = {ours for _, ours, _ in rows}
    for kind in (Vehicle, Capabilities, *_classes(model)):
        place = f"{kind.__module__}.{kind.__name__}"
        names = [one.name for one in fields(kind)] if hasattr(kind, "__dataclass_fields__") else []
        names += [name for name, member in vars(kind).items() if isinstance(member, property)]
        hidden = {"capabilities", "timer_dict", "window_dict"}
        assert [name for name in names if f"{place}.{name}" not in told and name not in hidden] == []
    assert {f"{kind.__module__}.{kind.__name__}" for kind in _classes(words)} <= told
    values = {
        f"{kind.__module__}.{kind.__name__}.{one.name}"
        for kind in words.Word.__subclasses__()
        for one in kind
    }
    assert values <= told


def _classes(module: Any) -> list[type]:
    return [
        one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__
    ]
