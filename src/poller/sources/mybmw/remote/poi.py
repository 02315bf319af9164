"""A place for the navigation of a car."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from poller.errors import ArgumentRefused
from poller.sources.mybmw.remote.arguments import Arguments
from poller.sources.mybmw.remote.car import Json

#: What bimmer_connected's users see in the car, and BMW takes.
_TITLE: Final = "Sent with ♥ by bimmer_connected"
_PARTS: Final = ("street", "postal_code", "city", "country")
#: Members of an address that BMW's app fills in, and nobody else.
_UNSAID: Final = (
    "formatted", "banchi", "chome", "countryCode", "district", "go", "houseNumber", "region",
    "regionCode", "settlement", "subblock",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """Parts of a street address; None: not known."""

    street: str | None = field(default=None, repr=False)
    postal_code: str | None = field(default=None, repr=False)
    city: str | None = field(default=None, repr=False)
    country: str | None = field(default=None, repr=False)

    def or_else(self, other: Address) -> Address:
        """With what is missing taken from another."""
        return Address(
            self.street or other.street,
            self.postal_code or other.postal_code,
            self.city or other.city,
            self.country or other.country,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A point in WGS-84 degrees and what is known of it."""

    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    address: Address = field(default=Address(), repr=False)


@dataclass(frozen=True, slots=True)
class PoiWish:
    """A place to send. `where`: its coordinates, or an address to look up; `name`: its title in the car."""

    where: tuple[float, float] | str = field(repr=False)
    name: str | None = field(default=None, repr=False)
    parts: Address = field(default=Address(), repr=False)

    @classmethod
    def read(cls, given: Json) -> PoiWish:
        """Raises ArgumentRefused."""
        arguments = Arguments(given, "latitude", "longitude", "address", "name", *_PARTS)
        position, address = arguments.position(), arguments.text("address")
        where = position or address
        if where is None or (position and address):
            raise ArgumentRefused("a place is given by latitude and longitude, or by an address")
        return cls(where, arguments.text("name"), Address(*(arguments.text(name) for name in _PARTS)))

    def body(self, place: Place, vin: str) -> dict[str, Any]:
        """As BMW wants it; `place`: where the wish leads to."""
        return {"places": [self._place(place)], "vehicleInformation": {"vin": vin}}

    def _place(self, place: Place) -> dict[str, Any]:
        position = {"lat": place.latitude, "lng": place.longitude}
        address = self.parts.or_else(place.address)
        line = ", ".join(text for text in (address.street, address.postal_code, address.city) if text)
        return {
            "title": self.name or _TITLE,
            "formattedAddress": line or "Coordinates only",  # the server fails at an empty one
            "placeType": "ADDRESS",
            "position": position,
            "entrances": [{"name": None, "position": position}],
            "address": _address(address),
            "category": {"losCategory": "Address", "mguVehicleCategoryId": None, "name": "Address"},
            "provider": None,
            "providerId": None,
            "providerPoiId": "",
            "sourceType": None,
            "vehicleCategoryId": None,
        }


def _address(address: Address) -> dict[str, str | None]:
    """Texts for the four members that must have one: "None" is what BMW is known to take."""
    texts = {
        "street": str(address.street),
        "postalCode": str(address.postal_code),
        "city": str(address.city),
        "country": str(address.country),
    }
    return {**texts, **dict.fromkeys(_UNSAID)}
