"""The settings of alerts: their defaults are the thresholds that Prometheus' rules have too."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from poller.derive.alerts.rulebook import RuleName
from poller.runtime.quantities import Duration, EmptyIsNone, Items, PositiveDuration, Size, StrictTable
from poller.vehicle.thresholds import CAR, DAEMON, TELLING

_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_HOME = re.compile(r"\s*(-?\d{1,2}(?:\.\d+)?)\s*,\s*(-?\d{1,3}(?:\.\d+)?)\s*")


def _quiet(value: str) -> str:
    if value and not _QUIET.fullmatch(value):
        raise ValueError('expected times of day such as "22:00-07:00", or "" for none')
    return value


def _home(value: SecretStr | None) -> SecretStr | None:
    match = _HOME.fullmatch(value.get_secret_value()) if value else None
    if value and (match is None or abs(float(match[1])) > 90 or abs(float(match[2])) > 180):
        raise ValueError('expected latitude and longitude in degrees, such as "48.177, 11.556"')
    return value


def _web_hook(value: SecretStr | None) -> SecretStr | None:
    wrong = ValueError('expected an address such as "https://hc-ping.example/…"')
    if value and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value.get_secret_value()):
        raise wrong
    try:
        if value and not (urlsplit(value.get_secret_value()).hostname and _port(value) != 0):
            raise wrong
    except ValueError:
        raise wrong from None
    return value


def _port(value: SecretStr) -> int | None:
    return urlsplit(value.get_secret_value()).port


class CarAlerts(StrictTable):
    """When something about a car is worth telling."""

    off: Annotated[tuple[RuleName, ...], Items] = Field((), description="Rules that you do not want.")
    open_for: Duration = Field(
        CAR.open_for, description="How long something stands open, parked, before it is told."
    )
    open_locked_for: Duration = Field(
        CAR.open_locked_for,
        description="The same for a locked car: somebody has walked away. "
        "10 min where it may be one that drives (locked, not secured, and nobody tells whether it moves).",
    )
    unlocked_for: Duration = Field(CAR.unlocked_for, description="Parked and not locked for this long.")
    soc_percent: float = Field(
        CAR.soc_percent, ge=0, le=100, description="Charge below this, at home and not plugged in."
    )
    soc_for: Duration = Field(CAR.soc_for, description="For this long.")
    home: Annotated[SecretStr | None, EmptyIsNone, AfterValidator(_home)] = Field(
        None, description='Latitude and longitude, "48.177, 11.556"; without it, anywhere is home.'
    )
    home_radius_m: float = Field(
        TELLING.home_radius_m, gt=0, le=50_000, description="How far around it is still home, in metres."
    )
    tire_pressure_percent: float = Field(
        CAR.tire_pressure_percent, ge=0, le=100, description="A tyre below this share of its target."
    )
    service_days: Annotated[tuple[int, int], Items] = Field(
        (int(CAR.service_days[0]), int(CAR.service_days[1])),
        description="Days before a service: the first is a note, the second a warning.",
    )
    service_km: Annotated[tuple[int, int], Items] = Field(
        (int(CAR.service_km[0]), int(CAR.service_km[1])), description="The same by distance, in km."
    )
    aux_battery_volts: float = Field(
        CAR.aux_battery_volts, ge=0, le=60, description="The 12 V battery below this."
    )

    def home_degrees(self) -> tuple[float, float] | None:
        """Latitude and longitude of `home`."""
        match = _HOME.fullmatch(self.home.get_secret_value()) if self.home else None
        return (float(match[1]), float(match[2])) if match else None


class OwnAlerts(CarAlerts):
    """Those of one car; what is not set here is as in [alerts]."""

    @model_serializer(mode="wrap")
    def _only_what_is_set(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in written(self).items() if name in self.model_fields_set}


class Alerts(CarAlerts):
    """What is told, when, and from which thresholds on; `[vehicles.NAME.alerts]` for one car."""

    quiet: Annotated[str, AfterValidator(_quiet)] = Field(
        "", description='"22:00-07:00": told when it is over, unless critical; in [display] timezone.'
    )
    reminders: Annotated[tuple[PositiveDuration, ...], Items] = Field(
        TELLING.reminders, description="Told again after these gaps, then daily; empty: never."
    )
    login_days: float = Field(DAEMON.login_days, ge=0, description="A login that ends within so many days.")
    quota_percent: float = Field(
        DAEMON.quota_percent, ge=0, le=100, description="Fewer of a day's calls left than this."
    )
    sink_backlog_age: PositiveDuration = Field(
        DAEMON.sink_backlog_age, description="A record that waits for a sink for this long."
    )
    disk_free: Size = Field(
        int(DAEMON.disk_free_bytes), description="Less space than this left beside the journal."
    )
    heartbeat_url: Annotated[SecretStr | None, EmptyIsNone, AfterValidator(_web_hook)] = Field(
        None, description="Asked regularly while all goes on: a dead-man service tells you when that ends."
    )
    heartbeat_every: PositiveDuration = Field(TELLING.heartbeat_every, description="How often.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("service_days", "service_km"):
            far, near = getattr(self, name)
            if not far >= near >= 0:
                raise ValueError(f"{name}: the note comes first, then the warning, such as [30, 7]")
        return self

    def of(self, own: OwnAlerts | None) -> CarAlerts:
        """The settings of one car: these, with what its own table says."""
        given = {name: getattr(own, name) for name in own.model_fields_set} if own else {}
        return self.model_copy(update=given)
