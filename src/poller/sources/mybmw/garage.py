"""Which vehicles an account has and what they are: asked once a day, kept over restarts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from poller.errors import JournalError, LoginRequired, RateLimited, SourceError, SourceUnavailable
from poller.runtime import log
from poller.runtime.clock import Clock, Until
from poller.sources.base import Memory
from poller.sources.mybmw.client import MyBmwClient
from poller.sources.mybmw.regions import BRANDS
from poller.vehicle.privacy import short_vin
from poller.vehicle.records import parse_time, rfc3339

_KEEP: Final = timedelta(days=1)
#: After a list or a profile could not be had: the state is what counts, and calls are few.
_PAUSE: Final = timedelta(minutes=15)
_VIN: Final = re.compile(r"[A-Za-z0-9]{1,32}")


class Garage:
    """Caches lists and profiles in the source's memory.

    One brand's list or one vehicle's profile may fail; then the last good one serves.
    """

    def __init__(self, name: str, account: str, *, client: MyBmwClient, memory: Memory, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._memory = memory
        self._clock = clock
        self._cache: dict[str, dict[str, Any]] = {}
        self._not_before: dict[str, Until] = {}
        self._limited: RateLimited | None = None
        self._limit_ends: Until | None = None
        self._logger = log.get("source", source=name)

    @property
    def told_to_wait(self) -> RateLimited | None:
        """The last rate limit that was met and did not stop a poll, while it lasts."""
        met, ends = self._limited, self._limit_ends
        if met is None or ends is None or ends.reached(self._clock):
            return None
        return type(met)(ends.at(self._clock), met.message, hint=met.hint, reason=met.reason)

    def limit(self, error: RateLimited) -> None:
        """Note a rate limit."""
        self._limited, self._limit_ends = error, Until.told(error.until, self._clock)

    async def vehicles(self) -> Mapping[str, str]:
        """VIN → brand, of all brands. Raises SourceError if nothing is known and nobody can be asked."""
        failed: dict[str, SourceError] = {}
        empty = not await self._known()
        for brand in BRANDS:
            key = self._list_key(brand)
            if not (empty or await self._is_due(key)):
                continue
            try:
                vins = vins_in(await self._client.vehicle_list(brand))
            except (SourceUnavailable, LoginRequired) as error:
                failed[brand] = error
                continue
            await self._remember(key, {"vins": vins})
        known = await self._known()
        if failed and not known:
            raise next(iter(failed.values()))
        for brand, failure in failed.items():
            self._postpone(self._list_key(brand), failure, "vehicles.unavailable", brand=brand)
        return known

    async def profile(self, vin: str, brand: str) -> bytes | None:
        """The vehicle's profile as received, or the last good one; None if there never was one."""
        key = f"profile:{self._account}:{vin}"
        held = await self._recall(key)
        if await self._is_due(key):
            try:
                body = await self._client.profile(vin, brand)
                if not is_object(body):
                    raise SourceUnavailable("the profile is no JSON object")
            except SourceError as error:
                self._postpone(key, error, "profile.unavailable", vehicle=short_vin(vin))
            else:
                held = await self._remember(key, {"body": base64.b64encode(body).decode()})
        return base64.b64decode(held["body"]) if held else None

    async def brand(self, vin: str) -> str:
        """The brand of a vehicle that was listed; bmw for one that was not."""
        return (await self._known()).get(vin, BRANDS[0])

    async def _known(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for brand in BRANDS:
            held = await self._recall(self._list_key(brand))
            for vin in held.get("vins", ()) if held else ():
                known.setdefault(vin, brand)
        return known

    def _list_key(self, brand: str) -> str:
        return f"vehicles:{self._account}:{brand}"

    async def _is_due(self, key: str) -> bool:
        """Whether what is kept under `key` is too old, or not there, and may be asked for."""
        held, postponed = await self._recall(key), self._not_before.get(key)
        # A clock that was ahead once must not keep a list for years.
        if held is not None and -_KEEP < self._clock.now() - parse_time(held["at"]) < _KEEP:
            return False
        return postponed is None or postponed.reached(self._clock)

    def _postpone(self, key: str, error: SourceError, event: str, **whose: str) -> None:
        if isinstance(error, RateLimited):
            self.limit(error)
        # A missing login is told once, by whoever asks for the account.
        if key not in self._not_before and not isinstance(error, LoginRequired):
            self._logger.warning(event, **whose, reason=error.reason, error=error.message)
        self._not_before[key] = Until.told(self._clock.now() + _PAUSE, self._clock)

    async def _recall(self, key: str) -> dict[str, Any] | None:
        if key not in self._cache:
            held = await self._memory.recall(key)
            if held is None or not _sound(held):
                return None
            self._cache[key] = held
        return self._cache[key]

    async def _remember(self, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
        self._not_before.pop(key, None)
        self._cache[key] = {**value, "at": rfc3339(self._clock.now())}
        try:
            await self._memory.remember(key, self._cache[key])
        except JournalError as error:
            # It costs requests after the next restart, nothing else.
            self._logger.debug("cache.unsaved", error=error.message)
        return self._cache[key]


def _sound(held: Mapping[str, Any]) -> bool:
    """Whether it is what was stored: what was damaged on disk is asked for again."""
    try:
        parse_time(held["at"])
        if "body" in held:
            base64.b64decode(held["body"], validate=True)
            return True
        return all(isinstance(vin, str) for vin in held["vins"])
    except (KeyError, ValueError, TypeError):
        return False


def vins_in(body: bytes) -> list[str]:
    """The VINs of a vehicle list, as spelt there. Raises SourceUnavailable if it is no list.

    They go to terminals and into headers: what is not letters and digits is none.
    """
    try:
        infos = json.loads(body)["mappingInfos"]
        vins = [info.get("vin") for info in infos if isinstance(info, dict)]
        return [vin for vin in vins if isinstance(vin, str) and _VIN.fullmatch(vin)]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise SourceUnavailable("the vehicle list was not understood", reason="malformed") from None


def is_object(body: bytes) -> bool:
    """Whether a body is a JSON object."""
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def chosen(vehicles: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    """The VINs that the settings ask for, in any case; all if they name none."""
    names = {vin.upper() for vin in wanted}
    return [vin for vin in vehicles if not names or vin.upper() in names]
