"""Remote services of the simulated cloud: how an order goes, what can go wrong, what is remembered."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from remote_stage import COMMANDS, EVENT_POSITION, EVENT_STATUS, KNOWN, SEND_TO_CAR, Stage, charging, stage_of
from simulated_app import STATE, app_of

from poller.simulator.cloud import FakeCloud
from poller.simulator.fleet import BEV_VIN, BMW_VIN, ICE_VIN, MINI_VIN
from poller.simulator.folder import FolderGarage
from poller.simulator.garage import all_cars_garage, demo_garage
from poller.simulator.scenario import read
from poller.testing.clock import ManualClock

PLACE = {
    "title": "Pier",
    "formattedAddress": "Pier 1, 00000, Sea",
    "placeType": "ADDRESS",
    "position": {"lat": 54.7, "lng": 2.3},
}
POI = {"places": [PLACE], "vehicleInformation": {"vin": MINI_VIN}}
ORDERS = [
    *(COMMANDS + name for name in ("light-flash", "horn-blow", "door-lock", "door-unlock", "vehicle-finder")),
    *(f"{COMMANDS}climate-now?action={action}" for action in ("START", "STOP")),
    *(charging(BEV_VIN, name) for name in ("start-charging", "stop-charging")),
]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with stage_of() as made:
        yield made


@pytest.mark.parametrize("path", ORDERS)
async def test_every_order_gets_an_event_and_the_event_an_end(stage: Stage, path: str) -> None:
    """Initiated, pending, delivered, executed: never back, and as fast as the simulator's clock."""
    await stage.plugged()
    begun = (await stage.post(path, "" if BEV_VIN in path else BEV_VIN)).json()
    assert begun["creationTime"] == f"{stage.clock.now():%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    event, seen = str(uuid.UUID(begun["eventId"])), []
    for _ in range(12):
        seen.append((await stage.status(event))["eventStatus"])
        await stage.clock.advance(1)
    assert seen == ["INITIATED"] + 4 * ["PENDING"] + 5 * ["DELIVERED"] + 2 * ["EXECUTED"]


async def test_whoever_asks_as_bimmer_connected_does_never_sees_that_it_was_initiated(stage: Stage) -> None:
    """It takes INITIATED for an end; its first question comes after three and a half seconds."""
    event = (await stage.post(COMMANDS + "light-flash", BEV_VIN)).json()["eventId"]
    seen = []
    for _ in range(3):
        await stage.clock.advance(3.5)
        seen.append((await stage.status(event))["eventStatus"])
    assert seen == ["PENDING", "DELIVERED", "EXECUTED"]


@pytest.mark.parametrize("path", [*ORDERS, SEND_TO_CAR, EVENT_STATUS, EVENT_POSITION])
async def test_nobody_orders_without_a_login(stage: Stage, path: str) -> None:
    stage.bearer = {}
    assert (await stage.post(path, BEV_VIN, POI)).status_code == 401
    assert not stage.cloud.remote.diary


async def test_a_vehicle_a_service_or_an_event_that_there_is_not_is_404(stage: Stage) -> None:
    stranger = "WBA00000000000009"
    for answer in (
        await stage.post(COMMANDS + "light-flash", stranger),
        await stage.post(COMMANDS + "light-flash"),
        await stage.post(charging(stranger, "start-charging")),
        await stage.post(COMMANDS + "engine-start", BEV_VIN),
        await stage.post(COMMANDS + "start-charging", BEV_VIN),
        await stage.post(charging(BEV_VIN, "door-unlock")),
        await stage.post(SEND_TO_CAR, stranger, {**POI, "vehicleInformation": {"vin": stranger}}),
        await stage.post(SEND_TO_CAR, BEV_VIN, POI),
        await stage.post(SEND_TO_CAR.replace("0000-0000", "0000-9999"), MINI_VIN, POI),
        await stage.post(f"{EVENT_STATUS}?eventId={uuid.uuid4()}"),
        await stage.post(EVENT_STATUS),
        await stage.post(f"{EVENT_POSITION}?eventId=x", latitude="1", longitude="1"),
    ):
        assert answer.status_code == 404, answer.url
    assert not stage.cloud.remote.diary


WHOLE = {
    "chargingMode": {
        "chargingPreference": "CHARGING_WINDOW",
        "endTimeSlot": "0001-01-01T05:00:00.000",
        "startTimeSlot": "0001-01-01T01:30:00.000",
        "type": "TIME_SLOT",
        "timerChange": "NO_CHANGE",
    },
    "departureTimer": {"type": "WEEKLY_DEPARTURE_TIMER", "weeklyTimers": []},
    "isPreconditionForDepartureActive": True,
    "servicePack": "WAVE_01",
}


def _without(name: str) -> dict:
    return {key: value for key, value in WHOLE.items() if key != name}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMMANDS + "climate-now", {}),
        (COMMANDS + "climate-now?action=WARM", {}),
        (COMMANDS + "light-flash", []),
        (charging(BEV_VIN, "charging-settings"), {}),
        (charging(BEV_VIN, "charging-settings"), {"chargingTarget": None, "acLimitValue": None}),
        (charging(BEV_VIN, "charging-settings"), {"chargingTarget": 83}),
        (charging(BEV_VIN, "charging-settings"), {"chargingTarget": 15}),
        (charging(BEV_VIN, "charging-settings"), {"chargingTarget": "80"}),
        (charging(BEV_VIN, "charging-settings"), {"chargingTarget": True}),
        *((charging(BEV_VIN, "charging-profile"), _without(name)) for name in WHOLE),
        (charging(BEV_VIN, "charging-profile"), {**WHOLE, "isPreconditionForDepartureActive": "False"}),
        (
            charging(BEV_VIN, "charging-profile"),
            {**WHOLE, "chargingMode": {**WHOLE["chargingMode"], "endTimeSlot": "05:00"}},
        ),
        (
            charging(BEV_VIN, "charging-profile"),
            {**WHOLE, "departureTimer": {"type": "WEEKLY_DEPARTURE_TIMER", "weeklyTimers": [{"id": 1}]}},
        ),
        (SEND_TO_CAR, {**POI, "places": []}),
        (SEND_TO_CAR, {**POI, "places": [{**PLACE, "position": {"lat": "54", "lng": 2}}]}),
        (SEND_TO_CAR, {**POI, "places": [{**PLACE, "position": {"lat": 154.0, "lng": 2}}]}),
    ],
)
async def test_what_the_app_never_sends_is_400(stage: Stage, path: str, body: object) -> None:
    assert (await stage.post(path, BEV_VIN, body)).status_code == 400
    assert not stage.cloud.remote.diary


@pytest.mark.parametrize(
    ("vin", "service", "body"),
    [
        (ICE_VIN, "horn-blow", {}),
        (ICE_VIN, "start-charging", {}),
        (ICE_VIN, "charging-profile", WHOLE),
        (MINI_VIN, "stop-charging", {}),
        (MINI_VIN, "charging-settings", {"chargingTarget": 80}),
        (BMW_VIN, "charging-settings", {"chargingTarget": 80, "acLimitValue": None}),
        (BMW_VIN, "charging-settings", {"chargingTarget": None, "acLimitValue": 32}),
        (BEV_VIN, "charging-settings", {"chargingTarget": 80, "acLimitValue": 7}),
    ],
)
async def test_a_car_that_does_not_offer_it_answers_error(stage: Stage, vin, service, body) -> None:
    before = await stage.state(vin)
    assert await stage.tell(service, vin, body) == "ERROR"
    event = stage.cloud.remote.diary[-1].id
    assert (await stage.status(event))["details"] == "The vehicle does not offer this."
    after = await stage.state(vin)
    assert {**after, "lastFetched": ""} == {**before, "lastFetched": ""}


async def test_the_finder_knows_where_the_car_is_and_not_where_it_said(stage: Stage) -> None:
    """On the road, a minute after the last report, and whatever a car says of its capabilities."""
    car = stage.garage.cars[MINI_VIN]
    now = stage.clock.now()
    trip = next(t for t in car.truth(now, now + timedelta(days=5)).trips if t.km > 10)
    await stage.until(trip.start + timedelta(minutes=7))
    event = (await stage.post(COMMANDS + "vehicle-finder", MINI_VIN)).json()["eventId"]
    acts = stage.clock.now() + timedelta(seconds=8)
    where = {"latitude": "54.7", "longitude": "2.3"}
    early = (await stage.post(f"{EVENT_POSITION}?eventId={event}", **where)).json()
    assert (early["positionData"], early["errorDetails"]["title"]) == (None, "No position")
    await stage.clock.advance(KNOWN)
    assert (await stage.post(f"{EVENT_POSITION}?eventId={event}")).status_code == 400
    assert (
        await stage.post(f"{EVENT_POSITION}?eventId={event}", latitude="x", longitude="1")
    ).status_code == 400
    answer = (await stage.post(f"{EVENT_POSITION}?eventId={event}", **where)).json()
    position = answer["positionData"]["position"]
    assert (answer["positionData"]["status"], answer["errorDetails"]) == ("OK", None)
    assert (position["latitude"], position["longitude"]) == pytest.approx(car.moment(acts).position, abs=1e-6)
    assert position["heading"] == car.moment(acts).heading
    assert position["formattedAddress"] == "Open sea, simulated"
    told = (await stage.state(MINI_VIN))["location"]["coordinates"]
    assert told != {"latitude": position["latitude"], "longitude": position["longitude"]}


async def test_only_the_finder_finds(stage: Stage) -> None:
    await stage.tell("light-flash")
    event = stage.cloud.remote.diary[-1].id
    answer = await stage.post(f"{EVENT_POSITION}?eventId={event}", latitude="1", longitude="1")
    assert answer.json()["positionData"] is None


async def test_what_does_not_last_is_in_the_diary_and_in_the_control_state(stage: Stage) -> None:
    for service in ("light-flash", "horn-blow"):
        await stage.tell(service, BMW_VIN)
    sent = await stage.post(SEND_TO_CAR, MINI_VIN, POI)
    assert (sent.status_code, sent.content) == (201, b"")
    await stage.post(COMMANDS + "door-lock", BMW_VIN)
    commands = (await stage.http.get("/_sim/state")).json()["commands"]
    assert [(one["service"], one["vin"], one["eventStatus"]) for one in commands] == [
        ("light-flash", BMW_VIN, "EXECUTED"),
        ("horn-blow", BMW_VIN, "EXECUTED"),
        ("send-to-car", MINI_VIN, "EXECUTED"),
        ("door-lock", BMW_VIN, "INITIATED"),
    ]
    assert commands[2]["body"] == POI
    assert stage.cloud.remote.diary[2].body["places"][0]["title"] == "Pier"


async def test_a_place_with_an_empty_address_is_too_much_for_bmw(stage: Stage) -> None:
    empty = {**POI, "places": [{**PLACE, "formattedAddress": ""}]}
    assert (await stage.post(SEND_TO_CAR, MINI_VIN, empty)).status_code == 500


# --- what goes wrong on order ---------------------------------------------------------------------


async def order(stage: Stage, **fault: object) -> None:
    assert (await stage.http.post("/_sim/faults", json=fault)).status_code == 200


async def test_a_car_answers_error_on_order_and_stays_as_it_is(stage: Stage) -> None:
    """Once, and for the car that is meant."""
    await stage.parked()
    await order(stage, kind="command_error", vin=BEV_VIN)
    assert await stage.tell("door-unlock", BMW_VIN) == "EXECUTED"
    assert await stage.tell("door-unlock") == "ERROR"
    assert (await stage.status(stage.cloud.remote.diary[-1].id))["details"]
    assert (await stage.state())["doorsState"]["combinedSecurityState"] == "SECURED"
    assert await stage.tell("door-unlock") == "EXECUTED"


async def test_a_car_never_answers_on_order(stage: Stage) -> None:
    await stage.parked()
    await order(stage, kind="command_unanswered", **{"for": "1h"})
    assert await stage.tell("door-unlock") == "PENDING"
    event = stage.cloud.remote.diary[-1].id
    await stage.clock.advance(7200)
    assert (await stage.status(event))["eventStatus"] == "PENDING"
    assert (await stage.state())["doorsState"]["combinedSecurityState"] == "SECURED"
    assert await stage.tell("door-unlock") == "EXECUTED"


async def test_a_vehicles_fault_finds_it_in_the_path_of_charging(stage: Stage) -> None:
    await order(stage, kind="server_error", vin=BEV_VIN)
    assert (await stage.post(charging(BMW_VIN, "start-charging"))).status_code == 200
    assert (await stage.post(charging(BEV_VIN, "start-charging"))).status_code == 500
    await order(stage, kind="command_error", vin=BEV_VIN, path="/eadrax-crccs/")
    await stage.plugged()
    assert await stage.tell("light-flash") == "EXECUTED"
    assert await stage.tell("stop-charging") == "ERROR"


SLEEPS = """
title = "A car that sleeps"
description = "It stands in a cellar."
[[faults]]
kind = "command_unanswered"
after = "5m"
for = "2h"
"""


async def test_a_scenario_lets_a_car_sleep(stage: Stage) -> None:
    programme = read("sleeps", SLEEPS).play(stage.cloud).programme()
    assert "the car never answers what it is told from afar (PENDING)" in programme[1]
    for after, seen in ((0, "EXECUTED"), (300, "PENDING"), (7200, "EXECUTED")):
        await stage.clock.advance(after)
        assert await stage.tell("light-flash") == seen


FAULTS = {
    "unauthorized": "401",
    "quota": "403",
    "rate_limit": "429",
    "blocked": "489",
    "server_error": "500",
    "maintenance": "503",
    "status": "500",
    "half_body": "RemoteProtocolError",
    "broken_json": "no JSON",
    "wrong_types": "wrong",
    "reset": "ReadError",
}


@pytest.mark.parametrize("path", [COMMANDS + "door-unlock", SEND_TO_CAR, EVENT_STATUS])
async def test_all_faults_hit_remote_services_too(path: str) -> None:
    """What is refused has not been done; what is spoiled on the way back has."""
    cloud = FakeCloud(demo_garage(), ManualClock(), token_lifetime=1e8)
    async with app_of(cloud) as app:
        headers = {**await app.enter(), "bmw-vin": MINI_VIN}
        begun = await app.http.post(COMMANDS + "light-flash", json={}, headers=headers)
        asked = path + (f"?eventId={begun.json()['eventId']}" if path == EVENT_STATUS else "")
        for kind, seen in FAULTS.items():
            before = len(cloud.remote.diary)
            await app.http.post("/_sim/faults", json={"kind": kind, "path": path})
            empty = path == SEND_TO_CAR and kind in ("half_body", "broken_json", "wrong_types")
            assert await _meets(app.http, asked, headers) == ("nothing" if empty else seen)
            done = path != EVENT_STATUS and not seen.isdigit()
            assert len(cloud.remote.diary) - before == done


async def _meets(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> str:
    try:
        answer = await http.post(path, json=POI, headers=headers)
    except httpx.TransportError as error:
        return type(error).__name__
    if answer.status_code >= 300:
        return str(answer.status_code)
    if not answer.content:
        return "nothing"
    try:
        told = answer.json()
    except ValueError:
        return "no JSON"
    return "well" if all(isinstance(value, str) for value in told.values()) else "wrong"


async def test_orders_and_questions_cost_calls() -> None:
    async with stage_of(quota_per_day=3) as stage:
        agent = {"x-user-agent": "android(AP2A.1);bmw;4.9.2(36892);row"}
        event = (await stage.post(COMMANDS + "light-flash", BEV_VIN, **agent)).json()["eventId"]
        for _ in range(2):
            assert (await stage.post(f"{EVENT_STATUS}?eventId={event}", **agent)).status_code == 200
        refused = await stage.post(COMMANDS + "light-flash", BEV_VIN, **agent)
        assert refused.status_code == 403
        assert len(stage.cloud.remote.diary) == 1


# --- captured answers -----------------------------------------------------------------------------


async def test_captured_answers_take_orders_and_stay_as_they_are(tmp_path) -> None:
    garage = all_cars_garage()
    state = garage.state(ICE_VIN, ManualClock().now())
    (tmp_path / f"bmw-eadrax-vcs_v4_vehicles_state_{ICE_VIN}.json").write_bytes(state)
    async with stage_of(FolderGarage(tmp_path)) as stage:
        for service in ("door-unlock", "horn-blow", "start-charging", "vehicle-finder"):
            assert await stage.tell(service, ICE_VIN) == "EXECUTED"
        finder = stage.cloud.remote.diary[-1].id
        found = (await stage.post(f"{EVENT_POSITION}?eventId={finder}", latitude="1", longitude="1")).json()
        answer = await stage.http.get(STATE, headers={**stage.bearer, "bmw-vin": ICE_VIN})
        assert answer.content == state
        location = json.loads(state)["state"]["location"]
        assert found["positionData"]["position"] == {
            **location["coordinates"],
            "heading": location["heading"],
            "formattedAddress": location["address"]["formatted"],
        }


async def test_a_captured_car_that_never_said_where_it_is_is_not_found(tmp_path) -> None:
    name = f"bmw-eadrax-vcs_v4_vehicles_state_{ICE_VIN}.json"
    (tmp_path / name).write_text('{"state": {}, "capabilities": {}}')
    async with stage_of(FolderGarage(tmp_path)) as stage:
        assert await stage.tell("vehicle-finder", ICE_VIN) == "EXECUTED"
        event = stage.cloud.remote.diary[-1].id
        found = (await stage.post(f"{EVENT_POSITION}?eventId={event}", latitude="1", longitude="1")).json()
        assert found["positionData"] is None
        assert found["errorDetails"].keys() == {"title", "description"}
