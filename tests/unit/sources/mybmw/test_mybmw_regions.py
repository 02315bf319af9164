"""Headers and constants of the regions."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from poller.sources.mybmw.regions import SERVERS, login_headers, new_device, state_query, x_user_agent


def test_the_user_agent_names_device_brand_version_and_region() -> None:
    assert x_user_agent("AP2A.534228.164", "bmw", "row") == "android(AP2A.534228.164);bmw;4.9.2(36892);row"


def test_a_device_is_made_up_anew_each_time() -> None:
    """Shared ones share BMW's quota."""
    devices = {new_device() for _ in range(50)}
    assert len(devices) > 45
    assert all(re.fullmatch(r"AP2A\.\d{6}\.\d{3}", device) for device in devices)


def test_a_login_goes_as_bmw_whatever_the_cars() -> None:
    assert login_headers("D", "na")["x-user-agent"] == "android(D);bmw;4.9.2(36892);na"


def test_a_key_does_not_show() -> None:
    """China has none."""
    keys = {region: server.api_key for region, server in SERVERS.items() if server.api_key}
    assert set(keys) == {"rest_of_world", "north_america"}
    assert not any(key in repr(SERVERS[region]) for region, key in keys.items())


def test_the_state_is_asked_for_in_whole_seconds() -> None:
    now = datetime(2026, 11, 21, 21, 0, 42, 987_000, tzinfo=UTC)
    assert state_query(now) == {"apptimezone": "0", "appDateTime": "1795294842000"}
