"""[alerts] and [vehicles.NAME.alerts]: what they take, and what they say when it is wrong."""

from __future__ import annotations

import pytest

from poller.errors import ConfigError
from poller.settings import load
from poller.settings.writing import masked

BASE = 'data_dir = "data"\n[sources.dumps]\ntype = "recorded"\ndirectory = "."\n'
MINI = '[vehicles.mini]\nvin = "WMW00000000000001"\n'


@pytest.fixture
def loaded(tmp_path):
    def settings(text: str, **environ: str):
        path = tmp_path / "config.toml"
        path.write_text(BASE + text, encoding="utf-8")
        path.chmod(0o600)
        return load(path, environ={"HOME": str(tmp_path), "TZ": "UTC", **environ}, cwd=tmp_path).settings

    return settings


def test_a_cars_own_table_changes_what_it_names_and_nothing_else(loaded) -> None:
    settings = loaded(
        '[alerts]\nopen_for = "20m"\nsoc_percent = 30\n'
        + MINI
        + '[vehicles.mini.alerts]\nopen_for = "5m"\noff = ["unlocked"]\n'
    )
    limits = settings.alerts.of(settings.vehicles["mini"].alerts)
    assert (limits.open_for, limits.soc_percent, limits.off) == (300, 30, ("unlocked",))
    assert settings.alerts.of(None).open_for == 1200


def test_what_a_car_leaves_to_the_others_is_not_shown_as_its_own(loaded) -> None:
    """`poller check --show` must not say 15 % where 30 % holds."""
    shown = masked(
        loaded("[alerts]\nsoc_percent = 30\n" + MINI + '[vehicles.mini.alerts]\nopen_for = "5m"\n')
    )
    assert shown["vehicles"]["mini"]["alerts"] == {"open_for": "5m"}


def test_variables_reach_every_value(loaded) -> None:
    settings = loaded(
        MINI,
        POLLER_ALERTS__SERVICE_DAYS="60,14",
        POLLER_ALERTS__REMINDERS="30m,1h",
        POLLER_ALERTS__HEARTBEAT_URL="https://dead-man.invalid/uuid",
        POLLER_VEHICLES__MINI__ALERTS__SOC_PERCENT="25",
    )
    assert settings.alerts.service_days == (60, 14)
    assert settings.alerts.reminders == (1800, 3600)
    assert settings.alerts.heartbeat_url is not None
    assert settings.vehicles["mini"].alerts.soc_percent == 25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[alerts]\nquiet = "22-7"', 'expected times of day such as "22:00-07:00"'),
        ('[alerts]\nquiet = "24:00-07:00"', "expected times of day"),
        ('[alerts]\nhome = "somewhere"', "expected latitude and longitude"),
        ('[alerts]\nhome = "91.0, 0"', "expected latitude and longitude"),
        ('[alerts]\noff = ["widow_open"]', "expected one of"),
        ("[alerts]\nservice_days = [7, 30]", "the note comes first"),
        ("[alerts]\nservice_km = [1500]", "alerts.service_km"),
        ("[alerts]\nsoc_percent = 120", "alerts.soc_percent"),
        ('[alerts]\nheartbeat_url = "hc-ping"', "expected an address"),
        ('[alerts]\nopenfor = "5m"', 'is "open_for" meant?'),
        (MINI + '[vehicles.mini.alerts]\nopenfor = "5m"', 'is "open_for" meant?'),
        (MINI + '[vehicles.mini.alerts]\nquiet = "22:00-07:00"', "vehicles.mini.alerts.quiet"),
    ],
)
def test_what_is_wrong_is_named(loaded, text, said) -> None:
    with pytest.raises(ConfigError) as wrong:
        loaded(text)
    assert said in str(wrong.value)


def test_no_message_shows_what_is_secret(loaded) -> None:
    with pytest.raises(ConfigError) as wrong:
        loaded('[alerts]\nhome = "48.17718 11.55672"\nheartbeat_url = "secret-uuid"')
    assert "17718" not in str(wrong.value)
    assert "secret-uuid" not in str(wrong.value)


@pytest.mark.parametrize("address", ["http://h:99999/x", "http://h:-1/x", "http://h:abc/x", "http://[::1/x"])
def test_the_heartbeat_goes_to_a_port_that_there_is(loaded, address) -> None:
    with pytest.raises(ConfigError):
        loaded(f'[alerts]\nheartbeat_url = "{address}"')
