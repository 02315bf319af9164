"""Orders to simulated cars, over HTTP: every service is done and seen, every failure is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from mybmw_cloud import HastyClock, stage

from poller.errors import CommandRefused, SourceUnavailable
from poller.simulator import fleet
from poller.simulator.faults import Fault
from poller.simulator.garage import all_cars_garage
from poller.sources.base import Target
from poller.sources.mybmw.remote.views import VIEWS
from poller.vehicle.command import CommandState, Order, Outcome

VIN = fleet.BEV_VIN
COMMANDS = "/eadrax-vrccs/v4/presentation/remote-commands/"
EVENT_STATUS = "/eadrax-vrccs/v3/presentation/remote-commands/eventStatus"
#: The big electric car stands and charges.
CHARGING_SINCE = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)


@pytest.fixture
async def road(tmp_path):
    async with stage(tmp_path, all_cars_garage(), clock=HastyClock(CHARGING_SINCE)) as set_up:
        yield set_up


async def told(road, service, arguments: Mapping[str, Any] | None = None) -> tuple[Outcome, Any]:
    """What came of an order, and a way to look at the car when BMW knows of it."""
    source = road.sources[0] if road.sources else await road.logged_in()
    outcome = await source.execute(Order(VIN, service, arguments or {}))
    await road.clock.sleep(7)
    return outcome, source.parse(await source.fetch(Target(VIN))).value


#: In this order: the car charges, is locked, and wants 80 percent by 16 amperes at once.
SEEN = [
    ("light_flash", {}, {"locked": True}),
    ("horn", {}, {"charging": True}),
    ("charge_stop", {}, {"charging": False, "plugged": True}),
    ("charge_start", {}, {"charging": True}),
    ("unlock", {}, {"locked": False}),
    ("lock", {}, {"locked": True}),
    ("climate_start", {}, {"climate_state": "heating"}),
    ("climate_stop", {}, {"climate_state": "inactive"}),
    ("charging_settings", {"target_soc": 90}, {"soc_target_percent": 90, "charging_ac_limit_amperes": 16}),
    ("charging_settings", {"ac_limit": 10}, {"soc_target_percent": 90, "charging_ac_limit_amperes": 10}),
    ("charging_profile", {"precondition_climate": True}, {"climate_at_departure": True}),
    (
        "charging_profile",
        {"charging_mode": "delayed_charging", "precondition_climate": False},
        {
            "charging_mode": "delayed_charging",
            "charging_preference": "charging_window",
            "climate_at_departure": False,
        },
    ),
    ("charging_profile", {"charging_mode": "NO_ACTION"}, {"charging_mode": "no_action"}),
    ("send_poi", {"latitude": 43.5, "longitude": 12.5, "name": "Lunch"}, {}),
    ("vehicle_finder", {"observer_latitude": 43.3, "observer_longitude": 12.0}, {}),
    ("call", {"path": "climate-now", "params": {"action": "START"}}, {"climate_state": "heating"}),
]


async def test_every_service_is_done_and_seen_in_the_next_snapshot(road) -> None:
    for service, arguments, seen in SEEN:
        outcome, value = await told(road, service, arguments)
        assert (outcome.state, outcome.reason) == (CommandState.EXECUTED, ""), service
        assert {name: value(name) for name in seen} == seen, service
        if service == "vehicle_finder":
            found = outcome.found
            assert (value("latitude_degrees"), value("longitude_degrees")) == (
                found.latitude,
                found.longitude,
            )


async def test_all_twelve_pictures(road) -> None:
    source = await road.logged_in()
    pictures = await source.pictures(VIN, list(VIEWS))
    assert list(pictures) == list(VIEWS)
    assert len(set(pictures.values())) == 12


async def test_a_car_that_says_no(road) -> None:
    road.cloud.faults.add(Fault(kind="command_error", count=1))
    outcome, value = await told(road, "unlock")
    assert (outcome.state, outcome.stale) == (CommandState.ERROR, False)
    assert outcome.reason == "BMW says that it failed: The vehicle could not do it."
    assert value("locked") is True


async def test_a_car_that_says_nothing(road) -> None:
    road.cloud.faults.add(Fault(kind="command_unanswered", count=1))
    outcome, _ = await told(road, "lock")
    assert (outcome.state, outcome.stale) == (CommandState.TIMED_OUT, True)
    assert road.watched.counts()[EVENT_STATUS] == 68


async def test_a_car_that_cannot(road) -> None:
    source = await road.logged_in()
    with pytest.raises(CommandRefused, match="horn"):
        await source.execute(Order(fleet.ICE_VIN, "horn"))
    assert not any("remote-commands" in path for path in road.watched.counts())


@pytest.mark.parametrize("kind", ["reset", "half_body"])
async def test_an_order_whose_answer_is_lost_was_done_once_and_nobody_claims_either(road, kind) -> None:
    road.watched.spoil(COMMANDS + "door-unlock", kind, times=None)
    outcome, value = await told(road, "unlock")
    assert (outcome.state, outcome.stale) == (CommandState.UNKNOWN, True)
    assert "may or may not have been done" in outcome.reason
    assert road.watched.counts()[COMMANDS + "door-unlock"] == 1
    await road.clock.sleep(10)
    _, value = await told(road, "light_flash")
    assert value("locked") is False


@pytest.mark.parametrize("kind", ["reset", "half_body", "broken_json", "wrong_types", "server_error"])
async def test_a_bad_day_at_the_event_server_changes_nothing(road, kind) -> None:
    road.watched.spoil(EVENT_STATUS, kind, times=3)
    outcome, value = await told(road, "unlock")
    assert (outcome.state, value("locked")) == (CommandState.EXECUTED, False)
    assert road.watched.counts()[COMMANDS + "door-unlock"] == 1


async def test_a_token_that_ends_before_the_order_costs_no_second_one(road) -> None:
    road.watched.fail(COMMANDS, 401)
    outcome, _ = await told(road, "lock")
    assert outcome.state == CommandState.EXECUTED
    assert len([event for event in road.cloud.remote.diary if event.service == "door-lock"]) == 1


async def test_an_order_that_was_refused_was_not_done(road) -> None:
    road.watched.fail(COMMANDS, 404)
    with pytest.raises(SourceUnavailable):
        await told(road, "unlock")
    assert list(road.cloud.remote.diary) == []
