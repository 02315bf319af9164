"""docs/records.md shows what really leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from poller.vehicle.alert import Alert, alert_record
from poller.vehicle.answer import Answer
from poller.vehicle.command import CommandState, Order, Outcome, Service, command_record
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import KINDS, Record, snapshot_record
from poller.vehicle.snapshot import SnapshotBuilder

VIN = "WMW00000000000001"
RECEIVED = datetime(2026, 11, 21, 14, 2, 3, 123000, tzinfo=UTC)
OBSERVED = datetime(2026, 11, 21, 13, 58, tzinfo=UTC)
EARLIER = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)


def example() -> Record:
    builder = SnapshotBuilder("bmw", VIN, RECEIVED, OBSERVED)
    builder.put("odometer_km", 45123)
    builder.put("soc_percent", 80)
    builder.put("charging_state", "charging")
    builder.put("charging_end_at", datetime(2026, 11, 21, 16, 20, tzinfo=UTC))
    builder.put("door_open", False, dimension="front_left")
    builder.put("service_due_at", datetime(2027, 10, 1, tzinfo=UTC), dimension="brake_fluid")
    builder.put("tire_pressure_kpa", 230, dimension="front_left", observed_at=EARLIER)
    builder.put("latitude_degrees", 48.17718)
    builder.put("longitude_degrees", 11.55672)
    return snapshot_record(builder.build(), Answer("bmw", "mybmw", VIN, RECEIVED, {"state": b"{}"}))


def told_alert() -> Alert:
    at = datetime(2026, 11, 21, 14, 12, 3, 123000, tzinfo=UTC)
    return Alert(
        rule="window_open",
        state="raised",
        severity="warning",
        subject="",
        raised_at=at,
        told_at=at,
        title="MINI: a window is open",
        text="The front left window has been open for 12 minutes while the car is parked.",
        vin=VIN,
        source="bmw",
        values={"positions": ["front_left"], "locked": False},
    )


def told() -> Record:
    return alert_record(told_alert())


@pytest.fixture(scope="module")
def blocks(pages) -> list[dict]:
    return [json.loads(text) for info, text in pages["docs/records.md"].blocks() if info == "json"]


def test_the_example_is_a_record_as_it_leaves(blocks) -> None:
    assert blocks[0] == Rendering({VIN: "mini"}).render(example())


def test_the_example_for_a_curious_sink_is_what_such_a_sink_gets(blocks) -> None:
    rendering = Rendering({}, location="none", vin="hash", key=b"this installation")
    assert blocks[3] == rendering.render(example())


def test_the_example_of_an_alert_is_what_a_sink_gets(blocks) -> None:
    assert blocks[1] == Rendering({VIN: "mini"}).render(told())


def ordered() -> Record:
    order = Order(VIN, "charging_settings", {"target_soc": 80})
    outcome = Outcome(CommandState.ERROR, "The car said that it failed.")
    at = datetime(2026, 11, 21, 14, 20, 3, 500000, tzinfo=UTC)
    return command_record(order, "bmw", at, outcome=outcome, at=at + timedelta(seconds=11))


def test_the_example_of_a_command_is_what_a_sink_gets(blocks) -> None:
    assert blocks[2] == Rendering({VIN: "mini"}).render(ordered())


def test_every_key_state_and_service_of_a_command_is_in_the_table(pages) -> None:
    text = pages["docs/records.md"].text
    assert [key for key in ordered().body if f"\n| `{key}` |" not in text] == []
    assert [word for word in (*CommandState, *get_args(Service)) if f"`{word}`" not in text] == []


def test_every_key_of_an_alert_is_in_the_table(pages) -> None:
    alert = replace(told_alert(), state="cleared", cleared_at=RECEIVED, reminder=1, event=True)
    text = pages["docs/records.md"].text
    assert [key for key in alert_record(alert).body if f"`{key}`" not in text] == []


def test_every_key_of_the_envelope_is_in_the_table(pages, blocks) -> None:
    amended = Record("0" * 32, "trip", VIN, "bmw", RECEIVED, None, {}, revision=2, replayed=True)
    keys = {*blocks[0], *Rendering({}).render(amended)}
    text = pages["docs/records.md"].text
    assert [key for key in keys if f"\n| `{key}` |" not in text] == []
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
