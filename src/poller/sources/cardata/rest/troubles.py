"""Why calls failed, until they succeed: in the memory too, for after a restart nobody asks again at once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from poller.errors import (
    JournalError,
    LoginRequired,
    MalformedAnswer,
    RateLimited,
    SourceError,
    SourceUnavailable,
)
from poller.runtime.status import Failure
from poller.sources.base import Memory
from poller.sources.cardata.rest.refusals import (
    CarDataLimited,
    CarDataLoginRequired,
    CarDataUnavailable,
    Coded,
)
from poller.vehicle.records import parse_time, rfc3339

#: Endpoint and VIN; the account's own is ("", "").
Place = tuple[str, str]

#: The first that an error is, is what it becomes again.
_KINDS: Final[Mapping[str, type[SourceError]]] = {
    "coded_login": CarDataLoginRequired,
    "coded_limit": CarDataLimited,
    "coded": CarDataUnavailable,
    "login": LoginRequired,
    "limit": RateLimited,
    "malformed": MalformedAnswer,
    "unavailable": SourceUnavailable,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call failed: `since` when, `at` the last time, with which login."""

    error: SourceError
    since: datetime
    at: datetime
    login: str

    @property
    def failure(self) -> Failure:
        """As a status has it."""
        return Failure(self.since, self.error.reason, self.error.message, self.error.hint)


class Troubles:
    """The last failure of each place that has not succeeded since."""

    def __init__(self, memory: Memory, account: str) -> None:
        self._memory = memory
        self._key = f"troubles:{account}"
        self._found: dict[Place, Trouble] = {}

    async def open(self) -> None:
        """Read what is kept; what is damaged is not known."""
        kept = await self._memory.recall(self._key) or {}
        self._found = {}
        rows = kept.get("troubles")
        for row in rows if isinstance(rows, list) else ():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self._found[str(row["what"]), str(row["vin"])] = _trouble_of(row)

    def get(self, place: Place) -> Trouble | None:
        """What is the matter there."""
        return self._found.get(place)

    async def put(self, place: Place, trouble: Trouble) -> None:
        """In place of what was the matter."""
        self._found[place] = trouble
        await self._save()

    async def end(self, *places: Place) -> list[Place]:
        """Nothing is the matter there any more; gives those where something was."""
        ended = [place for place in places if self._found.pop(place, None) is not None]
        if ended:
            await self._save()
        return ended

    async def _save(self) -> None:
        rows = [{"what": what, "vin": vin, **_to_json(one)} for (what, vin), one in self._found.items()]
        with contextlib.suppress(JournalError):
            await self._memory.remember(self._key, {"troubles": rows})


def _to_json(trouble: Trouble) -> dict[str, Any]:
    error = trouble.error
    return {
        "kind": next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "unavailable"),
        "reason": error.reason,
        "message": error.message,
        "hint": error.hint,
        "code": error.code if isinstance(error, Coded) else "",
        "until": rfc3339(error.until) if isinstance(error, RateLimited) else None,
        "since": rfc3339(trouble.since),
        "at": rfc3339(trouble.at),
        "login": trouble.login,
    }


def _trouble_of(row: Mapping[str, Any]) -> Trouble:
    """What `_to_json` made. Raises KeyError, TypeError, ValueError."""
    kind = _KINDS[row["kind"]]
    words: dict[str, Any] = {"hint": row["hint"], "reason": str(row["reason"])}
    message = str(row["message"])
    if issubclass(kind, RateLimited):
        error: SourceError = kind(parse_time(row["until"]), message, **words)
    else:
        error = kind(message, **words)
    if isinstance(error, Coded):
        error.code = str(row["code"])
    return Trouble(error, parse_time(row["since"]), parse_time(row["at"]), str(row["login"]))
