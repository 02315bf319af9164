"""The configuration as one frozen, closed tree: every setting, its default, and what it does.

Docs, the example and `poller check` read names, defaults and descriptions from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from poller.derive.alerts.settings import Alerts, OwnAlerts
from poller.runtime.log import Format, Level
from poller.runtime.quantities import (
    Duration,
    EmptyIsNone,
    Items,
    Outside,
    PositiveDuration,
    Size,
    StrictTable,
    Vin,
)
from poller.settings.places import is_zone, near_zone
from poller.sinks.settings import (
    AxiomSettings,
    JsonFilesSettings,
    MqttSettings,
    NotifySettings,
    PrometheusSettings,
    SinkSettings,
    WebhookSettings,
)
from poller.sources.base import Steering
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.settings import CommandSettings, RecordedSettings, SourceSettings

Address = tuple[str, int]
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9.-]+)):(\d{1,5})")
_HASH = re.compile(r"scrypt\$\d{1,8}\$\d{1,2}\$\d{1,2}\$[\w+/=]+\$[\w+/=]+")
_WRITE_ADDRESS = 'expected "host:port" or "[v6]:port", such as "127.0.0.1:9877"'

SourceTable = Annotated[
    CarDataSettings | MyBmwSettings | CommandSettings | RecordedSettings, Field(discriminator="type")
]
SinkTable = Annotated[
    JsonFilesSettings | AxiomSettings | PrometheusSettings | MqttSettings | NotifySettings | WebhookSettings,
    Field(discriminator="type"),
]
#: type → its table, for docs and messages.
SOURCES: Mapping[str, type[SourceSettings]] = {
    "cardata": CarDataSettings,
    "mybmw": MyBmwSettings,
    "command": CommandSettings,
    "recorded": RecordedSettings,
}
SINKS: Mapping[str, type[SinkSettings]] = {
    "json_files": JsonFilesSettings,
    "axiom": AxiomSettings,
    "prometheus": PrometheusSettings,
    "mqtt": MqttSettings,
    "notify": NotifySettings,
    "webhook": WebhookSettings,
}


def _addresses(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = value.split(",") if isinstance(value, Outside) else [value]
        return [] if value == [""] else value
    if not isinstance(value, list | tuple):
        raise ValueError(_WRITE_ADDRESS)
    return list(value)


def _address(text: Any) -> Address:
    if isinstance(text, tuple):
        return text
    match = _ADDRESS.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(_WRITE_ADDRESS)
    if int(match[3]) > 65_535:
        raise ValueError("a port lies between 0 and 65535 (0: any free one)")
    return match[1] or match[2], int(match[3])


def _written(addresses: tuple[Address, ...]) -> str | list[str]:
    texts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses]
    return texts if len(texts) > 1 else "".join(texts)


def _zone_name(value: str) -> str:
    if value and not is_zone(value):
        near = near_zone(value)
        raise ValueError("no such time zone" + (f"; is {near} meant?" if near else '; write "Europe/London"'))
    return value


def _currency(value: str) -> str:
    if not re.fullmatch("[A-Z]{3}", value):
        raise ValueError('expected three capital letters, such as "EUR"')
    return value


def _base_path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
        raise ValueError('expected a path such as "/poller", or "" for none')
    return value.rstrip("/")


def _page_password(value: SecretStr | None) -> SecretStr | None:
    text = value.get_secret_value() if value else ""
    if text.startswith("scrypt$") and not _HASH.fullmatch(text):
        raise ValueError("begins like a hash and is none: `python -m poller.web.passwords` makes one")
    return value


def _host_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value):
        raise ValueError('expected a host\'s name without port or path, such as "car.example.org"')
    return value.lower()


Listen = Annotated[
    tuple[Annotated[Address, BeforeValidator(_address)], ...],
    BeforeValidator(_addresses),
    PlainSerializer(_written, when_used="json"),
]
HostName = Annotated[str, AfterValidator(_host_name)]


class Poll(StrictTable):
    """When sources are asked."""

    interval: PositiveDuration = Field(
        300.0, description="How often each source is asked; at least 60s against the maker's own hosts."
    )
    jitter: Duration = Field(10.0, description="Each source's grid of times is moved by up to this much.")


class Web(StrictTable):
    """The page, the API, /metrics, /healthz and /readyz."""

    listen: Listen = Field(
        (("127.0.0.1", 9877),), description='"host:port", "[v6]:port", a list of them, or "" for none.'
    )
    password: Annotated[SecretStr | None, EmptyIsNone, AfterValidator(_page_password)] = Field(
        None,
        description="For page and API, plain or hashed; without one, only this machine may see them.",
    )
    base_path: Annotated[str, AfterValidator(_base_path)] = Field(
        "", description='The path at which a reverse proxy serves the poller, such as "/poller".'
    )
    allowed_hosts: Annotated[tuple[HostName, ...], Items] = Field(
        (), description="More host names under which browsers reach the page (a reverse proxy's)."
    )


class Log(StrictTable):
    """Logs go to stderr."""

    level: Level = Field("info", description="debug, info, warning or error.")
    format: Format = Field("auto", description="console, json, or auto: console on a terminal, else json.")


class Display(StrictTable):
    """How page, command line and alerts show things; records stay metric and UTC."""

    units: Literal["metric", "imperial", "uk"] = Field(
        "metric", description="metric, imperial, or uk (miles, litres)."
    )
    timezone: Annotated[str, AfterValidator(_zone_name)] = Field(
        "", description='Day sums and tariffs use it, such as "Europe/London"; empty: the system\'s.'
    )
    currency: Annotated[str, AfterValidator(_currency)] = Field(
        "EUR", description="Three letters, such as GBP; nothing reckons costs yet."
    )

    @property
    def zone(self) -> tzinfo:
        """The time zone; UTC where the system names none."""
        return ZoneInfo(self.timezone) if self.timezone not in ("", "UTC") else UTC


class Journal(StrictTable):
    """How much the journal keeps."""

    max_age: Duration = Field(0.0, description='Delete records after this long ("730d"); 0 keeps them.')
    max_size: Size = Field(2 * 2**30, description="Size limit of the journal; 0: none.")
    keep_free: Size = Field(500 * 2**20, description="Space that is left free on the disk; 0: none.")
    when_full: Literal["drop_oldest", "stop_collecting"] = Field(
        "drop_oldest", description="drop_oldest or stop_collecting; every drop is counted."
    )


class Vehicle(StrictTable):
    """What the owner says about a car; the table's name is its slug."""

    vin: Vin = Field(description="The vehicle identification number, in any case.")
    steering: Annotated[Steering | None, EmptyIsNone] = Field(
        None, description="left or right: the driver's side, where the source does not know it."
    )
    alerts: OwnAlerts = Field(
        default_factory=OwnAlerts, description="What of [alerts] is different for this car."
    )


class Settings(BaseSettings):
    """The whole configuration. Made by `load`; frozen, closed, without a secret in its repr."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data_dir: Path = Field(description="Where journal, logins and files live; made if it is not there.")
    shutdown_grace: Duration = Field(
        5.0, le=5, description="How long deliveries may finish after SIGTERM; at most 5s."
    )
    poll: Poll = Field(default_factory=Poll)
    web: Web = Field(default_factory=Web)
    log: Log = Field(default_factory=Log)
    display: Display = Field(default_factory=Display)
    alerts: Alerts = Field(default_factory=Alerts)
    journal: Journal = Field(default_factory=Journal)
    sources: Mapping[str, SourceTable] = Field(default_factory=dict)
    vehicles: Mapping[str, Vehicle] = Field(default_factory=dict)
    sinks: Mapping[str, SinkTable] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class fixes the signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind our back: `layers.Layers` is the only other source."""
        return (init_settings,)

    @property
    def names(self) -> dict[str, str]:
        """VIN → slug of the vehicles that have a table."""
        return {vehicle.vin: name for name, vehicle in self.vehicles.items()}
