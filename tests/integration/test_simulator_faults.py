"""Faults on order over real HTTP: each kind as a client meets it, for as long and as often as ordered."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import get_args

import httpx
import pytest
from simulated_app import GARAGE, STATE, TOKEN, App, app_of

from poller.simulator.cloud import FakeCloud
from poller.simulator.fault import Kind
from poller.simulator.faults import Fault
from poller.simulator.fleet import BMW_VIN, MINI_VIN
from poller.simulator.login import REFRESH_TOKEN
from poller.simulator.server import serve
from poller.testing.clock import ManualClock

MINUTE = 60.0
HOUR = 3600.0
#: Real seconds, far more than a busy machine needs for a request over loopback.
LATE = 0.5

#: kind → more of the order, what the app sees of it.
SEEN = {
    "unauthorized": ({}, "401 Access token is missing or expired."),
    "quota": ({}, "403 Out of call volume quota. Quota will be replenished in 02:00:00."),
    "rate_limit": ({}, "429 Rate limit is exceeded. Try again in 2 seconds."),
    "blocked": ({}, "489 Blocked"),
    "server_error": ({}, "500 Internal server error"),
    "maintenance": ({}, "503 text/html"),
    "status": ({"status": 502, "body": "Bad Gateway"}, "502 Bad Gateway"),
    "slow": ({"seconds": LATE}, "late"),
    "half_body": ({}, "RemoteProtocolError"),
    "broken_json": ({}, "no JSON"),
    "wrong_types": ({}, "other JSON"),
    "reset": ({}, "ReadError"),
    "unreachable": ({}, "ConnectError"),
}

#: Whoever asks is answered well, and hears later what became of it: see test_simulator_remote.
OF_A_CAR = {"command_error", "command_unanswered"}


class World:
    """The cloud, and the app with a login that outlives every test."""

    def __init__(self, app: App, cloud: FakeCloud, clock: ManualClock) -> None:
        self.app = app
        self.cloud = cloud
        self.clock = clock
        self.bearer: dict[str, str] = {}
        #: Whether somebody waits for a late answer; a busy machine may be late by itself.
        self.timed = False

    async def order(self, **fault: object) -> None:
        """As a person orders it."""
        self.timed = fault.get("kind") == "slow" and await self.look() == "well"
        answer = await self.app.http.post("/_sim/faults", json=fault)
        assert answer.status_code == 200, answer.text

    async def look(self, vin: str = MINI_VIN) -> str:
        """Ask for a state: "well", or what is wrong with it, as a client meets it."""
        try:
            answer = await self.app.http.get(STATE, headers={**self.bearer, "bmw-vin": vin})
        except httpx.TransportError as error:
            return type(error).__name__
        if answer.status_code != 200:
            return f"{answer.status_code} {_text(answer)}"
        try:
            answer.json()
        except ValueError:
            return "no JSON"
        if answer.content != GARAGE.state(vin, self.clock.now()):
            return "other JSON"
        return "late" if self.timed and answer.elapsed.total_seconds() >= LATE else "well"


def _text(answer: httpx.Response) -> str:
    if answer.headers["content-type"] == "application/json":
        return answer.json()["message"]
    return answer.text if "plain" in answer.headers["content-type"] else "text/html"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    cloud = FakeCloud(GARAGE, clock, token_lifetime=1e6)
    async with app_of(cloud) as app:
        made = World(app, cloud, clock)
        made.bearer = await app.enter()
        yield made


def test_every_kind_is_looked_at_here() -> None:
    """Those of CarData in test_simulator_cardata.py."""
    kinds = get_args(Kind)
    mybmw = kinds[: kinds.index("cardata_error")]
    assert SEEN.keys() | {"login_refused", "captcha_demanded"} | OF_A_CAR == set(mybmw)


@pytest.mark.parametrize("kind", SEEN)
async def test_a_fault_comes_and_goes_by_the_clock(world: World, kind: str) -> None:
    more, seen = SEEN[kind]
    await world.order(kind=kind, after="10m", **{"for": "2h"}, **more)
    await world.clock.advance(10 * MINUTE - 1)
    assert await world.look() == "well"
    await world.clock.advance(1)
    assert await world.look() == seen
    await world.clock.advance(2 * HOUR - 1)
    assert (await world.look())[:4] == seen[:4]
    await world.clock.advance(1)
    assert await world.look() == "well"
    assert (await world.app.http.get("/_sim/faults")).json() == {"faults": []}


@pytest.mark.parametrize("kind", sorted(SEEN.keys() - {"unreachable", "quota"}))
async def test_a_fault_hits_as_often_as_ordered(world: World, kind: str) -> None:
    more, seen = SEEN[kind]
    await world.order(kind=kind, count=2, **more)
    assert [await world.look() for _ in range(3)] == [seen, seen, "well"]


@pytest.mark.parametrize("kind", sorted(SEEN.keys() - {"unreachable", "quota"}))
async def test_a_fault_can_be_narrowed_to_path_and_vehicle(world: World, kind: str) -> None:
    more, seen = SEEN[kind]
    await world.order(kind=kind, path="/eadrax-crccs", **{"for": "ever"}, **more)
    assert await world.look() == "well"
    await world.order(kind=kind, path=STATE, vin=BMW_VIN.lower(), **{"for": "ever"}, **more)
    assert [await world.look(MINI_VIN), await world.look(BMW_VIN)] == ["well", seen]


async def test_a_spent_quota_names_the_end_of_the_fault_or_midnight(world: World) -> None:
    """The body is BMW's own; what it says is true of the fault."""
    await world.order(kind="quota", **{"for": "90m"})
    await world.clock.advance(30 * MINUTE)
    assert (await world.look()).endswith("replenished in 01:00:00.")
    world.cloud.faults.clear()
    await world.order(kind="quota")
    assert (await world.look()).endswith("replenished in 09:30:00.")
    assert await world.look() == "well"


async def test_too_fast_names_its_wait_in_header_and_text_if_told_to(world: World) -> None:
    await world.order(kind="rate_limit", retry_after="2m")
    await world.order(kind="rate_limit")
    with_header, without = [
        await world.app.http.get(STATE, headers={**world.bearer, "bmw-vin": MINI_VIN}) for _ in range(2)
    ]
    assert with_header.headers["retry-after"] == "120"
    assert with_header.json()["message"].endswith("Try again in 120 seconds.")
    assert "retry-after" not in without.headers


async def test_quota_and_speed_limit_are_the_gateways_not_the_logins(world: World) -> None:
    for kind in ("quota", "rate_limit", "unauthorized"):
        await world.order(kind=kind, **{"for": "ever"})
    assert (await world.app.refresh(f"{REFRESH_TOKEN}.1")).status_code == 200
    assert (await world.look()).startswith("403")


async def test_a_refused_access_token_leaves_the_login_whole(world: World) -> None:
    await world.order(kind="unauthorized", **{"for": "ever"})
    assert (await world.look()).startswith("401")
    await world.app.read_config()
    assert (await world.app.refresh(f"{REFRESH_TOKEN}.1")).status_code == 200


async def test_a_refused_login_is_dead_until_somebody_logs_in(world: World) -> None:
    """Access and refresh tokens are dead from that moment; a new login lives."""
    await world.order(kind="login_refused", after="5m")
    await world.clock.advance(5 * MINUTE - 1)
    assert await world.look() == "well"
    await world.clock.advance(1)
    assert (await world.look()).startswith("401")
    refused = await world.app.refresh(f"{REFRESH_TOKEN}.1")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    tokens = (await world.app.log_in()).json()
    world.bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    assert await world.look() == "well"
    assert (await world.app.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_demanded_captcha_spends_the_one_that_is_given(world: World) -> None:
    await world.order(kind="captcha_demanded", after="5m")
    await world.clock.advance(5 * MINUTE)
    await world.app.read_config()
    refused = await world.app.give_password(captcha="P1")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert (await world.app.give_password(captcha="P1")).status_code == 401
    assert (await world.app.log_in(captcha="P2")).status_code == 200


@pytest.mark.parametrize(
    ("kind", "error"), [("half_body", httpx.RemoteProtocolError), ("reset", httpx.ReadError)]
)
async def test_a_broken_connection_is_carried_out_all_the_same(world: World, kind, error) -> None:
    """A refresh whose answer is lost has spent the token: that is what clients must live with."""
    await world.order(kind=kind, path=TOKEN)
    with pytest.raises(error):
        await world.app.refresh(f"{REFRESH_TOKEN}.1")
    assert (await world.app.refresh(f"{REFRESH_TOKEN}.1")).status_code == 400


async def test_wrong_types_are_the_same_for_the_same_seed(world: World) -> None:
    headers = {**world.bearer, "bmw-vin": MINI_VIN}
    bodies = []
    for seed in (1, 1, 2):
        await world.order(kind="wrong_types", seed=seed)
        bodies.append((await world.app.http.get(STATE, headers=headers)).json())
    assert bodies[0] == bodies[1] != bodies[2]


async def test_nobody_listens_and_the_port_stays_taken(world: World) -> None:
    """Refused at the TCP level, control included; the same address answers again afterwards."""
    world.cloud.faults.add(Fault(kind="unreachable", lasts=HOUR))
    await world.clock.settle()
    assert await world.look() == "ConnectError"
    with pytest.raises(httpx.ConnectError):
        await world.app.http.get("/_sim/state")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", world.app.http.base_url.port))
    world.cloud.faults.clear()
    await world.clock.settle()
    assert await world.look() == "well"


async def test_a_server_can_end_while_nobody_listens() -> None:
    clock = ManualClock()
    cloud = FakeCloud(GARAGE, clock)
    async with app_of(cloud) as app:
        port = app.http.base_url.port
        cloud.faults.add(Fault(kind="unreachable", lasts=HOUR))
        await clock.settle()
    async with serve(FakeCloud(GARAGE, clock), port=port) as url:
        assert str(port) in url


async def test_a_fault_comes_back_with_its_full_count(world: World) -> None:
    await world.order(kind="blocked", count=1, every="1h")
    assert [await world.look(), await world.look()] == ["489 Blocked", "well"]
    await world.clock.advance(HOUR)
    assert [await world.look(), await world.look()] == ["489 Blocked", "well"]


async def test_the_list_tells_what_is_active_and_pending_and_for_how_long(world: World) -> None:
    await world.order(kind="maintenance", **{"for": "2h"}, path=STATE)
    await world.order(kind="quota", after="3h", count=4)
    assert (await world.look()).startswith("503")
    await world.clock.advance(30 * MINUTE)
    active, pending = (await world.app.http.get("/_sim/faults")).json()["faults"]
    assert active == {
        "kind": "maintenance",
        "path": STATE,
        "for": "2h",
        "says": f"BMW is down for maintenance (503), below {STATE}",
        "phase": "active",
        "ends_in": "1h30m",
        "ends_at": "2026-11-21T16:00:00.000Z",
        "hits": 1,
    }
    assert (pending["phase"], pending["begins_in"], pending["left"]) == ("pending", "2h30m", 4)
    assert (await world.app.http.get("/_sim/state")).json()["faults"] == [active, pending]


@pytest.mark.parametrize(
    ("order", "problems"),
    [
        ({}, ["kind: is missing: add it"]),
        ({"kind": "qouta"}, ['kind: unknown: is "quota" meant? known: unauthorized | quota | ']),
        (
            {"kind": "quota", "path": "state", "for": "two hours", "secs": 3, "count": 0},
            [
                'path: expected a path that begins with "/"',
                'for: expected a duration such as "90s", "5m", "1h30m" or "2d"',
                "count: must be greater than or equal to 1",
                "secs: unknown: ",
            ],
        ),
        ({"kind": "quota", "status": 403}, ['status: belongs to kind = "status": take it out']),
        ({"kind": "unreachable"}, ['unreachable needs for = "2h"']),
        ({"kind": "login_refused", "for": "2h"}, ["for: it happens once"]),
        ({"kind": "reset", "count": "3"}, ["count: expected a whole number without quotes"]),
        ([], ["expected a table of names and values"]),
    ],
)
async def test_a_fault_that_cannot_be_is_refused_with_every_problem(world: World, order, problems) -> None:
    answer = await world.app.http.post("/_sim/faults", json=order)
    assert answer.status_code == 400
    told = answer.json()["problems"]
    assert len(told) == len(problems)
    assert [line for line, start in zip(told, problems, strict=True) if not line.startswith(start)] == []
    assert world.cloud.faults.listed() == []


async def test_an_order_that_is_no_json_is_refused(world: World) -> None:
    answer = await world.app.http.post("/_sim/faults", content=b"kind=quota")
    assert (answer.status_code, answer.json()) == (400, {"problems": ["expected JSON"]})


async def test_a_status_is_given_with_headers_and_body_as_ordered(world: World) -> None:
    await world.order(
        path_prefix="/eadrax-vcs/v4", kind="status", status=489, body="Blocked", headers={"x": "y"}
    )
    answer = await world.app.http.get(STATE, headers=world.bearer)
    assert (answer.status_code, answer.text, answer.headers["x"]) == (489, "Blocked", "y")


async def test_a_fault_that_lasts_ends_when_it_is_cleared(world: World) -> None:
    await world.order(path_prefix="/", kind="status", count=None)
    assert [(await world.look())[:3] for _ in range(3)] == ["500"] * 3
    assert (await world.app.http.delete("/_sim/faults")).json() == {"faults": []}
    assert await world.look() == "well"


async def test_a_jump_of_the_wall_clock_ends_no_fault(world: World) -> None:
    await world.order(kind="blocked", **{"for": "1h"})
    world.clock.jump(86_400)
    assert await world.look() == "489 Blocked"
