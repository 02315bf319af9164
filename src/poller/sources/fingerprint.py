"""The files of a fingerprint: one recorded answer each, told apart by their names.

``<brand>-<path with / as _>[_<VIN>].json``, as the bimmer_connected library writes them. CarData's
are ours: ``cardata-<body>[_<VIN>].json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

#: Which answer. `cardata`: the merged state of `sources.cardata`, under which name `recorded` keeps it.
What = Literal["list", "profile", "state", "charging_settings", "vehicle_finder", "cardata", "basicData"]

LIST: Final = "vcs_v5_vehicle-list"
_ENDPOINTS: dict[str, What] = {
    LIST: "list",
    "vcs_v5_vehicle-data_profile": "profile",
    "vcs_v4_vehicles_state": "state",
    "crccs_v2_vehicles": "charging_settings",
    "vrccs_v4_presentation_remote-commands_eventPosition": "vehicle_finder",
}
_OF_CARDATA: dict[str, What] = {"state": "cardata", "basicData": "basicData"}
_NAME = re.compile(r"(bmw|mini|toyota)-eadrax-(.+?)(?:_([A-Z0-9]{17}))?\.json(?:\.gz)?")
_CARDATA_NAME = re.compile(r"cardata-(.+?)(?:_([A-Z0-9]{17}))?\.json(?:\.gz)?")
CARDATA: Final = "cardata"


@dataclass(frozen=True, slots=True)
class FingerprintName:
    """What a file's name says: brand, which answer (None: one we have no use for), and of which VIN.

    `brand` is ``cardata`` for CarData's, which do not tell it.
    """

    brand: str
    what: What | None
    vin: str | None


def read_name(name: str) -> FingerprintName | None:
    """What a file name says, or None if it is no fingerprint's."""
    match = _NAME.fullmatch(name)
    if match is not None:
        return FingerprintName(match[1], _ENDPOINTS.get(match[2]), match[3])
    match = _CARDATA_NAME.fullmatch(name)
    return None if match is None else FingerprintName(CARDATA, _OF_CARDATA.get(match[1]), match[2])


def file_name(brand: str, body: str, vin: str = "") -> str | None:
    """The name for a body of the MyBMW source, or for ``list``; None: there is no such answer."""
    endpoint = next((endpoint for endpoint, what in _ENDPOINTS.items() if what == body), None)
    return None if endpoint is None else f"{brand}-eadrax-{endpoint}{f'_{vin}' * bool(vin)}.json"


def cardata_name(body: str, vin: str = "") -> str:
    """The name for a body of the CarData source."""
    return f"{CARDATA}-{'state' if body == CARDATA else body}{f'_{vin}' * bool(vin)}.json"
