"""Every alert, from a simulated car to an owner's inbox: real Prometheus, real Alertmanager, real time.

All durations of the rules are divided by 600. A poller (the installed command) asks for a simulated car with
which something is wrong now and then; beside it another `/metrics`, of the same code, shows how a daemon
stands when its quota is spent, its login ends and its disk is full, and a car whose 12 V battery is flat.

To watch it: ``pytest --system -o log_cli=true --log-cli-level=info`` and this file.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imagined_daemon import CAR, Imagined
from prometheus_house import Inbox, Told, alertmanager, free_port, need, prometheus, until

from poller.simulator.axiom import partial, status, take_in
from poller.simulator.fault import Fault
from poller.simulator.fleet import MINI_VIN
from poller.simulator.garage import Garage
from poller.simulator.server import serve
from poller.vehicle.records import rfc3339

pytestmark = pytest.mark.system
logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
FASTER = 600
#: A night on which the car stands at home.
NIGHT = datetime(2026, 11, 18, 2, 0, tzinfo=UTC)
STATE = "/eadrax-vcs/v4/vehicles/state"
Wanted = Sequence[Mapping[str, str]]


def days(count: float) -> timedelta:
    return timedelta(days=count) / FASTER


def alert(name: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, **labels}


class Standing:
    """A garage with one car that has stood since `NIGHT`; `change` says what is the matter with it now."""

    def __init__(self, garage: Garage) -> None:
        self._garage = garage
        self.change: Callable[[dict[str, Any]], None] = lambda _: None
        self.report_age = timedelta(0)

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        return [entry for entry in self._garage.mappings(brand) if entry["vin"] == MINI_VIN]

    def profile(self, vin: str) -> bytes | None:
        return self._garage.profile(vin)

    def charging(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # the seam's signature
        return self._garage.charging(vin, NIGHT)

    def state(self, vin: str, at: datetime) -> bytes | None:
        body = json.loads(self._garage.state(vin, NIGHT) or b"{}")
        state = body["state"]
        state["lastFetched"] = rfc3339(at)
        state["lastUpdatedAt"] = rfc3339(at - self.report_age)
        self._well(state, at)
        self.change(state)
        return json.dumps(body).encode()

    def _well(self, state: dict[str, Any], at: datetime) -> None:
        for things in (state["doorsState"], state["windowsState"]):
            things.update(dict.fromkeys(things, "CLOSED"))
        state["doorsState"]["combinedSecurityState"] = "SECURED"
        state["roofState"] = {"roofState": "CLOSED", "roofStateType": "SUN_ROOF"}
        charge = {"chargingLevelPercent": 70, "isChargerConnected": False, "chargingStatus": "INVALID"}
        state["electricChargingState"].update(charge)
        for tire in state["tireState"].values():
            tire["status"]["currentPressure"] = tire["status"]["targetPressure"]
        state["checkControlMessages"] = []
        state["requiredServices"] = [service("OIL", at + days(400), 20_000)]


def service(kind: str, due: datetime, km: int | None = None, state: str = "OK") -> dict[str, Any]:
    entry = {"type": kind, "status": state, "dateTime": rfc3339(due), "description": ""}
    return entry | ({} if km is None else {"mileage": km})


def left_locked_with_a_window_open(state: dict[str, Any]) -> None:
    """And nearly empty, with a soft tyre and a hard one, words from the car, and services in five stages."""
    state["windowsState"]["leftFront"] = "OPEN"
    state["electricChargingState"]["chargingLevelPercent"] = 9
    state["tireState"]["frontRight"]["status"]["currentPressure"] = 150
    state["tireState"]["rearLeft"]["status"]["currentPressure"] = 320
    state["checkControlMessages"] = [
        {"type": "TIRE_PRESSURE", "severity": "HIGH"},
        {"type": "WASHING_FLUID", "severity": "LOW"},
    ]
    now = datetime.now(UTC)
    state["requiredServices"] = [
        service("BRAKE_FLUID", now + days(20)),
        service("VEHICLE_CHECK", now + days(5)),
        service("OIL", now + days(400), 1400),
        service("VEHICLE_TUV", now + days(400), 200),
        service("BRAKE_PADS_FRONT", now + days(400), state="OVERDUE"),
    ]


CAR_IN_A_BAD_STATE: Wanted = (
    alert("CarOpen", part="window", position="front_left", locked="yes", vehicle="mini"),
    alert("CarChargeLow", vehicle="mini"),
    alert("CarTirePressureLow", position="front_right"),
    alert("CarTirePressureHigh", position="rear_left", severity="info"),
    alert("CarMessage", message="tire_pressure", severity="warning"),
    alert("CarMessage", message="washing_fluid", severity="info"),
    alert("CarServiceDue", service="brake_fluid", by="date", severity="info"),
    alert("CarServiceDue", service="vehicle_check", by="date", severity="warning"),
    alert("CarServiceDue", service="oil", by="distance", severity="info"),
    alert("CarServiceDue", service="vehicle_tuv", by="distance", severity="warning"),
    alert("CarServiceOverdue", service="brake_pads_front"),
)


def unlocked_with_roof_and_door_open(state: dict[str, Any]) -> None:
    state["roofState"]["roofState"] = "OPEN"
    state["doorsState"] |= {"leftFront": "OPEN", "combinedSecurityState": "UNLOCKED"}


CAR_LEFT: Wanted = (
    alert("CarOpen", part="sunroof", locked="no"),
    alert("CarOpen", part="door", position="front_left", locked="no"),
    alert("CarUnlocked", vehicle="mini"),
)


class Owner:
    """Who reads the inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def hears(self, *wanted: Mapping[str, str], may: Wanted = (), within: float = 60) -> None:
        """All of these are told from now on, and besides only what `may` be."""
        read, began = len(self._inbox.told), time.monotonic()

        def news() -> list[Told]:
            return [told for told in self._inbox.told[read:] if told.status == "firing"]

        for one in wanted:
            await until(
                lambda one=one: any(told.alert.has(one) for told in news()),
                f"{one}, beside {self.firing()}",
                within,
            )
        for told in news():
            logger.info("%5.1f s  %s", told.at - began, told.alert)
        expected = (*wanted, *may)
        assert [str(t.alert) for t in news() if not any(t.alert.has(one) for one in expected)] == []

    async def hears_that_all_is_over(self, within: float = 60) -> None:
        took = await until(lambda: not self._inbox.firing, f"clear, beside {self.firing()}", within)
        logger.info("%5.1f s  all clear", took)

    def firing(self) -> list[str]:
        """What fires now."""
        return sorted(map(str, self._inbox.firing.values()))


DAEMON_IN_TROUBLE: Wanted = (
    alert("PollerQuotaNearlySpent", source="home"),
    alert("PollerNoFreshData", source="home", condition="budget_spent", severity="info"),
    alert("PollerNoFreshData", source="home", condition="stream_down", severity="warning"),
    alert("PollerLoginEnds", source="home"),
    alert("PollerDiskLow"),
    alert("PollerRecordsDropped", sink="hook", severity="critical"),
    alert("PollerTasksRestarting", task="deliver.hook"),
    alert("CarAuxBatteryLow", vehicle=CAR),
)


class World:
    """The poller of the `rehearsal`, the imagined one beside it, and who watches them."""

    def __init__(self, rehearsal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rehearsal = rehearsal
        self.car = Standing(rehearsal.cloud._garage)
        # The cloud is served already; what stands in its garage is read at every request.
        rehearsal.cloud._garage = self.car
        self.imagined = Imagined(days=1 / FASTER)
        self.inbox = Inbox()
        self.port = free_port()
        monkeypatch.setenv("POLLER_WEB__LISTEN", f"127.0.0.1:{self.port}")
        monkeypatch.setenv("POLLER_SOURCES__BMW__PASSWORD", "demo")
        cloud, axiom = rehearsal.addresses
        rehearsal.configure(cloud, axiom, extra=f'[vehicles.mini]\nvin = "{MINI_VIN}"\n')

    async def open(self, stack: AsyncExitStack) -> None:
        """Start everything; it ends with the stack."""
        folder = self.rehearsal.folder
        imagined = await stack.enter_async_context(self.imagined.served())
        inbox = await stack.enter_async_context(serve(self.inbox))
        manager = await stack.enter_async_context(alertmanager(folder, inbox))
        targets = [f"127.0.0.1:{self.port}", imagined]
        config = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "500ms"},
            "rule_files": [str(self._rules(folder))],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager]}]}]},
            "scrape_configs": [{"job_name": "poller", "static_configs": [{"targets": targets}]}],
        }
        await self.start_poller()
        await stack.enter_async_context(prometheus(folder, config))

    async def start_poller(self) -> None:
        """The real one; its first good poll is done."""
        self.process = await self.rehearsal.start("run")
        await self.process.until("poll.completed")

    async def kill_poller(self) -> None:
        os.kill(self.process.child.pid, signal.SIGKILL)
        await self.process.child.wait()

    @staticmethod
    def _rules(folder: Path) -> Path:
        text = importlib.import_module("alert_rules").text(importlib.import_module("promql").Pace(FASTER))
        path = folder / "rules.yml"
        path.write_text(text)
        return path


@pytest.fixture
async def world(rehearsal, monkeypatch) -> AsyncIterator[World]:
    need("prometheus", "promtool", "prometheus-alertmanager")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    made = World(rehearsal, monkeypatch)
    async with AsyncExitStack() as stack:
        await made.open(stack)
        yield made


def all_alerts() -> set[str]:
    text = (ROOT / "deploy/prometheus/rules.yml").read_text(encoding="utf-8")
    return {line.rpartition(" ")[2] for line in text.splitlines() if "- alert:" in line}


async def a_bad_state_and_a_daemon_in_trouble(world: World, owner: Owner) -> None:
    world.car.change = left_locked_with_a_window_open
    world.imagined.suffer()
    await world.imagined.measure(11.8)
    await owner.hears(*CAR_IN_A_BAD_STATE, *DAEMON_IN_TROUBLE)
    world.car.change = lambda _: None
    world.imagined.recover()
    await world.imagined.measure(12.6)


async def a_car_left_unlocked_and_open(world: World, owner: Owner) -> None:
    world.car.change = unlocked_with_roof_and_door_open
    await owner.hears(*CAR_LEFT)
    world.car.change = lambda _: None


async def a_refused_record_and_an_answer_that_is_none(world: World, owner: Owner) -> None:
    world.rehearsal.axiom.plan(partial(lambda _: True))
    world.rehearsal.cloud.faults.add(Fault(kind="broken_json", path=STATE, count=1))
    await owner.hears(alert("PollerDeadLetters", sink="axiom"), alert("PollerAnswersNotUnderstood"))


async def axiom_down(world: World, owner: Owner) -> None:
    world.rehearsal.axiom.standing = status(503)
    # A sink that fails even with a single record makes the poller unready before it is stuck.
    await owner.hears(alert("PollerSinkStuck", sink="axiom"), may=[alert("PollerNotReady")])
    world.rehearsal.axiom.standing = take_in


async def a_silent_car(world: World, owner: Owner) -> None:
    world.car.report_age = days(2.1)
    await owner.hears(alert("CarSilent", vehicle="mini", severity="info"))
    world.car.report_age = timedelta(0)


NOT_ASKED = (alert("PollerNotReady"), alert("CarNotAnswering", vehicle="mini"))


async def no_network(world: World, owner: Owner) -> None:
    world.rehearsal.cloud.faults.add(Fault(kind="unreachable", lasts=12))
    await owner.hears(alert("PollerNoFreshData", source="bmw", condition="no_network"), *NOT_ASKED)


async def a_refused_login(world: World, owner: Owner) -> None:
    world.rehearsal.cloud.faults.add(Fault(kind="login_refused"))
    await owner.hears(alert("PollerNoFreshData", source="bmw", condition="refused"), *NOT_ASKED)
    code, _, error = await world.rehearsal.command("login", "bmw", "--captcha-token", "anything")
    assert code == 0, error


async def a_killed_poller(world: World, owner: Owner) -> None:
    await world.kill_poller()
    await owner.hears(alert("PollerDown", severity="critical"))
    await world.start_poller()


async def test_every_alert_comes_and_goes(world) -> None:
    """Five minutes at most: each is told once what caused it is there, and is over once that is gone."""
    began, owner = time.monotonic(), Owner(world.inbox)
    await asyncio.sleep(8)
    assert owner.firing() == []
    for trouble in (
        a_bad_state_and_a_daemon_in_trouble,
        a_car_left_unlocked_and_open,
        a_refused_record_and_an_answer_that_is_none,
        axiom_down,
        a_silent_car,
        no_network,
        a_refused_login,
        a_killed_poller,
    ):
        logger.info("%s", trouble.__name__.replace("_", " "))
        await trouble(world, owner)
        await owner.hears_that_all_is_over()
    assert {told.alert.name for told in world.inbox.told} == all_alerts()
    took = time.monotonic() - began
    logger.info("%d messages in %.0f s", len(world.inbox.told), took)
    assert took < 300
