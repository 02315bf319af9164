"""What BMW answered about one vehicle, as the library gets it: from an answer's bodies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from poller.errors import MalformedAnswer
from poller.library.units import as_sent, as_shown
from poller.library.words import DriveTrainType
from poller.sources.library_json import BODY, metric_data, read_time, read_vehicles
from poller.sources.mybmw.finder import Found, found_in
from poller.sources.mybmw.meaning.parse import whole
from poller.vehicle.answer import Answer
from poller.vehicle.display import Units
from poller.vehicle.records import Json, dumps

#: Capabilities of which one must be true for the library to ask for charging settings.
_CHARGING: Final = ("isChargingPlanSupported", "isChargingSettingsEnabled")
#: Members of the library's ``data``.
_KNOWN: Final = {
    "state", "capabilities", "attributes", "charging_settings", "vin", "fetched_at", "is_metric",
}  # fmt: skip
REGIONS: Final = ("row", "na", "cn")
#: BMW nests six deep.
_LEVELS: Final = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """BMW's own objects about one vehicle, and where and when they were had.

    `state` is in `units`, `sent` the same as ``data`` shows it (see `units.as_sent`).
    `charging_settings` is None where the library would not have asked, ``{}`` where nothing came; an
    empty list or a text where that is what came.
    `fetched_at` is aware, in whole seconds; `zone` the owner's; `region` row, na or cn;
    `found`: what the vehicle finder answered, if it is newer than the car's own report.
    `others`: what BMW may say one day beside state and capabilities.
    """

    vin: str
    state: Json
    fetched_at: datetime
    attributes: Json = field(default_factory=dict)
    capabilities: Json = field(default_factory=dict)
    charging_settings: Any = None
    zone: tzinfo = UTC
    region: str = "row"
    units: Units = "metric"
    sent: Json = field(default_factory=dict)
    found: Found | None = None
    others: Json = field(default_factory=dict)

    @property
    def drive_train(self) -> DriveTrainType:
        """What the profile says that moves the car."""
        return DriveTrainType(str(self.attributes.get("driveTrain")))


def heard(
    answer: Answer,
    *,
    zone: tzinfo,
    at: datetime | None = None,
    region: str = "row",
    units: Units = "metric",
) -> Heard:
    """Read an answer's bodies: BMW's own, or a vehicle of the library's JSON with its ``data``.

    `at`: when the library would have asked; default: when the answer was had.
    Raises MalformedAnswer where there is no state, or JSON that cannot be written again.
    """
    try:
        data, region = _in_library(answer, region) if BODY in answer.bodies else (_from_bmw(answer), region)
        _require_writable(data)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer("its JSON cannot be written again") from error
    state = data.get("state")
    if not isinstance(state, dict):
        raise MalformedAnswer("the answer has no state object")
    moment = at or read_time(data.get("fetched_at")) or answer.received_at
    capabilities = _object(data.get("capabilities"))
    return Heard(
        vin=answer.vin,
        state=as_shown(state, units),
        fetched_at=moment.astimezone(UTC).replace(microsecond=0),
        attributes=_attributes(_object(data.get("attributes"))),
        capabilities=capabilities,
        charging_settings=data["charging_settings"] if _is_asked(capabilities) else None,
        zone=zone,
        region=region,
        units=units,
        sent=as_sent(state, units),
        found=found_in(answer.bodies, state),
        others={name: value for name, value in data.items() if name not in _KNOWN},
    )


def _from_bmw(answer: Answer) -> Json:
    whole = _object(_read(answer.bodies.get("state")))
    return {
        **whole,
        "fetched_at": None,
        "attributes": _read(answer.bodies.get("profile")),
        "charging_settings": _read(answer.bodies.get("charging_settings"), otherwise={}),
    }


def _in_library(answer: Answer, region: str) -> tuple[Json, str]:
    vehicle = next(iter(read_vehicles(answer.bodies[BODY])), {})
    own = _object(vehicle.get("vehicle_location")).get("account_region")
    # Read once more for numbers that are too long.
    data = _loads(dumps({"charging_settings": {}, **metric_data(vehicle)}))
    return data, own if own in REGIONS else region


def _attributes(profile: Json) -> Json:
    """The profile without its VIN; BMW calls the Supra a third party's, the library TOYOTA."""
    attributes = {key: value for key, value in profile.items() if key != "vin"}
    if attributes.get("brand") == "DRITTKUNDE":
        attributes["brand"] = "TOYOTA"
    return attributes


def _is_asked(capabilities: Json) -> bool:
    return any(capabilities.get(name) for name in _CHARGING)


def _require_writable(data: Json) -> None:
    """Raise ValueError or RecursionError: what cannot be written would hold whoever delivers it later."""
    dumps(data).encode()
    if _is_deep(data, _LEVELS):
        raise ValueError("its objects are nested too deep")


def _is_deep(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not levels or any(_is_deep(item, levels - 1) for item in inner)


def _read(body: bytes | None, otherwise: Any = None) -> Any:
    """A body as JSON, or `otherwise` if it is not there or not JSON."""
    try:
        return otherwise if body is None else _loads(body)
    except (ValueError, RecursionError):
        return otherwise


def _loads(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_no_constant, parse_int=whole)


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
