"""The charging profile, and when a car that waits will start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from poller.library.answers import Heard
from poller.library.model import ChargingProfile, ChargingWindow, DepartureTimer, told
from poller.library.words import ChargingMode, ChargingPreferences, TimerTypes


def charging_profile(said: Heard) -> ChargingProfile | None:
    """The state's profile with what the charging settings add; None without the former."""
    if "chargingProfile" not in said.state:
        return None
    profile = said.state["chargingProfile"]
    settings = said.charging_settings or {}
    detail = told(settings, "chargingSettingsDetail", {})
    window = ChargingWindow(profile.get("reductionOfChargeCurrent", {}))
    _ = window.start_time, window.end_time  # what holds no times costs the area
    return ChargingProfile(
        is_pre_entry_climatization_enabled=bool(profile.get("climatisationOn", False)),
        timer_type=TimerTypes(profile.get("chargingControlType", "")),
        departure_times=[
            DepartureTimer(_required_object(timer)) for timer in profile.get("departureTimes", ())
        ],
        preferred_charging_window=window,
        charging_preferences=ChargingPreferences(profile.get("chargingPreference", "")),
        charging_mode=ChargingMode(profile.get("chargingMode", "")),
        ac_current_limit=told(profile["chargingSettings"], "acCurrentLimit"),
        ac_available_limits=detail["acLimit"]["values"] if "acLimit" in detail else None,
        charging_preferences_service_pack=told(settings, "servicePack"),
    )


def waiting_until(said: Heard) -> datetime | None:
    """The next start of the charging window after now where the owner lives, without a zone."""
    profile = said.state.get("chargingProfile")
    window = profile.get("reductionOfChargeCurrent") if isinstance(profile, dict) else None
    if not isinstance(window, dict):
        return None
    if "start" not in window:
        raise KeyError("a window without a start")
    now = said.fetched_at.astimezone(said.zone).replace(tzinfo=None)
    start = datetime.combine(now.date(), ChargingWindow(window).start_time)
    return start if start >= now else start + timedelta(days=1)


def _required_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value
