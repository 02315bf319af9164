"""How big the journal gets: a month of answers that change as a car's do, polled every five minutes."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from poller.journal import place
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.testing.clock import ManualClock
from poller.vehicle.answer import Answer
from poller.vehicle.records import Record, record_id, rfc3339

POLLS_A_YEAR = 105_120
#: Three of thirty days in a plain run; `make soak` takes the month.
DAYS = 3
LIMIT = 70_000_000
VIN = "WBY00000000000001"
START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(slots=True)
class Life:
    """A made-up electric car: parks at night, drives morning and evening, charges in between."""

    rng: random.Random
    mileage: float = 24_310
    soc: float = 80
    latitude: float = 48.1771
    longitude: float = 11.5562
    report: datetime = START

    def live(self, now: datetime) -> None:
        """Five minutes of it; the car reports when it does something, and now and then by itself."""
        driving = now.hour in (7, 8, 17, 18)
        charging = now.hour in (12, 13, 14) and self.soc < 80
        if driving:
            self.mileage += self.rng.uniform(1, 6)
            self.soc = max(10, self.soc - self.rng.uniform(0.2, 1.4))
            self.latitude += self.rng.uniform(-0.02, 0.02)
            self.longitude += self.rng.uniform(-0.02, 0.02)
        if charging:
            self.soc += self.rng.uniform(0.5, 1.2)
        if driving or charging or self.rng.random() < 0.05:
            self.report = now - timedelta(seconds=self.rng.randrange(20, 200))

    def state(self, now: datetime) -> dict[str, Any]:
        """Some 10 kB; the server's own time differs in every one, most else seldom."""
        return {
            "state": {
                "lastFetched": rfc3339(now - timedelta(milliseconds=self.rng.randrange(900))),
                "lastUpdatedAt": rfc3339(self.report),
                "isLscSupported": True,
                "range": int(self.soc * 4.1),
                "currentMileage": int(self.mileage),
                "electricChargingState": {
                    "chargingLevelPercent": int(self.soc),
                    "range": int(self.soc * 4.1),
                    "isChargerConnected": now.hour in (12, 13, 14),
                    "chargingStatus": "CHARGING" if now.hour in (12, 13, 14) else "INVALID",
                    "remainingChargingMinutes": int((80 - self.soc) * 4),
                },
                "location": {
                    "coordinates": self._place(),
                    "address": {"formatted": f"Somewhere {int(self.latitude * 1000)}, A Town"},
                    "heading": int(self.latitude * 1e4) % 360,
                },
                "tireState": {
                    place: {
                        "status": {
                            "currentPressure": 250 + int(self.mileage / 50 + at) % 9,
                            "targetPressure": 250,
                            "pressureStatus": 0,
                            "wearStatus": 0,
                        },
                        "details": {"dimension": "225/35 R20 90Y XL", "part": f"made-up-{at:04}"},
                    }
                    for at, place in enumerate(["frontLeft", "frontRight", "rearLeft", "rearRight"])
                },
                "requiredServices": [
                    {
                        "dateTime": f"2027-{month:02}-01T00:00:00.000Z",
                        "type": f"SERVICE_{month}",
                        "status": "OK",
                        "description": f"What is due in month {month}, in as many words as a maker needs.",
                    }
                    for month in range(1, 9)
                ],
            },
            "capabilities": {
                f"isCapabilityNumber{n}Supported": self._capability(n) for n in range(150)
            },
        }  # fmt: skip

    def _place(self) -> dict[str, float]:
        return {"latitude": round(self.latitude, 6), "longitude": round(self.longitude, 6)}

    @staticmethod
    def _capability(number: int) -> bool | str:
        return bool(number % 3) if number % 5 else f"KIND_{number * 7919 % 97}"

    def readings(self) -> dict[str, Any]:
        """Some sixty readings, as many as an electric car gives."""
        few = {
            "odometer_km": int(self.mileage), "soc_percent": int(self.soc),
            "range_electric_km": int(self.soc * 4.1),
            "latitude_degrees": round(self.latitude, 6), "longitude_degrees": round(self.longitude, 6),
            "heading_degrees": int(self.latitude * 1e4) % 360,
            "charging_remaining_seconds": int((80 - self.soc) * 240),
        }  # fmt: skip
        return few | {f"service_due_at.number_{n}": f"2027-{n % 12 + 1:02}-01T00:00:00Z" for n in range(53)}


def poll(life: Life, now: datetime) -> Entry:
    life.live(now)
    bodies = {
        "state": json.dumps(life.state(now)).encode(),
        "charging": json.dumps({"targetSoc": 80, "plan": [f"{n:02}:00" for n in range(24)] * 5}).encode(),
        "profile": json.dumps({"model": "made-up", "options": [f"option {n}" for n in range(40)]}).encode(),
    }
    answer = Answer("bmw", "mybmw", VIN, now, bodies)
    fingerprint = record_id(*map(str, life.readings().values()))
    record = Record(
        record_id("bmw", VIN, rfc3339(now), answer.digest()), "snapshot", VIN, "bmw",
        now, life.report, {"readings": life.readings()}, fingerprint=fingerprint,
    )  # fmt: skip
    return Entry(answer=answer, records=(record,), state={"derive:trips": {"since": rfc3339(now)}})


async def bytes_a_year(path: Path, rng: random.Random, days: int) -> float:
    journal = SqliteJournal(path, Policy(), ManualClock())
    await journal.open(["files", "axiom"])
    life = Life(rng)
    for day in range(days):
        morning = START + timedelta(days=day)
        entries = [poll(life, morning + timedelta(minutes=5 * number)) for number in range(288)]
        assert 8_000 < len(entries[0].answer.bodies["state"]) < 14_000
        await asyncio.gather(*map(journal.append, entries))
    await journal.close()
    return place.size_of(path) / (days * 288) * POLLS_A_YEAR


async def test_a_car_and_year_stays_small(tmp_path, rng):
    a_year = await bytes_a_year(tmp_path / "journal.db", rng, DAYS)
    print(f"{a_year / 1e6:.1f} MB per car and year")  # noqa: T201 - the figure is wanted too
    assert a_year <= LIMIT


@pytest.mark.soak
async def test_a_car_and_year_stays_small_over_a_month(tmp_path, rng):
    a_year = await bytes_a_year(tmp_path / "journal.db", rng, 10 * DAYS)
    print(f"{a_year / 1e6:.1f} MB per car and year")  # noqa: T201 - the figure is wanted too
    assert a_year <= LIMIT
