"""The containers of accounts: ten at most, the deleted ones linger and count."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from poller.vehicle.records import rfc3339

MOST: Final = 10
_LINGERS: Final = timedelta(days=29)
_ID: Final = re.compile(r"[A-Z0-9]{13}")


@dataclass(slots=True)
class Kept:
    """One container. `deleted_at`: None while it is ACTIVE."""

    id: str
    name: str
    purpose: str
    descriptors: Sequence[str]
    created_at: datetime
    deleted_at: datetime | None = None

    def listed(self) -> dict[str, Any]:
        """As the list has it: without descriptors."""
        return {
            "containerId": self.id,
            "name": self.name,
            "purpose": self.purpose,
            "state": "ACTIVE" if self.deleted_at is None else "DELETED",
            "created": rfc3339(self.created_at),
        }

    def detailed(self) -> dict[str, Any]:
        """As one container is shown."""
        return {**self.listed(), "technicalDescriptors": list(self.descriptors)}


class Shelf:
    """One account's containers. `longest`: descriptors in one of them; `known`: keys, None: any."""

    def __init__(self, *, longest: int = 200, known: Sequence[str] | None = None) -> None:
        self.longest = longest
        self.known = None if known is None else frozenset(known)
        self.kept: dict[str, Kept] = {}
        self._made = 0

    def add(self, body: Any, now: datetime) -> Kept | str:
        """Make a container of a request's body, or the code of the error."""
        if not isinstance(body, Mapping) or not all(body.get(name) for name in ("name", "purpose")):
            return "CU-400"
        descriptors = body.get("technicalDescriptors")
        if not isinstance(descriptors, list) or not descriptors:
            return "CU-400"
        if len(descriptors) > self.longest:
            return "CU-403"
        if self.known is not None and not self.known.issuperset(descriptors):
            return "CU-402"
        self._purge(now)
        if len(self.kept) >= MOST:
            return "CU-124"
        self._made += 1
        made = Kept(f"S{self._made:012}", body["name"], body["purpose"], tuple(descriptors), now)
        self.kept[made.id] = made
        return made

    def find(self, container: str) -> Kept | str:
        """An active container, or the code of the error."""
        if not _ID.fullmatch(container):
            return "CU-121"
        kept = self.kept.get(container)
        return "CU-105" if kept is None or kept.deleted_at is not None else kept

    def delete(self, container: str, now: datetime) -> str:
        """Delete it: "" or the code of what there is to say."""
        kept = self.kept.get(container)
        if kept is None:
            return "CU-105" if _ID.fullmatch(container) else "CU-121"
        if kept.deleted_at is not None:
            return "CU-122"
        kept.deleted_at = now
        return ""

    def listed(self, now: datetime) -> dict[str, Any]:
        """The list, those that linger included."""
        self._purge(now)
        return {"containers": [kept.listed() for kept in self.kept.values()]}

    def _purge(self, now: datetime) -> None:
        self.kept = {
            name: kept
            for name, kept in self.kept.items()
            if kept.deleted_at is None or now - kept.deleted_at < _LINGERS
        }
