"""The pictures that BMW draws of a car (facts section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: bimmer_connected's name in lower case → ``carView``.
VIEWS: Final[Mapping[str, str]] = {
    "frontside": "VehicleStatus",
    "front": "FrontView",
    "side": "SideViewLeft",
    "dashboard": "Dashboard",
    "driverdoor": "Driverdoor",
    "angle_side_view_forty": "AngleSideViewForty",
    "angle_side_view_sixty": "AngleSideViewSixty",
    "front_left": "FrontLeft",
    "front_right": "FrontRight",
    "rear_left": "RearLeft",
    "rear_right": "RearRight",
    "rear_view": "RearView",
}
