"""What a source can say of itself beside its polls: findings, descriptors, which way each value came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

Level = Literal["ok", "warn", "bad"]
#: How a descriptor came: by which way last, without a value, or not at all.
Arrival = Literal["stream", "rest", "empty", "no"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` names the step that mends it."""

    level: Level
    subject: str
    text: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, what they cost of a metered account, and whether a human must log in."""

    findings: Sequence[Finding]
    calls: int = 0
    login_required: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """One descriptor that a feature needs. `arrivals`: short VIN → how it came.

    `tickable`: the owner can choose it in the maker's portal; the others come by REST only. `polled`:
    REST asks for it.
    """

    feature: str
    name: str
    tickable: bool
    polled: bool
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)


@runtime_checkable
class Examined(Protocol):
    """A source that can be examined."""

    async def examine(self) -> Examination:
        """Look at everything between the owner and his data; costs two metered calls at most."""
        ...

    def origins(self, vin: str) -> Mapping[str, str]:
        """Record key → the way by which its newest value came, as far as known (stream, rest)."""
        ...

    def wanted(self) -> Sequence[Wanted]:
        """The descriptors that features need, by feature, and which have arrived; asks nobody."""
        ...
