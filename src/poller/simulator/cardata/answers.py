"""What CarData's REST answers about a simulated car: all of it strings, and never quite the same unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from poller.simulator.cardata.telling import ODOMETER, PREDICTED, Said, Scalar, TellingCar, model_of
from poller.simulator.life.spec import WHEELS, Charger, Position
from poller.simulator.life.timeline import EPOCH
from poller.simulator.life.truth import Charge
from poller.sources.cardata.meaning.catalogue import CATALOGUE, OWN_ENDPOINT
from poller.vehicle.records import rfc3339

Entry = Mapping[str, str | None]

_NOTHING: Final[Entry] = {"timestamp": None, "unit": None, "value": None}
#: REST spells units otherwise than the stream; the degree was encoded twice.
_SPELLED: Final = {"percent": "%", "Celsius": "Â°C", "mi": "miles"}
#: What BMW's server makes up at every request.
_WHEN_ASKED: Final = {
    "vehicle.electricalSystem.battery.serviceDemand.recharge": "0",
    "vehicle.electricalSystem.battery.serviceDemand.replace": "200",
}
_LETTERS: Final = {"electric": "E", "plugin_hybrid": "P", "combustion": "I"}
_NUMERIC: Final = ("int", "uint", "float", "double")


def telematic(car: TellingCar, names: Sequence[str], at: datetime) -> dict[str, Entry]:
    """The ``telematicData`` of a container with these descriptors, as BMW has it at that time.

    Four states: a value; null where the key is not for such a car; ``-NA-`` where a number is not
    known; and not there at all.
    """
    report = car.reported(at)
    told = car.told(report)
    if (charge := car.car.reported(at).charge) is not None:
        # BMW goes on reckoning although the car says nothing.
        told[PREDICTED] = told[PREDICTED]._replace(value=float(charge.percent))
    answers = {}
    for name in names:
        entry = _entry(car, name, told, at)
        if entry is not None:
            answers[name] = entry
    return answers


def _entry(car: TellingCar, name: str, told: Mapping[str, Said], at: datetime) -> Entry | None:
    if name in _WHEN_ASKED:
        return {"timestamp": rfc3339(at), "unit": None, "value": _WHEN_ASKED[name]}
    if name in told:
        return _said(car, name, told[name])
    known = CATALOGUE.get(name)
    if known is None or name in OWN_ENDPOINT:
        return None
    if known.cars and _LETTERS[car.car.spec.kind] not in known.cars:
        return _NOTHING
    if known.type is not None and known.type.startswith(_NUMERIC):
        return {"timestamp": rfc3339(car.reported(at).observed_at), "unit": known.unit, "value": "-NA-"}
    return None


def _said(car: TellingCar, name: str, said: Said) -> Entry:
    if said.value is None:
        return _NOTHING
    unit = None if said.unit is None else _SPELLED.get(said.unit, said.unit)
    if name == ODOMETER and not car.miles:
        unit = None  # as often as not; where miles are meant, the simulator leaves no doubt
    return {"timestamp": rfc3339(said.at), "unit": unit, "value": written(said.value)}


def written(value: Scalar) -> str | None:
    """A value as REST writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if value == int(value) else str(value)


def basic_data(car: TellingCar) -> dict[str, Any]:
    """What the car is; newer cars have more to say."""
    spec, model = car.car.spec, model_of(car.car.spec)
    said: dict[str, Any] = {
        "brand": model["profile"]["brand"],
        "modelName": model["profile"]["model"],
        "bodyType": model["profile"]["bodyType"],
        "headUnit": model["profile"]["headUnitRaw"],
        "numberOfDoors": spec.body.doors,
        "hasSunRoof": spec.body.sunroof,
        "steering": "LL" if spec.body.steering == "left" else "RL",
        "driveTrain": {"E": "BEV", "P": "PHEV", "I": "CONV"}[_LETTERS[spec.kind]],
        "simStatus": "ACTIVE",
        **model["basicData"],
    }
    if spec.battery is not None:
        said["hvsMaxEnergyAbsolute"] = str(spec.battery.kwh)
    return said


def sessions(car: TellingCar, since: datetime, until: datetime, now: datetime) -> list[dict[str, Any]]:
    """The ``chargingHistory``: what began in that time and is over, the oldest first."""
    charges = car.car.truth(since, max(since, now)).charges
    return [_session(car, charge) for charge in charges if since <= charge.start < until]


def _session(car: TellingCar, charge: Charge) -> dict[str, Any]:
    spec = car.car.spec
    flowed_from, flowed_until = charge.flowed_from or charge.start, charge.flowed_until or charge.start
    flowed = (flowed_until - flowed_from).total_seconds()
    odometer, unit = car.distance(car.car.moment(charge.start).odometer_km)
    session = {
        "startTime": _epoch(charge.start),
        "endTime": _epoch(charge.end),
        "displayedStartSoc": round(charge.soc_before),
        "displayedSoc": round(charge.soc_after),
        "totalChargingDurationSec": round(flowed),
        "timeZone": spec.habits.zone,
        "energyConsumedFromPowerGridKwh": round(charge.wall_kwh, 2),
        "isPreconditioningActivated": False,
        "mileage": int(odometer),
        "mileageUnits": unit.upper(),
        "chargingLocation": _location(car, charge.place),
        "chargingBlocks": [],
        "businessErrors": [],
    }
    if flowed:
        session["chargingBlocks"] = [
            {
                "startTime": _epoch(flowed_from),
                "endTime": _epoch(flowed_until),
                "averagePowerGridKw": round(3600 * charge.wall_kwh / flowed, 2),
            }
        ]
    if charge.current == "dc":
        match = {"postalCode": "00000", "streetAddress": "Buoy 1", "providerName": "Simulated", "city": "Sea"}
        session["publicChargingPoint"] = {"potentialChargingPointMatches": [match]}
    return session


def _location(car: TellingCar, place: str) -> dict[str, Any]:
    there = car.car.spec.places.get(place)
    address = {
        "municipality": "Sea",
        "formattedAddress": "Open sea, simulated",
        "streetAddress": "Open sea",
    }
    if there is None:
        return address
    north, east = there.position
    return {**address, "mapMatchedLatitude": north, "mapMatchedLongitude": east}


def charging_settings(car: TellingCar) -> list[dict[str, Any]]:
    """The ``locationBasedChargingSettings``: of every place with a plug of its own."""
    if car.car.spec.battery is None:
        return []
    chargers = [(place.position, place.charger) for place in car.car.spec.places.values() if place.charger]
    return [_setting(car, number, *place) for number, place in enumerate(chargers, 1)]


def _setting(car: TellingCar, number: int, position: Position, charger: Charger) -> dict[str, Any]:
    plan = model_of(car.car.spec)["state"]["chargingProfile"]
    window = car.car.spec.habits.window or (0.0, 0.0)
    (start, start_minute), (stop, stop_minute) = (divmod(round(60 * hour), 60) for hour in window)
    limit = plan["chargingSettings"].get("acCurrentLimit", 16 * charger.phases)
    return {
        "id": str(number),
        "clusterLocationId": f"simulated-{number}",
        "latitude": position[0],
        "longitude": position[1],
        "lastUpdated": rfc3339(EPOCH),
        "lastVisit": rfc3339(EPOCH),
        "visits": 10 * number,
        "chargingMode": plan["chargingMode"],
        "optimizedChargingPreference": plan["chargingPreference"],
        "startChargingTimePeriodHour": start,
        "startChargingTimePeriodMinute": start_minute,
        "stopChargingTimePeriodHour": stop,
        "stopChargingTimePeriodMinute": stop_minute,
        "acCurrentLimitFlag": "AC_LIMIT_ACTIVE",
        "acCurrentLimit": float(limit),
        "acousticLimit": "NO_ACTION",
        "flapLock": "NO_ACTION",
        "chargingPlug": "NO_ACTION",
    }


def tyre_diagnosis(car: TellingCar) -> dict[str, Any]:
    """The ``smartMaintenanceTyreDiagnosis``: no pressures; a MINI has nothing but padding to say."""
    if car.car.spec.brand == "mini":
        return {"passengerCar": {"mountedTyres": _padding(), "unmountedTyres": _padding()}, "errors": []}
    state = model_of(car.car.spec)["state"]["tireState"]
    names = {wheel: wheel.split("_") for wheel in WHEELS}
    mounted = {
        f"{end}{side.title()}": _tyre(state[f"{end}{side.title()}"]["details"])
        for end, side in names.values()
    }
    whole = {"aggregatedQualityStatus": {"label": "quality", "value": "GOOD"}, "label": "mounted"}
    return {
        "passengerCar": {"mountedTyres": {**whole, **mounted}, "unmountedTyres": _padding()},
        "errors": [],
    }


def _tyre(details: Mapping[str, Any]) -> dict[str, Any]:
    width, _, rest = details["dimension"].partition("/")
    ratio, rim, load = rest.split()[0], rest.split()[1], rest.split()[2]
    good = {"status": "OK", "statusColor": "GREEN", "label": "", "value": ""}
    return {
        "label": "",
        "dimension": {
            "sectionWidth": int(width),
            "aspectRatio": int(ratio),
            "constructionType": rim[0],
            "rimDiameter": int(rim[1:]),
            "loadIndex": int(load[:-1]),
            "speedRating": load[-1],
        },
        "mountingDate": details["mountingDate"],
        "partNumber": details["partNumber"],
        "season": "ALL_SEASON",
        "tread": {"manufacturer": details["manufacturer"], "treadDesign": details["treadDesign"]},
        "runFlat": False,
        "optimizedForOem": details["isOptimizedForOemBmw"],
        "qualityStatus": {"label": "quality", "value": "GOOD"},
        "tyreProductionDate": "2022-03",
        "tyreDefect": good,
        "tyreWear": {**good, "dueMileage": 30_000, "unit": "KILOMETER"},
    }


def _padding() -> dict[str, Any]:
    """A set of tyres of which nothing is known: all there, all empty."""
    tyre = {"label": "", "mountingDate": "", "partNumber": "", "tyreWear": {"dueMileage": 0}}
    wheels = ("frontLeft", "frontRight", "rearLeft", "rearRight")
    return {"aggregatedQualityStatus": {"label": "", "value": ""}, "label": "", **dict.fromkeys(wheels, tyre)}


def _epoch(at: datetime) -> int:
    return int(at.timestamp())
