"""The REST API of BMW CarData: one coroutine per endpoint, each call entered in the ledger first."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from poller.errors import SourceError
from poller.runtime.clock import Clock, Until
from poller.runtime.retry_after import retry_after
from poller.sources.cardata.rest.ledger import Ledger
from poller.sources.cardata.rest.refusals import (
    CONTAINER_DELETED,
    PAGING_EXPIRED,
    QUOTA,
    CarDataUnavailable,
    code_of,
    needs_token,
    refusal,
)
from poller.sources.http import Call, HttpClient, Limits, NotSent, Reply
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import rfc3339

#: Gives an access token; ``force``: another one than before, which BMW has refused.
TokenGiver = Callable[[bool], Awaitable[str]]

_VIN: Final = re.compile(r"[A-Za-z0-9]{17}")
_LONGEST_TYPE: Final = 20
#: A new token that BMW refused as well: it refuses us, not the token.
_AFTER_DENIAL: Final = timedelta(hours=3)
#: More pages than a sane answer has; each costs a call, and two cars' must not take them all.
_MOST_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class Pages:
    """A paged answer: the bodies as received. `cut`: why the last pages are missing, None if none is."""

    bodies: Sequence[bytes]
    cut: SourceError | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """One request, and how the ledger shall call it."""

    method: str
    path: str
    purpose: str
    routine: bool
    vin: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    accept: str = "application/json"


class CarDataClient:
    """Asks one account's CarData; bodies come back exactly as received. Nothing is tried twice in secret.

    Every call costs one of the day's, but one that reached nobody; a token that BMW does not take is
    replaced once, which costs another call, and not again for some hours where that was in vain. Each
    raises RateLimited before anything is sent when the ledger has nothing left for it, JournalError if
    the ledger cannot be written, SourceUnavailable if BMW did not answer, and one of `refusals` if it
    refused. `routine` calls leave the reserve alone; `purpose` is what the ledger notes, the endpoint's
    name unless told.
    """

    def __init__(
        self,
        name: str,
        *,
        api_url: str,
        token: TokenGiver,
        ledger: Ledger,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self._login_hint = f"run `poller login {name}`"
        self._host = api_url.rstrip("/")
        self._token = token
        self._ledger = ledger
        self._clock = clock
        self._denied: Until | None = None
        self._http = HttpClient("BMW CarData", limits or Limits())

    async def open(self) -> None:
        """Make the HTTP client; connects to nobody. Does nothing if open."""
        await self._http.open()

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        await self._http.close()

    async def mappings(self, *, purpose: str = "mappings", routine: bool = False) -> bytes:
        """Which vehicles the account has; `mappings_in` reads it."""
        return await self._json(_Request("GET", "/customers/vehicles/mappings", purpose, routine))

    async def basic_data(self, vin: str, *, purpose: str = "basicData", routine: bool = False) -> bytes:
        """What the vehicle is."""
        return await self._json(_of(vin, "basicData", purpose, routine=routine))

    async def telematic_data(
        self, vin: str, container: str, *, purpose: str = "telematicData", routine: bool = False
    ) -> bytes:
        """The last values that BMW's server has of the container's descriptors."""
        params = {"containerId": container}
        return await self._json(_of(vin, "telematicData", purpose, routine=routine, params=params))

    async def tyre_diagnosis(
        self, vin: str, *, purpose: str = "tyreDiagnosis", routine: bool = False
    ) -> bytes:
        """Wear and season of the tyres."""
        return await self._json(_of(vin, "smartMaintenanceTyreDiagnosis", purpose, routine=routine))

    async def image(self, vin: str, *, purpose: str = "image", routine: bool = False) -> bytes:
        """A picture, PNG as a rule. CU-126 if there is none."""
        request = _of(vin, "image", purpose, routine=routine)
        reply = await self._ask(replace(request, accept="*/*"))
        if not reply.headers.get("content-type", "").startswith("image/"):
            raise CarDataUnavailable("BMW's image is none", reason="malformed")
        return reply.body

    async def charging_history(
        self,
        vin: str,
        start: datetime,
        end: datetime,
        *,
        purpose: str = "chargingHistory",
        routine: bool = False,
    ) -> Pages:
        """The charging sessions from `start` to `end`; each page costs a call."""
        params = {"from": rfc3339(start), "to": rfc3339(end)}
        return await self._pages(_of(vin, "chargingHistory", purpose, routine=routine, params=params))

    async def charging_settings(
        self, vin: str, *, purpose: str = "chargingSettings", routine: bool = False
    ) -> Pages:
        """The location-based charging settings (they hold the home's position). CU-127 if there are none."""
        return await self._pages(_of(vin, "locationBasedChargingSettings", purpose, routine=routine))

    async def containers(self, *, purpose: str = "containers", routine: bool = False) -> bytes:
        """All containers, the deleted ones that linger included; without their descriptors."""
        return await self._json(_Request("GET", "/customers/containers", purpose, routine))

    async def container(self, container: str, *, purpose: str = "container", routine: bool = False) -> bytes:
        """One container, with its descriptors."""
        return await self._json(_Request("GET", _container(container), purpose, routine))

    async def create_container(
        self,
        name: str,
        intent: str,
        descriptors: Sequence[str],
        *,
        purpose: str = "createContainer",
        routine: bool = False,
    ) -> bytes:
        """Make a container; `intent` is what BMW calls its purpose."""
        body = {"name": name, "purpose": intent, "technicalDescriptors": list(descriptors)}
        return await self._json(_Request("POST", "/customers/containers", purpose, routine, json=body))

    async def delete_container(
        self, container: str, *, purpose: str = "deleteContainer", routine: bool = False
    ) -> None:
        """Delete a container; one that is deleted already is a success (208, CU-122)."""
        await self._ask(_Request("DELETE", _container(container), purpose, routine))

    async def _json(self, request: _Request) -> bytes:
        reply = await self._ask(request)
        try:
            json.loads(reply.body)
        except (ValueError, RecursionError):
            raise CarDataUnavailable("BMW's answer is no JSON", reason="malformed") from None
        return reply.body

    async def _pages(self, request: _Request) -> Pages:
        """All pages; what was paid for is kept when the rest cannot be had."""
        pages = await self._pages_in_a_row(request)
        if isinstance(pages.cut, CarDataUnavailable) and pages.cut.code == PAGING_EXPIRED:
            # BMW forgot where in the list we were: once more from the first page.
            with contextlib.suppress(SourceError):
                pages = await self._pages_in_a_row(request)
        return pages

    async def _pages_in_a_row(self, request: _Request) -> Pages:
        bodies: list[bytes] = []
        seen: set[str] = set()
        while len(bodies) < _MOST_PAGES:
            try:
                body = await self._json(request)
            except SourceError as error:
                if not bodies:
                    raise
                return Pages(tuple(bodies), error)
            bodies.append(body)
            token = next_token_in(body)
            if token is None:
                return Pages(tuple(bodies))
            if token in seen:
                break
            seen.add(token)
            request = replace(request, params={**request.params, "nextToken": token})
        return Pages(tuple(bodies), CarDataUnavailable("BMW's list does not end", reason="malformed"))

    async def _ask(self, request: _Request) -> Reply:
        reply = await self._pay_and_send(request, await self._token(False))
        if needs_token(reply.status, reply.body) and (
            self._denied is None or self._denied.reached(self._clock)
        ):
            reply = await self._pay_and_send(request, await self._token(True))
            in_vain = needs_token(reply.status, reply.body)
            self._denied = Until.told(self._clock.now() + _AFTER_DENIAL, self._clock) if in_vain else None
        code = code_of(reply.body)
        if 200 <= reply.status < 300 and code in ("", CONTAINER_DELETED):
            return reply
        wait = retry_after(reply.headers.get("retry-after"), self._clock.now())
        now = await self._ledger.refused(wait) if code == QUOTA else self._clock.now()
        raise refusal(reply.status, reply.body, now, login_hint=self._login_hint, wait=wait)

    async def _pay_and_send(self, request: _Request, token: str) -> Reply:
        vehicle = short_vin(request.vin) if request.vin else ""
        paid = await self._ledger.spend(request.purpose, routine=request.routine, vehicle=vehicle)
        headers = {"authorization": f"Bearer {token}", "x-version": "v1", "accept": request.accept}
        url = self._host + request.path
        try:
            reply = await self._http.send(
                Call(request.method, url, headers, request.params, json=request.json)
            )
        except NotSent:
            await self._ledger.give_back(paid)
            raise
        if reply.status < 500 and code_of(reply.body) != QUOTA:
            await self._ledger.answered()
        return reply


def mappings_in(body: bytes) -> dict[str, str]:
    """VIN → mapping type, both in capitals: an array, a bare object or a wrapper was seen.

    Raises CarDataUnavailable if it is none of these.
    """
    raw = json.loads(body)
    if isinstance(raw, dict) and "vin" not in raw:
        raw = next((value for value in raw.values() if isinstance(value, list)), None)
    entries = [raw] if isinstance(raw, dict) else raw
    if not isinstance(entries, list):
        raise CarDataUnavailable("BMW's list of vehicles was not understood", reason="malformed")
    return {
        entry["vin"].strip().upper(): str(entry.get("mappingType") or "").upper()[:_LONGEST_TYPE]
        for entry in entries
        if isinstance(entry, dict)
        and isinstance(entry.get("vin"), str)
        and _VIN.fullmatch(entry["vin"].strip())
    }


def next_token_in(body: bytes) -> str | None:
    """Where the list goes on: ``next_token`` in one endpoint's answers, ``nextToken`` in another's."""
    raw = json.loads(body)
    if not isinstance(raw, dict):
        return None
    token = raw.get("next_token") or raw.get("nextToken")
    return token if isinstance(token, str) and token else None


def _of(
    vin: str, what: str, purpose: str, *, routine: bool, params: Mapping[str, str] | None = None
) -> _Request:
    path = f"/customers/vehicles/{quote(vin, safe='')}/{what}"
    return _Request("GET", path, purpose, routine, vin=vin, params=params or {})


def _container(container: str) -> str:
    return f"/customers/containers/{quote(container, safe='')}"
