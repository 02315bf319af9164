"""A source that leaves the configuration: what it said last must not count for ever."""

from __future__ import annotations

from datetime import timedelta

from alert_stage import NOON, VIN, WELL, Stage, line, snapshot

from poller.derive.alerts.active import active
from poller.derive.alerts.car import AlertDeriver
from poller.vehicle.display import Display


def test_its_times_its_messages_and_its_software_give_way_to_the_other_source() -> None:
    stage = Stage()
    stage.every(range(0, 60, 10), {"check_control.oil": "high", "software_version": "1"}, source="home")
    assert stage.raised == ["check_control"]
    display = Display("metric", stage.zone)
    alone = AlertDeriver(stage.settings, display, own={}, names={VIN: "mini"}, live=["bmw"])
    state, told = stage.state, []
    for minute in range(60, 180, 10):
        version = "1.0" if minute < 150 else "2.0"
        said = {**WELL, "trunk_open": True, "locked": False, "software_version": version}
        shown = snapshot(NOON + timedelta(minutes=minute), said, observed=None)
        state, records = alone.derive(state, shown)
        told += map(line, records)
    assert "raised warning trunk_open" in told
    assert "cleared warning check_control oil" in told
    assert told.count("raised info software_changed") == 1
    assert "check_control" not in [one.rule for one in active(state, "mini", NOON)]
