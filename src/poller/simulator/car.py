"""Cars that move, as the cloud tells of them: synthetic, deterministic by seed, at sea."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Any

from poller.simulator.garage import mapping
from poller.simulator.routine import Day, Habits, Moment, chance, day_of
from poller.vehicle.records import rfc3339

MINI_VIN = "WMW00000000000001"
BMW_VIN = "WBA00000000000002"
#: What to call the car that is no MINI.
OTHER_NAME = "x1"

_COMMUTER = Habits(
    places={"home": (54.72, 2.25), "work": (54.80, 2.41), "shop": (54.70, 2.31)},  # the Dogger Bank
    weekday=((7.4, "work"), (17.0, "home")),
    weekend=((10.5, "shop"), (12.5, "home")),
    week_km=(38, 38, 38, 38, 38, 22, 16),
    first_km=12_000,
    speed_kmh=36,
    battery_kwh=28.9,
    kwh_per_km=0.15,
    charge_kw=3.6,
    target_percent=80,
    charge_at=0.5,
)
_ROUNDS = Habits(
    places={"home": (54.10, 6.40), "north": (54.16, 6.42), "east": (54.11, 6.52), "quay": (54.07, 6.38)},
    weekday=(
        (6.5, "north"), (7.75, "east"), (9.0, "quay"), (10.25, "home"), (11.5, "east"),
        (13.0, "north"), (14.25, "quay"), (15.5, "east"), (17.0, "north"), (18.5, "home"),
    ),
    weekend=((9.5, "quay"), (11.0, "home"), (14.0, "east"), (16.0, "home")),
    week_km=(62, 62, 62, 62, 62, 34, 28),
    first_km=2_000,
    speed_kmh=28,
    battery_kwh=14.2,
    kwh_per_km=0.2,
    charge_kw=3.5,
    target_percent=100,
    electric_share=0.6,
    tank_liters=47,
    liters_per_km=0.066,
)  # fmt: skip


class Car:
    """One car. Everything it says is a function of time; it says nothing new while nothing happens."""

    def __init__(self, vin: str, brand: str, model: str, habits: Habits, seed: int) -> None:
        self.vin = vin
        self.brand = brand
        text = (resources.files("poller.simulator") / "models" / f"{model}.json").read_text()
        self._model: Mapping[str, Any] = json.loads(text)
        self._habits = habits
        self._seed = seed
        self._days: dict[date, Day] = {}

    def profile(self) -> dict[str, Any]:
        """The profile answer."""
        return {**self._model["profile"], "vin": self.vin}

    def charging(self) -> dict[str, Any]:
        """The charging settings answer."""
        return dict(self._model["charging"])

    def state(self, at: datetime) -> dict[str, Any]:
        """The state answer at `at`: what the car last reported, and when the cloud looked."""
        moment = self._last_report(at)
        state = {
            **self._model["state"],
            "lastFetched": rfc3339(at),
            "lastUpdatedAt": f"{moment.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "currentMileage": int(moment.odometer_km),
            "doorsState": self._doors(moment),
            "windowsState": self._windows(moment),
            "location": _location(moment),
            "climateControlState": _climate(moment),
            "electricChargingState": self._electric(moment),
            "requiredServices": _services(moment),
            "checkControlMessages": self._messages(moment),
            "tireState": self._tires(moment),
        }
        state["range"], state["combustionFuelLevel"] = self._ranges(moment)
        if "securityOverviewMode" in state:
            state["securityOverviewMode"] = "ARMED" if moment.locked and not moment.driving else "NOT_ARMED"
        return {"state": state, "capabilities": self._model["capabilities"]}

    def _last_report(self, at: datetime) -> Moment:
        day = self._day(day_of(at))
        index = bisect_right(day.reports, at)
        if index == 0:
            day = self._day(day_of(at) - timedelta(days=1))
            index = len(day.reports)
        return day.moment(day.reports[index - 1])

    def _day(self, wanted: date) -> Day:
        if wanted not in self._days:
            while len(self._days) >= 4:
                del self._days[next(iter(self._days))]
            self._days[wanted] = Day(self._habits, self._seed, wanted)
        return self._days[wanted]

    def _driver_side(self) -> str:
        return "leftFront" if self._model["state"]["isLeftSteering"] else "rightFront"

    def _doors(self, moment: Moment) -> dict[str, str]:
        doors = dict.fromkeys((*self._openings(), "hood", "trunk"), "CLOSED")
        if moment.driver_door_open:
            doors[self._driver_side()] = "OPEN"
        combined = "OPEN" if moment.driver_door_open else "CLOSED"
        security = "SECURED" if moment.locked and not moment.driving else "LOCKED"
        return doors | {
            "combinedState": combined,
            "combinedSecurityState": security if moment.locked else "UNLOCKED",
        }

    def _windows(self, moment: Moment) -> dict[str, str]:
        windows = dict.fromkeys(self._openings(), "CLOSED")
        if moment.driver_window_open:
            windows[self._driver_side()] = "OPEN"
        return windows | {"combinedState": "OPEN" if moment.driver_window_open else "CLOSED"}

    def _openings(self) -> tuple[str, ...]:
        fronts = ("leftFront", "rightFront")
        return fronts if self.brand == "mini" else (*fronts, "leftRear", "rightRear")

    def _electric(self, moment: Moment) -> dict[str, Any]:
        status = {
            "no": "INVALID", "waiting": "WAITING_FOR_CHARGING", "charging": "CHARGING", "done": "COMPLETE",
        }  # fmt: skip
        block = {
            "chargingLevelPercent": int(moment.soc),
            "chargingStatus": status[moment.charging],
            "chargingTarget": int(self._habits.target_percent),
            "chargingConnectionType": "CONDUCTIVE" if moment.plugged else "UNKNOWN",
            "isChargerConnected": moment.plugged,
            "range": self._electric_range(moment),
        }
        if moment.charged_at is not None:
            block["remainingChargingMinutes"] = -(-(moment.charged_at - moment.at) // timedelta(minutes=1))
        return block

    def _electric_range(self, moment: Moment) -> int:
        per_km = self._habits.kwh_per_km * (0.9 + 0.3 * moment.cold)
        return int(int(moment.soc) / 100 * self._habits.battery_kwh / per_km)

    def _ranges(self, moment: Moment) -> tuple[int, dict[str, int]]:
        """The total range, and the fuel block; a plug-in hybrid's own fuel range is the total, as in life."""
        electric = self._electric_range(moment)
        if not self._habits.tank_liters:
            return electric, {}
        total = electric + int(moment.fuel_liters / self._habits.liters_per_km)
        return total, {
            "range": total,
            "remainingFuelLiters": int(moment.fuel_liters),
            "remainingFuelPercent": int(100 * moment.fuel_liters / self._habits.tank_liters),
        }

    def _messages(self, moment: Moment) -> list[dict[str, str]]:
        year, week, _ = day_of(moment.at).isocalendar()
        messages = []
        if chance(self._seed, "tyre", year, week) < 0.2:
            messages.append({"type": "TIRE_PRESSURE", "severity": "LOW"})
        if self._habits.tank_liters:
            messages.append({"type": "ENGINE_OIL", "severity": "OK"})
        return messages

    def _tires(self, moment: Moment) -> dict[str, Any]:
        tires = {}
        for name, tire in self._model["state"]["tireState"].items():
            wobble = round(10 * chance(self._seed, name, day_of(moment.at)) - 5 - 8 * moment.cold)
            pressure = tire["status"]["targetPressure"] + wobble
            tires[name] = {**tire, "status": {**tire["status"], "currentPressure": pressure}}
        return tires


class CarGarage:
    """A garage of cars that move."""

    def __init__(self, cars: Sequence[Car]) -> None:
        self._cars = {car.vin: car for car in cars}

    @property
    def vins(self) -> tuple[str, ...]:
        """The cars, in the order in which they came."""
        return tuple(self._cars)

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        """The cars of one brand."""
        return [mapping(car.vin) for car in self._cars.values() if car.brand == brand]

    def profile(self, vin: str) -> bytes | None:
        """What the car is."""
        car = self._cars.get(vin)
        return None if car is None else _json(car.profile())

    def state(self, vin: str, at: datetime) -> bytes | None:
        """How the car stands at `at`."""
        car = self._cars.get(vin)
        return None if car is None else _json(car.state(at))

    def charging(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # settings do not change yet
        """Its charging settings."""
        car = self._cars.get(vin)
        return None if car is None else _json(car.charging())


def demo_garage(seed: int = 1) -> CarGarage:
    """An electric MINI that commutes (steered from the right), and a BMW plug-in hybrid on its rounds."""
    return CarGarage(
        [
            Car(MINI_VIN, "mini", "mini_cooper_se", _COMMUTER, seed),
            Car(BMW_VIN, "bmw", "bmw_x1_xdrive25e", _ROUNDS, seed + 1),
        ]
    )


def _location(moment: Moment) -> dict[str, Any]:
    latitude, longitude = (round(degrees, 6) for degrees in moment.position)
    return {
        "coordinates": {"latitude": latitude, "longitude": longitude},
        "heading": moment.heading,
        "address": {"formatted": "Open sea, simulated"},
    }


def _climate(moment: Moment) -> dict[str, Any]:
    if moment.climate == "INACTIVE":
        return {"activity": "INACTIVE"}
    return {"activity": moment.climate, "remainingSeconds": 600.0}


def _services(moment: Moment) -> list[dict[str, Any]]:
    """Every service comes round every two years, the oil and the check every 30,000 km as well."""
    services = []
    for kind, month, by_distance in (
        ("BRAKE_FLUID", 3, False), ("VEHICLE_TUV", 6, False), ("VEHICLE_CHECK", 9, True), ("OIL", 11, True),
    ):  # fmt: skip
        year = moment.at.year
        due = datetime(year, month, 1, tzinfo=UTC)
        if due <= moment.at:
            due = due.replace(year=year + 1)
        if due.year % 2:
            due = due.replace(year=due.year + 1)
        pending = due - moment.at < timedelta(days=30)
        entry: dict[str, Any] = {
            "type": kind,
            "status": "PENDING" if pending else "OK",
            "dateTime": rfc3339(due),
        }
        if by_distance:
            entry["mileage"] = 30_000 - int(moment.odometer_km) % 30_000 // 500 * 500
        services.append(entry | {"description": "Simulated."})
    return services


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
