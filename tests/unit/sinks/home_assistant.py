"""What Home Assistant accepts as a discovery message, rebuilt from its documentation.

Sources: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and, linked from there, the
configuration variables of `sensor.mqtt`, `binary_sensor.mqtt`, `device_tracker.mqtt`; device classes with
their units and state classes from https://www.home-assistant.io/integrations/sensor/#device-class,
https://developers.home-assistant.io/docs/core/entity/sensor/ and
https://www.home-assistant.io/integrations/binary_sensor/#device-class. As of 2026.11.

Stricter than the original, which drops keys that it does not know: here they are an error.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

import jinja2
from pydantic import BaseModel, ConfigDict, Field, model_validator

TOPIC = re.compile(
    r"(?P<component>\w+)/(?:(?P<node_id>[a-zA-Z0-9_-]+)/)?(?P<object_id>[a-zA-Z0-9_-]+)/config"
)
#: device class → its units; only those that anybody of us uses, and what stands beside them.
UNITS = {
    name: set(units.split())
    for name, units in {
        "battery": "%",
        "current": "A mA",
        "distance": "km m mi cm mm ft in yd nmi",
        "duration": "d h min s ms µs",
        "energy_storage": "Wh kWh MWh J kJ MJ GJ",
        "power": "mW W kW MW",
        "pressure": "Pa hPa kPa bar mbar psi inHg mmHg",
        "voltage": "V mV kV µV",
        "volume_storage": "L mL gal m³ ft³",
    }.items()
}
_TOTALS = {"total", "total_increasing"}
STATE_CLASSES = {
    name: {"measurement"} | (_TOTALS if name in ("distance", "duration") else set()) for name in UNITS
}
_BINARY = Literal[
    "battery", "battery_charging", "carbon_monoxide", "cold", "connectivity", "door", "garage_door", "gas",
    "heat", "light", "lock", "moisture", "motion", "moving", "occupancy", "opening", "plug", "power",
    "presence", "problem", "running", "safety", "smoke", "sound", "tamper", "update", "vibration", "window",
]  # fmt: skip


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Device(Strict):
    identifiers: list[str] = Field(min_length=1)
    name: str
    manufacturer: str | None = None
    model: str | None = None
    sw_version: str | None = None
    serial_number: str | None = None
    via_device: str | None = None


class Origin(Strict):
    name: str
    sw_version: str | None = None


class Entity(Strict):
    name: str | None
    unique_id: str
    device: Device
    origin: Origin
    availability_topic: str | None = None
    payload_available: str = "online"
    payload_not_available: str = "offline"
    entity_category: Literal["diagnostic"] | None = None

    @model_validator(mode="after")
    def _topics(self) -> Entity:
        for field in ("availability_topic", "state_topic", "json_attributes_topic"):
            topic = getattr(self, field, None)
            assert topic is None or (topic and not re.search(r"[+#\0]", topic))
        return self


class Sensor(Entity):
    state_topic: str
    value_template: str | None = None
    unit_of_measurement: str | None = None
    device_class: str | None = None
    state_class: Literal["measurement", "total", "total_increasing"] | None = None
    options: list[str] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _goes_together(self) -> Sensor:
        assert self.device_class is None or self.device_class in {*UNITS, "enum", "timestamp"}
        if self.options is not None or self.device_class in ("enum", "timestamp"):
            assert self.unit_of_measurement is None
            assert self.state_class is None
        assert self.options is None or self.device_class == "enum"
        if self.device_class in UNITS:
            assert self.unit_of_measurement in UNITS[self.device_class]
            assert self.state_class is None or self.state_class in STATE_CLASSES[self.device_class]
        return self

    def state(self, payload: str) -> Any:
        """What it makes of a payload; None: not known. ValueError for one that it would log as wrong."""
        text = _render(self.value_template, payload)
        if text == "None":
            return None
        if self.options is not None and text not in self.options:
            raise ValueError(f"{text} is no option")
        if self.device_class == "timestamp":
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError("a time without a zone")
            return moment
        return float(text) if self.unit_of_measurement is not None else text


class BinarySensor(Entity):
    state_topic: str
    value_template: str | None = None
    payload_on: str = "ON"
    payload_off: str = "OFF"
    device_class: _BINARY | None = None

    def state(self, payload: str) -> bool | None:
        text = _render(self.value_template, payload)
        states = {self.payload_on: True, self.payload_off: False, "None": None}
        if text not in states:
            raise ValueError(f"{text} is neither on nor off")
        return states[text]


class DeviceTracker(Entity):
    source_type: Literal["gps", "router", "bluetooth", "bluetooth_le"]
    json_attributes_topic: str
    json_attributes_template: str | None = None

    def state(self, payload: str) -> Any:
        return _render(self.json_attributes_template, payload)


COMPONENTS: dict[str, type[Sensor | BinarySensor | DeviceTracker]] = {
    "sensor": Sensor,
    "binary_sensor": BinarySensor,
    "device_tracker": DeviceTracker,
}


def accepted(
    topic: str, payload: str, prefix: str = "homeassistant"
) -> Sensor | BinarySensor | DeviceTracker:
    """The entity of a discovery message; AssertionError or ValidationError if it would not come about."""
    match = TOPIC.fullmatch(topic.removeprefix(f"{prefix}/"))
    assert match is not None, topic
    return COMPONENTS[match["component"]].model_validate_json(payload)


def _render(template: str | None, payload: str) -> str:
    return payload if template is None else jinja2.Template(template).render(value=payload)
