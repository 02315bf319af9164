"""Views in, series out: names, labels, ages, and what is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from poller.sinks.base import SinkContext
from poller.sinks.prometheus import PrometheusSink, VehicleCollector
from poller.sinks.settings import PrometheusSettings
from poller.testing.clock import ManualClock
from poller.vehicle.fleet import SourceMark, VehicleView
from poller.vehicle.privacy import Rendering
from poller.vehicle.snapshot import Reading

VIN = "WMW00000000000001"
NOW = ManualClock().now()
HOUR = timedelta(hours=1)


def view(readings: dict, *, vin: str = VIN, sources: dict | None = None) -> VehicleView:
    marks = sources or {"bmw": SourceMark(up=True, last_success_at=NOW, report_at=NOW - HOUR)}
    source = next(iter(marks))
    return VehicleView(vin, {key: (Reading(value, NOW), source) for key, value in readings.items()}, marks)


def sink(tmp_path, *, clock: ManualClock | None = None, **settings) -> PrometheusSink:
    parsed = PrometheusSettings.model_validate({"type": "prometheus", **settings})
    rendering = Rendering({VIN: "mini"}, parsed.location, parsed.vin, b"key")
    return PrometheusSink("prometheus", parsed, SinkContext(clock or ManualClock(), tmp_path, rendering))


def samples(prometheus: PrometheusSink) -> dict[str, float]:
    """``name{label="value"}`` → value."""
    text = generate_latest(prometheus.registry).decode()
    rows = [row.rpartition(" ") for row in text.splitlines() if not row.startswith("#")]
    return {series: float(value) for series, _, value in rows}


async def test_signals_come_in_base_units(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(
        view({
            "odometer_km": 45_123,
            "soc_percent": 57,
            "locked": True,
            "charging_end_at": datetime(2026, 11, 21, 16, 0, tzinfo=UTC),
            "tire_pressure_kpa.front_left": 230,
            "service_due_km.oil": 12_000,
        })
    )  # fmt: skip
    shown = samples(prometheus)
    assert shown['vehicle_odometer_meters{vehicle="mini"}'] == 45_123_000
    assert shown['vehicle_soc_ratio{vehicle="mini"}'] == 0.57
    assert shown['vehicle_locked{vehicle="mini"}'] == 1
    assert shown['vehicle_charging_end_timestamp_seconds{vehicle="mini"}'] == 1795276800
    assert shown['vehicle_tire_pressure_pascals{position="front_left",vehicle="mini"}'] == 230_000
    assert shown['vehicle_service_due_distance_meters{service="oil",vehicle="mini"}'] == 12_000_000


async def test_an_enumeration_has_one_series_a_state_and_one_of_them_is_1(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(view({"climate_state": "heating", "check_control.oil": "nonsense"}))
    shown = samples(prometheus)
    states = {k: v for k, v in shown.items() if k.startswith("vehicle_climate_state{")}
    assert len(states) == 6
    assert [k for k, v in states.items() if v] == [
        'vehicle_climate_state{vehicle="mini",vehicle_climate_state="heating"}'
    ]
    assert shown[
        'vehicle_check_control{message="oil",vehicle="mini",vehicle_check_control="unknown"}'
    ] == 1  # fmt: skip


async def test_facts_about_a_source_carry_its_name(tmp_path) -> None:
    prometheus = sink(tmp_path)
    marks = {"bmw": SourceMark(up=False, last_success_at=NOW, report_at=None), "home": SourceMark()}
    await prometheus.publish(view({"soc_percent": 80}, sources=marks))
    shown = samples(prometheus)
    assert {k: v for k, v in shown.items() if "source=" in k} == {
        'vehicle_up{source="bmw",vehicle="mini"}': 0,
        'vehicle_last_success_timestamp_seconds{source="bmw",vehicle="mini"}': NOW.timestamp(),
    }


async def test_texts_are_labels_of_one_series(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(view({"model": 'MINI "SE"', "year": "2024"}))
    assert samples(prometheus)['vehicle_info{model="MINI \\"SE\\"",vehicle="mini",year="2024"}'] == 1


async def test_each_signals_own_time_is_there_on_demand(tmp_path) -> None:
    shown = view({"soc_percent": 80, "door_open.front_left": True})
    at = shown.readings["soc_percent"][0].observed_at.timestamp()
    for wanted in (False, True):
        prometheus = sink(tmp_path, signal_times=wanted)
        await prometheus.publish(shown)
        times = {k: v for k, v in samples(prometheus).items() if k.startswith("vehicle_signal_timestamp")}
        assert times == {
            f'vehicle_signal_timestamp_seconds{{signal="{key}",vehicle="mini"}}': at
            for key in ("soc_percent", "door_open.front_left")
            if wanted
        }


@pytest.mark.parametrize(("mode", "label"), [("full", f'vin="{VIN}"'), ("short", None), ("hash", None)])
async def test_the_vin_is_shown_only_if_asked_for(tmp_path, mode, label) -> None:
    prometheus = sink(tmp_path, vin=mode)
    await prometheus.publish(view({"soc_percent": 80}))
    info = next(series for series in samples(prometheus) if series.startswith("vehicle_info"))
    assert (label in info) if label else ("vin=" not in info)


@pytest.mark.parametrize(("location", "shown"), [("none", None), ("rounded", 48.14), ("exact", 48.13712)])
async def test_position_only_if_asked_for(tmp_path, location, shown) -> None:
    prometheus = sink(tmp_path, location=location)
    await prometheus.publish(view({"latitude_degrees": 48.13712}))
    assert samples(prometheus).get('vehicle_latitude_degrees{vehicle="mini"}') == shown


async def test_the_default_shows_no_position(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(
        view({"latitude_degrees": 48.1, "longitude_degrees": 11.5, "heading_degrees": 9})
    )
    assert not [series for series in samples(prometheus) if "tude" in series or "heading" in series]


async def test_old_values_are_withheld_and_their_ages_are_not(tmp_path) -> None:
    clock = ManualClock()
    prometheus = sink(tmp_path, clock=clock, max_age="1h")
    await prometheus.publish(view({"soc_percent": 80, "model": "i3"}))
    clock.jump(3599)
    assert 'vehicle_soc_ratio{vehicle="mini"}' in samples(prometheus)
    clock.jump(2)
    shown = samples(prometheus)
    assert 'vehicle_soc_ratio{vehicle="mini"}' not in shown
    assert 'vehicle_up{source="bmw",vehicle="mini"}' in shown
    assert 'vehicle_info{model="i3",vehicle="mini"}' in shown


async def test_the_value_of_a_source_that_still_answers_stays(tmp_path) -> None:
    """With two sources it is the age of the one that gave the reading that counts."""
    prometheus = sink(tmp_path, max_age="1h")
    marks = {"old": SourceMark(last_success_at=NOW - 2 * HOUR), "new": SourceMark(last_success_at=NOW)}
    readings = {"soc_percent": (Reading(80, NOW), "old"), "odometer_km": (Reading(10, NOW), "new")}
    await prometheus.publish(VehicleView(VIN, readings, marks))
    shown = samples(prometheus)
    assert 'vehicle_odometer_meters{vehicle="mini"}' in shown
    assert 'vehicle_soc_ratio{vehicle="mini"}' not in shown


async def test_a_view_that_cannot_be_shown_costs_only_itself_and_is_said_once(tmp_path) -> None:
    prometheus = sink(tmp_path)
    with structlog.testing.capture_logs() as logs:
        await prometheus.publish(view({"soc_percent": "lots", "odometer_km": 5}))
        await prometheus.publish(view({"soc_percent": 80}, vin="WBA00000000000002"))
        for _ in range(3):
            shown = samples(prometheus)
    assert 'vehicle_soc_ratio{vehicle="0000002"}' in shown
    assert not [series for series in shown if 'vehicle="mini"' in series]
    assert [entry["event"] for entry in logs] == ["view.unusable"]


async def test_two_vehicles_of_one_name_are_never_mixed_and_it_is_said(tmp_path) -> None:
    prometheus = sink(tmp_path)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await prometheus.publish(view({"soc_percent": 10}, vin="WBA11111112345678"))
            await prometheus.publish(view({"soc_percent": 90}, vin="WBA22222222345678"))
    assert samples(prometheus)['vehicle_soc_ratio{vehicle="2345678"}'] == 0.1
    assert [entry["event"] for entry in logs] == ["vehicle.name_taken"]
    await prometheus.retire("WBA11111112345678")
    assert samples(prometheus)['vehicle_soc_ratio{vehicle="2345678"}'] == 0.9


async def test_nothing_is_stamped_with_a_time(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(view({"soc_percent": 80}))
    assert all(s.timestamp is None for family in prometheus.registry.collect() for s in family.samples)


async def test_signals_that_are_absent_leave_no_trace(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(view({"soc_percent": 80}))
    names = {family.name for family in prometheus.registry.collect()}
    assert names == {
        "vehicle_soc_ratio", "vehicle_up", "vehicle_last_success_timestamp_seconds",
        "vehicle_report_timestamp_seconds", "vehicle",
    }  # fmt: skip


def test_names_are_told_in_advance_so_that_a_second_such_sink_is_refused() -> None:
    registry = CollectorRegistry()
    for times in (1, 2):
        collector = VehicleCollector(
            "prometheus", Rendering({}), ManualClock(), PrometheusSettings(type="prometheus")
        )
        if times == 1:
            registry.register(collector)
            continue
        with pytest.raises(ValueError, match="Duplicated"):
            registry.register(collector)


async def test_a_scrape_can_ask_for_some_names_only(tmp_path) -> None:
    prometheus = sink(tmp_path)
    await prometheus.publish(view({"soc_percent": 80, "odometer_km": 1}))
    text = generate_latest(prometheus.registry.restricted_registry(["vehicle_soc_ratio"])).decode()
    assert "vehicle_soc_ratio{" in text
    assert "odometer" not in text
