"""Every topic that docs/sinks/mqtt.md names is one that the sink has."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from poller.sinks.mqtt.topics import Names, state
from poller.testing.records import VIN, snapshot_number
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import snapshot_of

READINGS = {
    "odometer_km": 45123, "soc_percent": 80, "soc_target_percent": 90, "range_electric_km": 180,
    "plugged": True, "charging": True, "charging_end_at": datetime(2026, 11, 21, 18, tzinfo=UTC),
    "door_open.front_left": False, "latitude_degrees": 48.1, "longitude_degrees": 11.6,
}  # fmt: skip


def test_the_topics_of_the_page_are_there(pages) -> None:
    fleet = Fleet()
    fleet.update(snapshot_of(snapshot_number(0, READINGS)[1]))
    view = fleet.view(VIN)
    names = Names("poller", Rendering({VIN: "mini"}))
    known = {
        *state(view, names),
        names.status,
        names.of_record("mini", "alert"),
        names.of_record("", "alert"),
    }
    named = set(re.findall(r"\bpoller(?:/[a-z_]+)+", pages["docs/sinks/mqtt.md"].text))
    assert named - known == set()
    assert len(named) > 10
