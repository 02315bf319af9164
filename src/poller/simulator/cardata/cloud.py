"""BMW CarData in miniature: device login, REST and stream of one account, and what can go wrong with them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from poller.runtime.clock import Clock
from poller.simulator.car import Car
from poller.simulator.cardata import answers
from poller.simulator.cardata.broker import Broker
from poller.simulator.cardata.login import GCID, Login
from poller.simulator.cardata.packets import ACCEPTED
from poller.simulator.cardata.quota import Day
from poller.simulator.cardata.rest import FakeRest, Vehicle
from poller.simulator.cardata.shelf import Shelf
from poller.simulator.cardata.streaming import Mood, Streaming
from poller.simulator.cardata.telling import TellingCar
from poller.simulator.fault import Fault, Kind
from poller.simulator.faults import Faults
from poller.simulator.server import bound
from poller.sources.cardata.meaning.catalogue import CATALOGUE

#: Where `FakeCloud` has CarData: both makers' logins have a path of the same name.
PREFIX: Final = "/cardata"
_ACCOUNT: Final = "account"
_SCOPES: Final = {"api": "cardata:api:read", "stream": "cardata:streaming:read"}
_NOT_AUTHORIZED: Final = 135
_NOTHING_TICKED: Final = 128
#: BMW does not say how long its pages are.
_PAGE: Final = 25
#: Seconds until the other program is back on the stream.
_SECOND_PROGRAM: Final = 1.0


class FakeCarData:
    """One account with these cars, all of it on `clock` and by `seed`.

    `login`, `rest`, `broker` and `streaming` are its parts, to look at and to spoil. `automatic`: every
    device login is allowed at once. `interval`: seconds between two questions of a login. `dozing`: the
    VINs that say no more from five minutes after plug-in on. The HTTP side is `routes`; `serve_stream`
    serves the stream.
    """

    def __init__(
        self,
        cars: Sequence[Car],
        clock: Clock,
        *,
        seed: int = 1,
        per_day: int = 50,
        day: Day = "utc",
        interval: float = 5.0,
        automatic: bool = False,
        dozing: Collection[str] = (),
    ) -> None:
        self.cars: Mapping[str, TellingCar] = {
            car.spec.vin: TellingCar(car, dozes=car.spec.vin in dozing) for car in cars
        }
        self.login = Login(clock, interval=interval, automatic=automatic)
        self.rest = FakeRest(
            [_vehicle(car, clock) for car in self.cars.values()],
            self._telematic,
            clock,
            admits=self._account,
            per_day=per_day,
            day=day,
            shelf=Shelf(known=tuple(CATALOGUE)),
        )
        self.rest.ordered = self._ordered
        self.broker = Broker(
            clock,
            admits=self._admits,
            grants=self._grants,
            expires=lambda _gcid, token: self.login.stream_ends(token),
        )
        self.streaming = Streaming(
            tuple(self.cars.values()),
            clock,
            self.broker.publish,
            seed=seed,
            entity=GCID,
            moods=self._moods,
        )
        #: Whether somebody was told by REST how a car stands.
        self.told = False
        self._clock = clock
        self._faults: Faults | None = None
        self._silent_since: dict[str, datetime] = {}
        self._stream: _Stream | None = None
        self._heard = asyncio.Event()
        self._intruder: asyncio.Task[None] | None = None
        self._unticked: set[str] = set()

    def routes(self) -> list[Route]:
        """The login with its page, and REST."""
        return [
            Route("/gcdm/oauth/token", self._token, methods=["POST"]),
            *self.login.routes(),
            *self.rest.routes(),
        ]

    @asynccontextmanager
    async def serve_stream(
        self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[str]:
        """Let the cars send while the block runs; gives the stream's address.

        OSError if the port is taken.
        """
        stream = _Stream(self.broker, tls)
        url = await stream.open(host, port)
        self._stream = stream
        sending = asyncio.create_task(self._send(), name="simulator.stream")
        try:
            yield url
        finally:
            self._stream = None
            tasks = [sending, *([self._intruder] if self._intruder else [])]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await stream.close()
            if not sending.cancelled():
                sending.result()

    async def _send(self) -> None:
        # Until somebody listens nobody need live: it takes a fifth of a second for each car.
        since = self._clock.now()
        await self._heard.wait()
        await self.streaming.run(since)

    @property
    def moments(self) -> Mapping[Kind, Callable[[Fault], None]]:
        """What to do when a fault of CarData's begins that is not a time but a moment."""
        return {
            "budget_spent": lambda _: self.rest.quota.spend_elsewhere(_ACCOUNT, self._clock.now()),
            "login_lost": lambda _: self.login.revoke(),
            "burst": lambda fault: self.streaming.burst(fault.vin),
        }

    def obey(self, faults: Faults) -> None:
        """Take orders from there; whoever serves the HTTP side attends to them."""
        self._faults = faults
        faults.at_each_turn(self._turn)

    def listed(self) -> dict[str, Any]:
        """As JSON: requests, quota, and how the stream stands."""
        return {
            "requests": dict(self.rest.requests),
            "quota": self.rest.quota.listed(self._clock.now()),
            "vehicles": list(self.cars),
            "stream": {
                "subscribers": self.broker.subscribers(GCID),
                "connects": len(self.broker.arrivals),
                "messages": self.streaming.sent,
            },
        }

    # --- what is asked of it ------------------------------------------------------------------

    async def _token(self, request: Request) -> Response:
        fault = self._faults.take("login_error", request.url.path) if self._faults else None
        if fault is not None:
            self.login.refuse(fault.error)
        return await self.login.token(request)

    def _account(self, request: Request) -> str:
        match self.login.admits(request):
            case "yes":
                return _ACCOUNT
            case "scope":
                return "CU-103"
        return "CU-102" if "authorization" in request.headers else "CU-100"

    def _ordered(self, path: str) -> str | None:
        fault = self._faults.take("cardata_error", path) if self._faults else None
        return None if fault is None else fault.code

    def _telematic(
        self, vin: str, names: Sequence[str], at: datetime
    ) -> Mapping[str, Mapping[str, str | None]]:
        self.told = True
        return answers.telematic(self.cars[vin], names, min(at, self._silent_since.get(vin, at)))

    def _admits(self, gcid: str, id_token: str) -> int:
        refused = self._is("stream_refused") or not self.login.admits_stream(gcid, id_token)
        return _NOT_AUTHORIZED if refused else ACCEPTED

    def _grants(self, topic: str) -> int:
        if not topic.startswith(f"{GCID}/"):
            return _NOT_AUTHORIZED
        ticked = [self.streaming.ticked.get(vin, True) for vin in self.cars]
        if not any(ticked):
            return _NOTHING_TICKED
        self._heard.set()
        return ACCEPTED

    # --- what goes wrong ----------------------------------------------------------------------

    def _is(self, kind: Kind, vin: str | None = None) -> bool:
        return self._faults is not None and bool(self._faults.active(kind, vin))

    def _moods(self, vin: str) -> Collection[Mood]:
        return [mood for mood in get_args(Mood) if self._is(mood, vin)]

    async def _turn(self) -> None:
        """A fault was ordered, begins or ends."""
        now = self._clock.now()
        silent = {vin: self._silent_since.get(vin, now) for vin in self.cars if self._is("silent_car", vin)}
        self._silent_since = silent
        self.rest.unmapped = {vin for vin in self.cars if self._is("not_mapped", vin)}
        self._tick_services()
        if self._is("stream_refused"):
            self.broker.close_all()
        if self._stream is not None:
            await self._stream.listen(not (self._is("stream_down") or self._is("unreachable")))
            self._let_in_another(self._is("second_program"))

    def _tick_services(self) -> None:
        """As the owner would in the portal; what is unticked there is dead at once."""
        missing = self._faults.active("scope_missing") if self._faults else []
        unticked = {_SCOPES[fault.scope] for fault in missing}
        for scope in unticked - self._unticked:
            self.login.unsubscribe(scope)
            self.broker.close_all()
        self.login.subscribed |= self._unticked - unticked
        self._unticked = unticked

    def _let_in_another(self, wanted: bool) -> None:  # noqa: FBT001  # private
        if wanted and self._intruder is None:
            self._intruder = asyncio.create_task(self._intrude(), name="simulator.second_program")
        elif not wanted and self._intruder is not None:
            self._intruder.cancel()
            self._intruder = None

    async def _intrude(self) -> None:
        """Connect again and again, as a program does that was thrown off."""
        while True:
            self.broker.kick(GCID)
            await self._clock.sleep(_SECOND_PROGRAM)


class _Stream:
    """The broker's address, which may be deserted for a while."""

    def __init__(self, broker: Broker, tls: ssl.SSLContext | None) -> None:
        self._broker = broker
        self._tls = tls
        self._address = ("", 0)
        self._served: AsyncExitStack | None = None
        self._kept: socket.socket | None = None

    async def open(self, host: str, port: int) -> str:
        """Listen; the port is kept from now on."""
        self._served = AsyncExitStack()
        url = await self._served.enter_async_context(self._broker.serve(host, port, self._tls))
        self._address = (host, urlsplit(url).port or port)
        return url

    async def listen(self, wanted: bool) -> None:  # noqa: FBT001  # the only argument
        """Listen, or refuse connections and cut those that stand."""
        if wanted and self._served is None:
            await self.open(*self._address)
            self._let_go()
        elif not wanted and self._served is not None:
            self._broker.close_all()
            await self._served.aclose()
            self._served = None
            self._kept = bound(*self._address)

    async def close(self) -> None:
        """Listen no more."""
        self._let_go()
        if self._served is not None:
            await self._served.aclose()

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def _vehicle(car: TellingCar, clock: Clock) -> Vehicle:
    def sessions(since: datetime, until: datetime) -> Sequence[Mapping[str, Any]]:
        return answers.sessions(car, since, until, clock.now())

    return Vehicle(
        car.vin,
        basic=answers.basic_data(car),
        sessions=sessions,
        settings=answers.charging_settings(car),
        tyres=answers.tyre_diagnosis(car),
        # One of them has no picture.
        has_image=car.car.spec.kind != "combustion",
        page=_PAGE,
    )
