"""The arguments of an order, read with care: whoever misspells one must not send half an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poller.errors import ArgumentRefused
from poller.sources.mybmw.meaning.values import number


class Arguments:
    """What came with an order. All methods raise ArgumentRefused, whose text holds no value."""

    def __init__(self, given: Mapping[str, Any], *known: str) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        unknown = sorted(self._given.keys() - set(known))
        if unknown:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ArgumentRefused(f"unknown argument: {', '.join(unknown)}", hint=takes)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def any_of(self, *names: str) -> None:
        """At least one of these must be there."""
        if not self._given.keys() & set(names):
            raise ArgumentRefused(f"nothing to do: give at least one of {', '.join(names)}")

    def whole(self, name: str) -> int | None:
        """A whole number, or None."""
        value = self._given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ArgumentRefused(f"{name} is no whole number")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false, not a word for it; or None."""
        value = self._given.get(name)
        if value is not None and not isinstance(value, bool):
            raise ArgumentRefused(f"{name} is neither true nor false")
        return value

    def text(self, name: str) -> str | None:
        """A text with something in it, or None."""
        value = self._given.get(name)
        if value is not None and not isinstance(value, str):
            raise ArgumentRefused(f"{name} is no text")
        return (value.strip() or None) if value else None

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object; an empty one if it is not there."""
        value = self._given.get(name, {})
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ArgumentRefused(f"{name} is no object")
        return value

    def position(
        self, latitude: str = "latitude", longitude: str = "longitude"
    ) -> tuple[float, float] | None:
        """Degrees by the names of these two arguments: both, or None if neither is there."""
        if latitude not in self and longitude not in self:
            return None
        return self._degrees(latitude, 90), self._degrees(longitude, 180)

    def _degrees(self, name: str, limit: int) -> float:
        value = number(self._given.get(name))
        if value is None or abs(value) > limit:
            raise ArgumentRefused(f"{name} is no number of degrees from -{limit} to {limit}")
        return float(value)
