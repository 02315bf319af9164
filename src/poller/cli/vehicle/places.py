"""Places: where the car is, and where it is to go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer
from typer.core import TyperCommand

from poller.cli import options
from poller.cli.vehicle import addressed
from poller.cli.vehicle.addressed import Addressed, with_vehicle
from poller.cli.vehicle.ordering import given, send

#: A latitude may be negative, and is no option then.
NEGATIVE_NUMBERS: Final = {"ignore_unknown_options": True}
_ADDRESS: Final = ("-a", "--address")


class ManyWords(TyperCommand):
    """Takes all words that follow ``-a`` as its value, up to the next option, as argparse does."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer.Context is click's
        """As upstream, of folded arguments."""
        return super().parse_args(ctx, list(_folded(args)))


def vehiclefinder(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="The car, and where you are.", metavar="[VIN] [LAT LNG]", hidden=True),
    ] = None,
    vin: addressed.Vin = None,
    source: addressed.Account = None,
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Have the car say where it is.

    The car may be left out, or named in any way that `lightflash` knows. LAT and LNG say where you are,
    in degrees: cars before mid-2014 answer only from nearby. Without them it is where the car last was.
    """
    given = words or []
    vehicle, place = with_vehicle(
        given, 2 if len(given) > 1 else 0, "a VIN, latitude and longitude, or all three"
    )
    observer = dict(zip(("observer_latitude", "observer_longitude"), _degrees(place), strict=False))
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "vehicle_finder", observer, as_json=as_json)


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
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Send a destination to the car, by coordinates.

    The car may be left out, or named in any way that `lightflash` knows. LAT and LNG are degrees.
    """
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
    return send(whom, "send_poi", arguments, as_json=as_json)


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
    as_json: addressed.Json = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> int:
    """Send a destination to the car, by street address.

    The geocoder that the configuration names is told the address; nobody else but BMW is.
    """
    if not address.strip():
        raise typer.BadParameter("--address: expected the words of one")
    whom = Addressed.of(vehicle, vin, source, config, data_dir)
    return send(whom, "send_poi", given(address=address, name=name), as_json=as_json)


def _folded(args: Sequence[str]) -> Iterator[str]:
    words = iter(args)
    for word in words:
        if word not in _ADDRESS:
            yield word
            continue
        address: list[str] = []
        after: list[str] = []
        for follower in words:
            if follower.startswith("-"):
                after.append(follower)
                break
            address.append(follower)
        yield f"--address={' '.join(address)}"
        yield from after


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
        raise typer.BadParameter(f"{word!r} is no {what}: degrees from {-most:g} to {most:g}")
    return number
