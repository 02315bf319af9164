"""Street addresses to coordinates, by any service that answers as Nominatim does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from poller import __version__
from poller.errors import CommandRefused, SourceUnavailable
from poller.sources.http import Call, HttpClient, Limits, Reply
from poller.sources.mybmw.remote.poi import Address, Place
from poller.sources.texts import clean

_LIMITS: Final = Limits(timeout=10.0, largest_body=2**20)
#: The public service turns away who does not say what it is.
_HEADERS: Final = {"user-agent": f"bmw-poller/{__version__}", "accept": "application/json"}
_HINT: Final = "give latitude and longitude instead, or set `geocoder` of the source to another service"
#: What Nominatim calls a place where people live, largest first.
_CITIES: Final = ("city", "town", "village", "municipality", "hamlet")


class Geocoder:
    """Asks one service, once per address; `base_url` None: nobody."""

    def __init__(self, base_url: str | None, limits: Limits = _LIMITS) -> None:
        self._base_url = base_url
        self._limits = limits

    async def find(self, address: str) -> Place:
        """Where it is. Raises CommandRefused, whose text holds nothing of the address."""
        if self._base_url is None:
            raise CommandRefused("addresses are not looked up: `geocoder` is empty", hint=_HINT)
        reply = await self._ask(f"{self._base_url}/search", address)
        if reply.status != 200:
            raise CommandRefused(f"the geocoder answered {reply.status}", hint=_HINT)
        return _read(reply.body)

    async def _ask(self, url: str, address: str) -> Reply:
        http = HttpClient(f"the geocoder {urlsplit(url).hostname}", self._limits)
        await http.open()
        query = {"q": address, "format": "json", "addressdetails": "1", "limit": "1"}
        try:
            return await http.send(Call("GET", url, _HEADERS, query))
        except SourceUnavailable as error:
            raise CommandRefused(error.message, hint=_HINT) from error
        finally:
            await http.close()


def _read(body: bytes) -> Place:
    try:
        found = json.loads(body)
        place = _place(found[0]) if found else None
    except (ValueError, OverflowError, RecursionError, LookupError, TypeError, AttributeError):
        raise CommandRefused("the geocoder's answer was not understood", hint=_HINT) from None
    if place is None:
        raise CommandRefused(
            "the geocoder knows no such address", hint="write it with commas: street, city, country"
        )
    return place


def _place(first: Mapping[str, Any]) -> Place:
    """One of its answers; coordinates are texts there."""
    north, east, parts = float(first["lat"]), float(first["lon"]), first.get("address")
    if not (abs(north) <= 90 and abs(east) <= 180):
        raise ValueError("not on this planet")
    return Place(north, east, _address(parts if isinstance(parts, dict) else {}))


def _address(parts: Mapping[str, Any]) -> Address:
    def text(*names: str) -> str | None:
        found = (parts.get(name) for name in names)
        texts = (clean(value) for value in found if isinstance(value, str))
        return next((value for value in texts if value), None)

    street, number = text("road"), text("house_number")
    if street and number:
        street = f"{street} {number}"
    return Address(street, text("postcode"), text(*_CITIES), text("country"))
