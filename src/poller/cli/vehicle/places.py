"""Places: where the car is, and where it is to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from poller.cli import options
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import Addressed, with_vehicle
from poller.cli.vehicle.ordering import given, send


def vehiclefinder(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="The car, and where you are.", metavar="[VIN] [LAT LNG]", hidden=True),
    ] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Have the car say where it is.

    The car may be left out, or named in any way that `lightflash` knows. LAT and LNG say where you are,
    in degrees: cars before mid-2014 answer only from nearby. Without them it is where the car last was.
    """
    words = words or []
    _require_longitude(words)
    vehicle, place = with_vehicle(
        words, 2 if len(words) > 1 else 0, "a VIN, latitude and longitude, or all three"
    )
    observer = dict(zip(("observer_latitude", "observer_longitude"), _degrees(place), strict=False))
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "vehicle_finder", observer, yes=yes, as_json=as_json)


def sendpoi(
    *,
    words: Annotated[
        list[str],
        typer.Argument(help="The car, and where it is to go.", metavar="[VIN] LAT LNG", hidden=True),
    ],
    name: Annotated[str | None, typer.Option(help="What the car calls it.", metavar="TEXT")] = None,
    street: Annotated[str | None, typer.Option(help="Street and number.", metavar="TEXT")] = None,
    city: Annotated[str | None, typer.Option(help="City.", metavar="TEXT")] = None,
    postalcode: Annotated[str | None, typer.Option(help="Postal code.", metavar="TEXT")] = None,
    country: Annotated[str | None, typer.Option(help="Country.", metavar="TEXT")] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Send a destination to the car, by coordinates.

    The car may be left out, or named in any way that `lightflash` knows. LAT and LNG are degrees.
    """
    _require_longitude(words)
    vehicle, place = with_vehicle(words, 2, "latitude and longitude, and before them a VIN if need be")
    latitude, longitude = _degrees(place)
    arguments = given(
        latitude=latitude,
        longitude=longitude,
        name=name,
        street=street,
        postal_code=postalcode,
        city=city,
        country=country,
    )
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "send_poi", arguments, yes=yes, as_json=as_json)


def sendpoi_from_address(
    *,
    address: Annotated[
        str,
        typer.Option(
            "--address", "-a", help="Where it is to go: words up to the next option.", metavar="WORD..."
        ),
    ],
    vehicle: addressed.Vehicle = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="What the car calls it.", metavar="TEXT")
    ] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    yes: addressed.Unasked = False,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Send a destination to the car, by street address.

    The source's geocoder is told the address (nominatim.openstreetmap.org, unless you set another);
    nobody else but BMW is.
    """
    if not address.strip():
        raise typer.BadParameter("--address: expected the words of one")
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "send_poi", given(address=address, name=name), yes=yes, as_json=as_json)


def _require_longitude(words: Sequence[str]) -> None:
    """Raises BadParameter if a latitude ends the words. A number without a point may be the end of a VIN."""
    latitudes = [_is_number(word) for word in words]
    if latitudes == [False, True] or (latitudes == [True] and "." in words[0]):
        raise typer.BadParameter(f"the longitude is missing: expected LAT LNG, not only {words[-1].strip()}")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _degrees(words: Sequence[str]) -> list[float]:
    """Latitude and longitude, WGS-84, or nothing. Raises BadParameter."""
    return [
        _number(word, what, most)
        for word, what, most in zip(words, ("latitude", "longitude"), (90, 180), strict=False)
    ]


def _number(word: str, what: str, most: float) -> float:
    try:
        number = float(word)
    except ValueError:
        number = float("nan")
    if not -most <= number <= most:
        raise typer.BadParameter(f"{word.strip()!r} is no {what}: degrees from {-most:g} to {most:g}")
    return number
