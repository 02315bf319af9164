"""Remote services by script: what is ordered is written down, what is answered was laid down before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from mybmw_cloud import Case, CaseGarage, HastyClock, Stage, WatchedCloud, case
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from poller.runtime.clock import Clock
from poller.simulator.login import GCID
from poller.simulator.server import line_of, serve
from poller.testing.memory import DictMemory
from poller.vehicle.command import Order, Outcome

VIN = "WBYTEST0000000001"
COMMANDS = "/eadrax-vrccs/v4/presentation/remote-commands/"
EVENT_STATUS = "/eadrax-vrccs/v3/presentation/remote-commands/eventStatus"
EVENT_POSITION = COMMANDS + "eventPosition"
PICTURES = "/eadrax-ics/v5/presentation/vehicles/images"
HORN = COMMANDS + "horn-blow"
PROFILE = f"/eadrax-crccs/v1/vehicles/{VIN}/charging-profile"
SETTINGS = f"/eadrax-crccs/v1/vehicles/{VIN}/charging-settings"
POI = f"/eadrax-dcs/v2/user/{GCID}/send-to-car"
_SCRIPTED = ("/eadrax-vrccs/", "/eadrax-crccs/v1/", "/eadrax-dcs/", "/eadrax-ics/", "/search")

EVENT = "5c8c1a5e-0000-4000-8000-000000000001"
ACCEPTED = {"creationTime": "2026-11-21T14:00:00.000Z", "eventId": EVENT}
EXECUTED = {"eventStatus": "EXECUTED"}
#: What a geocoder says.
STREET = {
    "lat": "48.1769", "lon": "11.5559",
    "address": {
        "road": "Long Road", "house_number": "1", "town": "Town", "postcode": "12345", "country": "Land",
    },
}  # fmt: skip

#: What a car is capable of that can do everything.
ABLE = {
    "lights": True,
    "horn": True,
    "lock": True,
    "unlock": True,
    "climateNow": True,
    "sendPoi": True,
    "vehicleFinder": True,
    "isChargingPlanSupported": True,
    "isChargingSettingsEnabled": True,
    "isChargingTargetSocEnabled": True,
    "isChargingPowerLimitEnabled": True,
    "remoteChargingCommands": {"chargingControl": ["START", "STOP"]},
}


@dataclass(frozen=True)
class Said:
    """One answer: a status and a body, or one of the ways to answer nothing at all."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    way: str = "answer"  # or: reset, silence


@dataclass(frozen=True)
class Asked:
    """One request. `at`: seconds of the clock since the stage was set."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    at: float


class Script:
    """The simulator, but for remote services, pictures and a geocoder.

    `answers`: path → what is said there, one after the other; the last one for ever.
    """

    def __init__(self, inner: WatchedCloud, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._begun = clock.monotonic()
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Any]] = {EVENT_STATUS: [EXECUTED]}

    def says(self, path: str, *answers: Any) -> None:
        """From now on: a `Said`, or a body that is sent with 200."""
        self.answers[path] = list(answers)

    def to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    @property
    def orders(self) -> list[Asked]:
        """What was asked that may have told a car something."""
        return [a for a in self.asked if a.path not in (EVENT_STATUS, EVENT_POSITION, PICTURES, "/search")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(_SCRIPTED):
            await self._inner(scope, receive, send)
            return
        body = await _body(receive)
        self.asked.append(
            Asked(
                scope["path"],
                dict(parse_qsl(scope["query_string"].decode())),
                {key.decode(): value.decode() for key, value in scope["headers"]},
                json.loads(body) if body else None,
                self._clock.monotonic() - self._begun,
            )
        )
        await self._say(self._next(scope["path"]), scope, receive, send)

    def _next(self, path: str) -> Said:
        laid_down = self.answers.get(path, [ACCEPTED])
        answer = laid_down.pop(0) if len(laid_down) > 1 else laid_down[0]
        return answer if isinstance(answer, Said) else Said(answer)

    async def _say(self, said: Said, scope: Scope, receive: Receive, send: Send) -> None:
        if said.way != "answer":
            if said.way == "reset":
                line_of(scope).reset()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        await Response(body, said.status, dict(said.headers))(scope, receive, send)


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def able(name: str = "electric_charging", *, without: Sequence[str] = (), **capabilities: Any) -> Case:
    """One of our own cars that can do everything, `without` these parts of its state."""
    one = case(name)
    state = json.loads(one.bodies["state"])
    state["capabilities"] = {**ABLE, **capabilities}
    for part in without:
        state["state"].pop(part)
    return replace(one, bodies={**one.bodies, "state": json.dumps(state).encode()})


@dataclass
class RemoteStage(Stage):
    """A stage whose remote services follow a script."""

    script: Any = None


@asynccontextmanager
async def remote_stage(
    directory: Path, *cars: Case, region: str = "rest_of_world"
) -> AsyncIterator[RemoteStage]:
    """One car that can do everything, unless told otherwise."""
    clock = HastyClock()
    watched = WatchedCloud(CaseGarage(cars or [able()]), clock)
    script = Script(watched, clock)
    async with serve(script) as url:
        set_up = RemoteStage(watched, url, directory, clock, DictMemory(), region=region, script=script)
        try:
            yield set_up
        finally:
            for source in set_up.sources:
                await source.close()


async def ready(road: RemoteStage, **more: Any) -> Any:
    """A source that knows its vehicles; nothing is counted yet."""
    source = await road.logged_in(**more)
    await source.targets()
    road.watched.counts()
    return source


async def ordered(
    road: RemoteStage, service: Any, arguments: Mapping[str, Any] | None = None, **more: Any
) -> Outcome:
    source = await ready(road, **more)
    return await source.execute(Order(VIN, service, arguments or {}))
