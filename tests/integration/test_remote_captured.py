"""Real replies to remote services, and what real cars can do: captured, from ../shared."""

from __future__ import annotations

import json

import pytest
from mybmw_cloud import captured_cases
from remote_script import (
    COMMANDS,
    EVENT_POSITION,
    EVENT_STATUS,
    VIN,
    ready,
    remote_stage,
)

from poller.sources.mybmw.remote.car import read_car
from poller.sources.mybmw.remote.catalogue import lack
from poller.vehicle.command import CommandState, Order


async def test_captured_replies_are_understood(tmp_path, shared) -> None:
    """As a user of bimmer_connected once recorded them."""
    folder = shared / "fingerprints" / "remote_services"
    if not folder.is_dir():
        pytest.skip("no captured replies of remote services in ../shared")

    def reply(name):
        return (folder / f"eadrax_service_{name}.json").read_bytes()

    async with remote_stage(tmp_path) as road:
        source = await ready(road)
        trigger = COMMANDS + "vehicle-finder"
        road.script.says(trigger, reply("initiated"))
        road.script.says(EVENT_STATUS, *map(reply, ("pending", "delivered", "executed")))
        road.script.says(EVENT_POSITION, reply("eventposition"))
        outcome = await source.execute(Order(VIN, "vehicle_finder"))
        event = json.loads(reply("initiated"))["eventId"]
        assert (outcome.state, outcome.event_id) == (CommandState.EXECUTED, event)
        assert [one.query for one in road.script.to(EVENT_STATUS)] == [{"eventId": event}] * 3
        position = json.loads(reply("eventposition"))["positionData"]["position"]
        assert (outcome.found.latitude, outcome.found.longitude) == (
            position["latitude"],
            position["longitude"],
        )
        assert (outcome.found.heading, outcome.found.address) == (
            position["heading"],
            position["formattedAddress"],
        )
        road.script.says(EVENT_STATUS, reply("error"))
        failed = await source.execute(Order(VIN, "vehicle_finder"))
        assert failed.state == CommandState.ERROR
        assert json.loads(reply("error"))["details"] in failed.reason


#: The library's property → our service.
OFFERED = {
    "is_remote_lights_enabled": "light_flash",
    "is_remote_horn_enabled": "horn",
    "is_remote_lock_enabled": "lock",
    "is_remote_unlock_enabled": "unlock",
    "is_remote_climate_start_enabled": "climate_start",
    "is_remote_climate_stop_enabled": "climate_stop",
    "is_remote_charge_start_enabled": "charge_start",
    "is_remote_charge_stop_enabled": "charge_stop",
    "is_remote_sendpoi_enabled": "send_poi",
}


def test_captured_cars_can_do_what_bimmer_connected_says_that_they_can(shared) -> None:
    cases = captured_cases(shared)
    assert len(cases) >= 6
    for one in cases:
        car = read_car(one.vin, "bmw", one.bodies["state"])
        says = {name: one.expected.get(name) for name in OFFERED}
        ours = {name: not lack(service, car) for name, service in OFFERED.items()}
        # null where the library crashes at this car
        assert [name for name in OFFERED if says[name] not in (ours[name], None)] == [], one.name
        plan = one.expected["is_charging_plan_supported"] and one.expected["charging_profile"] is not None
        assert (lack("charging_profile", car) == "") is bool(plan), one.name
