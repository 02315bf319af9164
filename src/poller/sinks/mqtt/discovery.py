"""What Home Assistant is told so that vehicles appear by themselves: one configuration an entity. Pure.

The format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and the pages of `sensor.mqtt`,
`binary_sensor.mqtt` and `device_tracker.mqtt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poller import __version__
from poller.sinks.mqtt.link import OFFLINE, ONLINE
from poller.sinks.mqtt.topics import LOCATION, REPORT_AT, SUCCESS_AT, UP, Names
from poller.vehicle.fleet import VehicleView
from poller.vehicle.records import dumps
from poller.vehicle.signals import BY_KEY, Kind, Signal, split_key

Config = dict[str, Any]

#: A topic that was cleared is a value that is not known any more.
_UNKNOWN_IF_EMPTY = "{{ value if value else 'None' }}"
_DIAGNOSTIC = {"entity_category": "diagnostic"}
#: unit of the catalogue → (unit, device class)
_UNITS = {
    "km": ("km", "distance"),
    "%": ("%", None),
    "l": ("L", "volume_storage"),
    "W": ("W", "power"),
    "s": ("s", "duration"),
    "A": ("A", "current"),
    "kWh": ("kWh", "energy_storage"),
    "V": ("V", "voltage"),
    "kPa": ("kPa", "pressure"),
}
_BOOLS = {
    "plugged": "plug",
    "charging": "battery_charging",
    "moving": "moving",
    "locked": "lock",
    "door_open": "door",
    "window_open": "window",
    "sunroof_open": "window",
    "hood_open": "opening",
    "trunk_open": "opening",
    "convertible_top_open": "opening",
}
_COUNTERS = frozenset({"odometer_km"})
#: Set by somebody, not measured: their average says nothing.
_SETTINGS = frozenset(
    {"soc_target_percent", "charging_ac_limit_amperes", "tire_pressure_target_kpa", "service_due_km"}
)
_DIAGNOSTICS = frozenset(
    {
        "charging_mode", "charging_preference", "charging_control_type", "charging_connection",
        "charging_ac_limit_amperes", "charging_ac_limited", "battery_capacity_kwh",
        "battery_health_percent", "aux_battery_volts", "deep_sleep", "tire_pressure_target_kpa",
        "tire_season", "software_version", "idrive_version",
    }
)  # fmt: skip
#: Texts with an entity of their own; the others say what the device is.
_TEXTS = frozenset({"software_version", "idrive_version"})


@dataclass(frozen=True, slots=True)
class Announcer:
    """Makes the configurations. `prefix`: Home Assistant's; `poller`: a word for this installation."""

    prefix: str
    names: Names
    poller: str

    def about_poller(self) -> Mapping[str, str]:
        """Topic → configuration: whether the poller itself is there."""
        config = {
            "name": "Connection",
            "state_topic": self.names.status,
            "payload_on": ONLINE,
            "payload_off": OFFLINE,
            "device_class": "connectivity",
            **_DIAGNOSTIC,
        }
        device = {"identifiers": [self.poller], "name": "Poller", "sw_version": __version__}
        return dict([self._announced("binary_sensor", self.poller, "connection", config, device)])

    def about(self, view: VehicleView, seen: frozenset[str]) -> Mapping[str, str]:
        """Topic → configuration of every entity of a vehicle; `seen`: all record keys that it ever had."""
        uid, device = self.uid(view.vin), self._device(view)
        available = {
            "availability_topic": self.names.status,
            "payload_available": ONLINE,
            "payload_not_available": OFFLINE,
        }
        return dict(
            self._announced(component, uid, key, {**config, **available}, device)
            for key, component, config in self._entities(view.vin, seen)
        )

    def uid(self, vin: str) -> str:
        """The vehicle in Home Assistant's ids: as much of the VIN as this sink may show, no name of it."""
        return "poller_" + re.sub(r"[^a-z0-9]+", "_", self.names.rendering.shown_vin(vin).lower())

    def _entities(self, vin: str, seen: frozenset[str]) -> Iterator[tuple[str, str, Config]]:
        for key in sorted(seen):
            name, dimension = split_key(key)
            signal = BY_KEY.get(name)
            if signal is not None and (entity := _entity(signal, dimension)) is not None:
                component, config = entity
                yield key, component, {**config, "state_topic": self.names.of(vin, key)}
        if self.names.rendering.location != "none" and {"latitude_degrees", "longitude_degrees"} <= seen:
            yield LOCATION, "device_tracker", {
                "name": "Location",
                "source_type": "gps",
                "json_attributes_topic": self.names.of(vin, LOCATION),
                "json_attributes_template": "{{ value if value else '{}' }}",
            }  # fmt: skip
        for key, component, config in _MARKS:
            yield key, component, {**config, "state_topic": self.names.of(vin, key)}

    def _device(self, view: VehicleView) -> Config:
        texts = {key: str(reading.value) for key, (reading, _) in view.readings.items() if _is_text(key)}
        rendering = self.names.rendering
        title = rendering.names.get(view.vin) or texts.get("model") or rendering.slug(view.vin)
        device: Config = {"identifiers": [self.uid(view.vin)], "name": title, "via_device": self.poller}
        for name, value in (
            ("manufacturer", texts.get("brand")),
            ("model", texts.get("model")),
            ("sw_version", texts.get("software_version")),
            ("serial_number", rendering.shown_vin(view.vin) if rendering.vin == "full" else None),
        ):
            if value:
                device[name] = value
        return device

    def _announced(
        self, component: str, uid: str, key: str, config: Config, device: Config
    ) -> tuple[str, str]:
        word = key.replace(".", "_")
        origin = {"name": "poller", "sw_version": __version__}
        whole = {**config, "unique_id": f"{uid}_{word}", "device": device, "origin": origin}
        return f"{self.prefix}/{component}/{uid}/{word}/config", dumps(whole)


def _is_text(key: str) -> bool:
    signal = BY_KEY.get(key)
    return signal is not None and signal.kind is Kind.TEXT


def _entity(signal: Signal, dimension: str | None) -> tuple[str, Config] | None:
    """Component and configuration; None for a signal that Home Assistant has in another way."""
    if signal.private or (signal.kind is Kind.TEXT and signal.key not in _TEXTS):
        return None
    config: Config = {"name": " ".join([signal.label, *(dimension or "").split("_")]).strip()}
    if signal.key in _DIAGNOSTICS:
        config |= _DIAGNOSTIC
    if signal.key == "check_control":
        # A message that is gone has no topic any more: no problem.
        template = "{{ 'ON' if value else 'OFF' }}"
        return "binary_sensor", {**config, "device_class": "problem", "value_template": template}
    config["value_template"] = _UNKNOWN_IF_EMPTY
    if signal.kind is Kind.BOOL:
        return "binary_sensor", config | _bool(signal.key)
    return "sensor", config | _sensor(signal)


def _bool(key: str) -> Config:
    # To Home Assistant a lock is "on" when it is open.
    on, off = ("false", "true") if key == "locked" else ("true", "false")
    config: Config = {"payload_on": on, "payload_off": off}
    if key in _BOOLS:
        config["device_class"] = _BOOLS[key]
    return config


def _sensor(signal: Signal) -> Config:
    match signal.kind:
        case Kind.ENUM:
            # To Home Assistant "unknown" is no value, but the lack of one.
            known = [state for state in signal.states if state != "unknown"]
            template = "{{ value if value and value != 'unknown' else 'None' }}"
            return {"device_class": "enum", "options": known, "value_template": template}
        case Kind.TIME:
            return {"device_class": "timestamp"}
        case Kind.NUMBER if signal.unit in _UNITS:
            unit, device_class = _UNITS[signal.unit]
            config: Config = {"unit_of_measurement": unit}
            if signal.key == "soc_percent":
                device_class = "battery"
            if device_class is not None:
                config["device_class"] = device_class
            if signal.key not in _SETTINGS:
                config["state_class"] = "total_increasing" if signal.key in _COUNTERS else "measurement"
            return config
    return {}


_MARKS: tuple[tuple[str, str, Config], ...] = tuple(
    (key, component, {"name": name, "value_template": _UNKNOWN_IF_EMPTY, **config, **_DIAGNOSTIC})
    for key, component, name, config in (
        (UP, "binary_sensor", "Answers", {"device_class": "connectivity", **_bool(UP)}),
        (REPORT_AT, "sensor", "Last report of the car", {"device_class": "timestamp"}),
        (SUCCESS_AT, "sensor", "Last answer", {"device_class": "timestamp"}),
    )
)
