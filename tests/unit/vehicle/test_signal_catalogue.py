"""The catalogue is a contract: names, kinds and metrics of the core signals."""

import re

import pytest

from poller.vehicle.signals import BY_KEY, SIGNALS, Kind, signal_of, valid_dimension

#: record key → metric name without ``vehicle_`` (None: no series of its own), kind, dimension
CORE = {
    "odometer_km": ("odometer_meters", "number", None),
    "soc_percent": ("soc_ratio", "number", None),
    "soc_target_percent": ("soc_target_ratio", "number", None),
    "range_electric_km": ("range_electric_meters", "number", None),
    "range_fuel_km": ("range_fuel_meters", "number", None),
    "range_total_km": ("range_meters", "number", None),
    "fuel_liters": ("fuel_liters", "number", None),
    "fuel_percent": ("fuel_ratio", "number", None),
    "plugged": ("plugged", "bool", None),
    "charging": ("charging", "bool", None),
    "charging_state": ("charging_state", "enum", None),
    "charging_power_watts": ("charging_power_watts", "number", None),
    "charging_remaining_seconds": ("charging_remaining_seconds", "number", None),
    "charging_end_at": ("charging_end_timestamp_seconds", "time", None),
    "charging_start_at": ("charging_start_timestamp_seconds", "time", None),
    "charging_mode": (None, "enum", None),
    "charging_preference": (None, "enum", None),
    "charging_ac_limit_amperes": ("charging_ac_limit_amperes", "number", None),
    "battery_capacity_kwh": ("battery_capacity_joules", "number", None),
    "battery_health_percent": ("battery_health_ratio", "number", None),
    "locked": ("locked", "bool", None),
    "lock_state": ("lock_state", "enum", None),
    "door_open": ("door_open", "bool", "position"),
    "window_open": ("window_open", "bool", "position"),
    "hood_open": ("hood_open", "bool", None),
    "trunk_open": ("trunk_open", "bool", None),
    "sunroof_open": ("sunroof_open", "bool", None),
    "latitude_degrees": ("latitude_degrees", "number", None),
    "longitude_degrees": ("longitude_degrees", "number", None),
    "heading_degrees": ("heading_degrees", "number", None),
    "moving": ("moving", "bool", None),
    "tire_pressure_kpa": ("tire_pressure_pascals", "number", "position"),
    "tire_pressure_target_kpa": ("tire_pressure_target_pascals", "number", "position"),
    "service_state": ("service_state", "enum", "service"),
    "service_due_at": ("service_due_timestamp_seconds", "time", "service"),
    "service_due_km": ("service_due_distance_meters", "number", "service"),
    "check_control": ("check_control", "enum", "message"),
    "climate_state": ("climate_state", "enum", None),
    "climate_end_at": ("climate_end_timestamp_seconds", "time", None),
    "aux_battery_volts": ("aux_battery_volts", "number", None),
    **dict.fromkeys(
        ("software_version", "head_unit", "model", "brand", "year", "drive_train"), (None, "text", None)
    ),
}


@pytest.mark.parametrize("key", CORE)
def test_core_signals_keep_their_names(key):
    metric, kind, dimension = CORE[key]
    signal = BY_KEY[key]
    assert (signal.metric, signal.kind, signal.dimension) == (metric, kind, dimension)


def test_record_keys_and_metrics_are_unique():
    assert len(BY_KEY) == len(SIGNALS)
    metrics = [signal.metric for signal in SIGNALS if signal.metric]
    assert len(metrics) == len(set(metrics))


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.key)
def test_every_signal_is_complete(signal):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", signal.key)
    assert signal.label
    assert (signal.kind is Kind.NUMBER) == (signal.unit is not None) == (signal.bounds is not None)
    assert (signal.kind is Kind.ENUM) == ("unknown" in signal.states)


def test_position_is_private_and_nothing_else():
    private = {signal.key for signal in SIGNALS if signal.private}
    assert private == {"latitude_degrees", "longitude_degrees", "heading_degrees"}


def test_dimensions_are_closed_or_short_tokens():
    door, service, odometer = BY_KEY["door_open"], BY_KEY["service_state"], BY_KEY["odometer_km"]
    assert valid_dimension(door, "front_left")
    assert not valid_dimension(door, "boot")
    assert valid_dimension(service, "brake_fluid")
    assert not valid_dimension(service, "Brake fluid; DROP")
    assert not valid_dimension(service, "x" * 64)
    assert valid_dimension(odometer, None)
    assert not valid_dimension(odometer, "front_left")


def test_an_unknown_key_has_no_signal():
    assert signal_of("flux_capacitor.left") is None
    assert signal_of("door_open.front_left") is BY_KEY["door_open"]
