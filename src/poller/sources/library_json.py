"""The JSON of ``bimmerconnected status -j``, of 2023 and of 2026, and of captured state answers.

A vehicle of the library holds BMW's own answers under ``data``; the rest was derived from them, so
only they are read. Until the end of 2023 the library could ask BMW for miles and gallons
(``data.is_metric`` false): those are converted here, when the answer is understood, never before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, Final

from poller.errors import MalformedAnswer
from poller.sources.fingerprint import CARDATA
from poller.sources.mybmw.meaning.parse import parse
from poller.vehicle.answer import Answer
from poller.vehicle.records import dumps, milliseconds, parse_time
from poller.vehicle.snapshot import Snapshot

#: Name of the body that holds one vehicle of the library.
BODY: Final = "library"

KM_PER_MILE: Final = 1.609344
#: US gallons: BMW's header said only "G", and those who showed these values took them for US ones.
LITERS_PER_GALLON: Final = 3.785411784
DISTANCES: Final = (
    ("range",),
    ("currentMileage",),
    ("electricChargingState", "range"),
    ("combustionFuelLevel", "range"),
)
#: BMW writes 0001-01-01 for "never".
_FIRST_YEAR: Final = 2000

Json = dict[str, Any]


def read_vehicles(text: bytes) -> list[Json]:
    """The vehicles in a program's output or a dump: a list of objects, or one. Raises MalformedAnswer."""
    if not text.strip():
        raise MalformedAnswer("it is empty", hint="the program that wrote it failed; see its own messages")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer("it is not JSON", hint="perhaps an error text, or only half written") from error
    vehicles = value if isinstance(value, list) else [value]
    if not all(isinstance(vehicle, dict) for vehicle in vehicles):
        raise MalformedAnswer("it holds no vehicles: expected the JSON of `bimmerconnected status -j`")
    return vehicles


def vin_of(vehicle: Json) -> str | None:
    """The VIN that the vehicle's JSON names, in upper case."""
    for value in (vehicle.get("vin"), _table(vehicle, "data").get("vin")):
        if isinstance(value, str) and value.strip():
            return value.strip().upper()
    return None


def own_time(vehicle: Json) -> datetime | None:
    """When the answer was had, by its own account: when it was fetched, else BMW's ``lastFetched``."""
    data = _table(vehicle, "data")
    state = _table(data, "state") or _table(vehicle, "state")
    return read_time(data.get("fetched_at")) or read_time(state.get("lastFetched"))


def read_time(value: object) -> datetime | None:
    """An ISO time with a zone, to the millisecond, or None."""
    try:
        moment = milliseconds(parse_time(value)) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment.year >= _FIRST_YEAR else None


def bodies_of(vehicle: Json) -> dict[str, bytes]:
    """What is kept of a vehicle: its JSON without insignificant blanks, named by its shape.

    The same answer gives the same bytes whether or not it went through ``jq``. Raises MalformedAnswer.
    """
    try:
        text = dumps(vehicle).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(
            "it holds what JSON cannot write, such as a number beyond all others"
        ) from error
    if isinstance(vehicle.get("data"), dict):
        return {BODY: text}
    if isinstance(vehicle.get("state"), dict):
        return {"state": text}
    if "fuel_and_battery" in vehicle:
        raise MalformedAnswer(
            "it is bimmerconnected's JSON without BMW's `data`, which is all that can be read"
        )
    raise MalformedAnswer("it has neither `data` nor `state`: not an answer about a vehicle")


def understand(answer: Answer, zone: tzinfo) -> Snapshot:
    """The snapshot of an answer with bodies as from `bodies_of`, or as from BMW, or CarData's.

    Raises MalformedAnswer.
    """
    if CARDATA in answer.bodies:
        return _from_cardata(answer)
    china = False
    if BODY in answer.bodies:
        try:
            vehicle = read_vehicles(answer.bodies[BODY])[0]
            bodies = _bmw_bodies(metric_data(vehicle))
        except (IndexError, ValueError, RecursionError) as error:
            raise MalformedAnswer("it is not one vehicle's answer") from error
        answer = replace(answer, bodies=bodies)
        china = _table(vehicle, "vehicle_location").get("account_region") == "cn"
    return parse(answer, zone, china=china)


def metric_data(vehicle: Json) -> Json:
    """A vehicle's ``data``: BMW's own answers, in kilometres and litres. ValueError as `dumps`."""
    data = _table(vehicle, "data")
    return {**data, "state": _metric(_table(data, "state"))} if _imperial(vehicle) else data


def _from_cardata(answer: Answer) -> Snapshot:
    # Only for those who have one: its catalogue is read with it.
    from poller.sources.cardata.meaning.parse import STATE
    from poller.sources.cardata.meaning.parse import parse as parse_cardata

    bodies = {STATE if name == CARDATA else name: body for name, body in answer.bodies.items()}
    return parse_cardata(replace(answer, bodies=bodies))


def _bmw_bodies(data: Json) -> dict[str, bytes]:
    """BMW's own answers again, by the names that the MyBMW source gives them."""
    state = data.get("state")
    bodies = {"state": dumps({"state": state, "capabilities": data.get("capabilities")}).encode()}
    if isinstance(data.get("attributes"), dict):
        bodies["profile"] = dumps(data["attributes"]).encode()
    if data.get("charging_settings"):
        bodies["charging_settings"] = dumps(data["charging_settings"]).encode()
    return bodies


def _imperial(vehicle: Json) -> bool:
    metric = _table(vehicle, "data").get("is_metric")
    if isinstance(metric, bool):
        return not metric
    mileage = vehicle.get("mileage")
    return isinstance(mileage, list) and mileage[-1:] == ["mi"]


def _metric(state: Json) -> Json:
    """`state` with kilometres and litres for miles and gallons."""
    state = json.loads(dumps(state))
    for *path, key in DISTANCES:
        _scale(_table(state, *path), key, KM_PER_MILE)
    _scale(_table(state, "combustionFuelLevel"), "remainingFuelLiters", LITERS_PER_GALLON)
    services = state.get("requiredServices")
    for service in services if isinstance(services, list) else ():
        if isinstance(service, dict):
            _scale(service, "mileage", KM_PER_MILE)
    return state


def _scale(table: Json, key: str, factor: float) -> None:
    value = table.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        table[key] = round(value * factor, 3)


def _table(value: Mapping[str, Any], *path: str) -> Json:
    """The object at `path`, the same one and not a copy; an empty one if there is none."""
    inner: Any = value
    for key in path:
        inner = inner.get(key)
        if not isinstance(inner, dict):
            return {}
    return inner  # type: ignore[no-any-return]  # JSON: narrowed by the loop, or the caller's own object


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
