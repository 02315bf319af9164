"""What a CarData table may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from poller.sources.cardata.settings import CarDataSettings, account_key

CLIENT = "12345678-90ab-4cde-8f01-234567890abc"


def table(**more: object) -> CarDataSettings:
    return CarDataSettings.model_validate({"type": "cardata", "client_id": CLIENT, **more})


def problem(**more: object) -> tuple[str, str]:
    """Where and what the one problem is."""
    with pytest.raises(ValidationError) as raised:
        table(**more)
    (found,) = raised.value.errors(include_input=False, include_context=False)
    return str(found["loc"][0]), found["msg"]


def test_a_client_id_is_enough():
    settings = table()
    assert settings.auth_url == "https://customer.bmwgroup.com"
    assert settings.api_url == "https://api-cardata.bmwgroup.com"
    assert settings.stream_url == "mqtts://customer.streaming-cardata.bmwgroup.com:9000"
    assert (settings.quota_per_day, settings.reserve, settings.descriptors) == (50, 10, ())
    assert (settings.tls_ca, settings.own_broker) == ("", False)


@pytest.mark.parametrize("spelt", [CLIENT.upper(), f"  {CLIENT}\n", f'"{CLIENT}"', f"{{{CLIENT}}}"])
def test_a_client_id_is_taken_as_people_paste_it(spelt):
    """The portal shows capitals, the login server refuses them."""
    assert table(client_id=spelt).client_id == CLIENT


@pytest.mark.parametrize(
    "wrong", ["", "00000000-…", CLIENT[:-1], "owner@example.com", CLIENT.replace("a", "g")]
)
def test_what_is_no_client_id_is_told_where_to_find_one(wrong):
    where, what = problem(client_id=wrong)
    assert where == "client_id"
    assert "portal" in what


def test_the_account_is_the_same_in_any_spelling_and_hides_the_client():
    assert account_key(table()) == account_key(table(client_id=CLIENT.upper()))
    assert account_key(table()).startswith("cardata:")
    assert CLIENT[:8] not in account_key(table())


@pytest.mark.parametrize("name", ["auth_url", "api_url"])
def test_a_login_travels_encrypted_or_not_at_all(name):
    assert getattr(table(**{name: "http://127.0.0.1:8080/"}), name) == "http://127.0.0.1:8080"
    where, what = problem(**{name: "http://proxy.example"})
    assert where == name
    assert "https://" in what


@pytest.mark.parametrize(
    "address", ["", "mqtts://broker.example", "mqtt://127.0.0.1:1883", "mqtt://[::1]:1883/"]
)
def test_addresses_of_a_stream(address):
    assert table(stream_url=address).stream_url == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    ["https://broker.example", "mqtts://", "mqtts://host:port", "mqtt://h/path", "mqtts://u:p@host"],
)
def test_what_is_no_address_of_a_stream(address):
    where, what = problem(stream_url=address)
    assert where == "stream_url"
    assert "mqtt" in what or "stream_username" in what
    assert "u:p" not in what


def test_bmws_login_is_not_sent_in_clear_but_an_own_broker_may_be_plain():
    assert "clear" in problem(stream_url="mqtt://broker.example")[1]
    assert table(stream_url="mqtt://broker.example", stream_topic="bmw/#").own_broker
    assert table(stream_url="mqtt://broker.example", stream_username="poller").own_broker


def test_the_brokers_password_is_not_printed():
    assert "hush" not in repr(table(stream_password="hush"))


def test_a_reserve_leaves_something_for_polls():
    assert problem(quota_per_day=10, reserve=10)[0] == "reserve"
    assert problem(quota_per_day=5)[0] == "reserve"
    assert problem(quota_per_day=0, reserve=0)[0] == "quota_per_day"
    assert table(quota_per_day=1, reserve=0).reserve == 0


def test_descriptors_are_keys_of_the_catalogue():
    assert table(descriptors=["vehicle.isMoving"]).descriptors == ("vehicle.isMoving",)
    assert problem(descriptors=["is moving"])[0] == "descriptors"
