"""The settings are frozen, closed, complete without any file, and do not print secrets."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from poller.settings.tree import Display, Poll, Settings, Vehicle, Web
from poller.settings.writing import masked

MYBMW = {"type": "mybmw", "username": "owner@example.com", "password": "hunter2"}


@pytest.fixture
def settings() -> Settings:
    return Settings(
        data_dir="/data",
        sources={"bmw": MYBMW, "loop": {"type": "command", "command": ["x", "me", "hunter2"]}},
        vehicles={"mini": {"vin": "wmw00000000000001", "steering": "right"}},
        sinks={"axiom": {"type": "axiom", "dataset": "cars", "token": "xaat-hunter2"}},
        web={"password": "hunter2"},
    )


def test_nothing_prints_a_secret(settings) -> None:
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {masked(settings)}".replace(
        "'me', 'hunter2'",
        "",  # arguments of a program are its owner's business, but not in `masked`
    ).replace('"me","hunter2"', "")
    assert "hunter2" not in shown


def test_masked_settings_show_no_whole_vin_and_no_address_of_mail(settings) -> None:
    shown = str(masked(settings))
    assert "WMW00000000000001" not in shown
    assert "…0000001" in shown
    assert "owner@example.com" not in shown
    assert masked(settings)["sources"]["loop"]["command"] == ["x", "…", "…"]


def test_secrets_are_there_for_who_asks(settings) -> None:
    assert settings.sources["bmw"].password.get_secret_value() == "hunter2"


def test_names_are_the_tables_of_vehicles(settings) -> None:
    assert settings.names == {"WMW00000000000001": "mini"}


def test_settings_cannot_be_changed(settings) -> None:
    with pytest.raises(ValidationError):
        settings.poll = Poll()
    with pytest.raises(ValidationError):
        settings.poll.interval = 5


def test_environment_and_files_are_not_read_behind_our_back(monkeypatch) -> None:
    monkeypatch.setenv("LOG", '{"level": "debug"}')
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    assert Settings(data_dir="/data").log.level == "info"


def test_an_error_shows_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(data_dir="/data", sources={"bmw": {**MYBMW, "region": "hunter2"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9877", (("127.0.0.1", 9877),)),
        ("[::]:80", (("::", 80),)),
        ("[fe80::1%eth0]:80", (("fe80::1%eth0", 80),)),
        (["localhost:0", "a-b.example:1"], (("localhost", 0), ("a-b.example", 1))),
        ("", ()),
        ([], ()),
        ((("127.0.0.1", 1),), (("127.0.0.1", 1),)),
    ],
)
def test_addresses_to_listen_at(listen, expected) -> None:
    assert Web(listen=listen).listen == expected
    assert Web(listen=Web(listen=listen).model_dump(mode="json")["listen"]).listen == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("", ""), ("/", ""), ("/poller/", "/poller"), ("/a/b", "/a/b")]
)
def test_base_paths(path, expected) -> None:
    assert Web(base_path=path).base_path == expected


def test_an_empty_text_is_no_password_and_no_side() -> None:
    assert Web(password="").password is None
    assert Vehicle(vin="WMW00000000000001", steering="").steering is None


def test_zones() -> None:
    assert Display().zone is UTC
    assert Display(timezone="UTC").zone is UTC
    assert Display(timezone="Europe/London").zone == ZoneInfo("Europe/London")
