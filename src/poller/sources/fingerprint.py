"""The files of a fingerprint: one recorded answer each, told apart by their names.

``<brand>-<path with / as _>[_<VIN>].json``, as the bimmer_connected library writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

What = Literal["list", "profile", "state", "charging_settings"]

_ENDPOINTS: dict[str, What] = {
    "vcs_v5_vehicle-list": "list",
    "vcs_v5_vehicle-data_profile": "profile",
    "vcs_v4_vehicles_state": "state",
    "crccs_v2_vehicles": "charging_settings",
}
_NAME = re.compile(r"(bmw|mini|toyota)-eadrax-(.+?)(?:_([A-Z0-9]{17}))?\.json(?:\.gz)?")


@dataclass(frozen=True, slots=True)
class FingerprintName:
    """What a file's name says: brand, which answer (None: one we have no use for), and of which VIN."""

    brand: str
    what: What | None
    vin: str | None


def read_name(name: str) -> FingerprintName | None:
    """What a file name says, or None if it is no fingerprint's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return FingerprintName(match[1], _ENDPOINTS.get(match[2]), match[3])
