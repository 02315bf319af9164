"""Positions and VINs in the library's JSON: wherever they stand, they follow the sink's settings."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from poller.library.privacy import shown
from poller.vehicle.privacy import Rendering

VIN = "WBA00000000SECRET"
PLACE = {"latitude": 48.123456, "longitude": 11.654321}
KEYS = {
    "data": {
        "state": {
            "location": {"coordinates": PLACE, "heading": 181, "address": {"formatted": "Nowhere Lane 4711"}},
            "note": f"about {VIN.lower()} and its owner",
            "doorsState": {"hood": "CLOSED"},
        },
        "charging_settings": {
            "sites": [{"lat": 48.123456, "lng": "11.654321", "street": "Nowhere Lane", "name": "x"}]
        },
        "vin": VIN,
        f"of_{VIN}": 1,
    },
    "vehicle_location": {
        "location": PLACE,
        "heading": 181,
        "account_region": "row",
        "remote_service_position": {**PLACE, "heading": 181, "formattedAddress": "Nowhere Lane 4711"},
    },
    "vin": VIN,
}
EXACT = ("48.123456", "11.654321", "Nowhere")


def seen(**rendering: str) -> tuple[dict, str]:
    keys = deepcopy(KEYS)
    result = shown(keys, VIN, Rendering({}, key=b"k" * 32, **rendering))
    assert keys == KEYS, "what came in stays as it is"
    return result, json.dumps(result)


def test_all_is_shown_to_whom_all_may_be_shown() -> None:
    assert seen()[0] == KEYS


def test_rounded_is_rounded_everywhere_and_tells_no_address() -> None:
    result, text = seen(location="rounded")
    assert [word for word in EXACT if word in text] == []
    rough = {"latitude": 48.12, "longitude": 11.65}
    assert (
        result["vehicle_location"]["location"] == result["data"]["state"]["location"]["coordinates"] == rough
    )
    assert result["vehicle_location"]["heading"] == 181
    assert result["data"]["charging_settings"]["sites"][0]["lng"] is None, "a text cannot be rounded"
    assert result["vin"] == VIN


def test_a_name_counts_however_it_is_spelt() -> None:
    place = {"Formatted_Address": "Nowhere Lane 4711", "street-name": "Nowhere", "postal_code": "4711"}
    keys = {"data": {"places": [place]}, "remoteServicePosition": PLACE}
    assert shown(keys, VIN, Rendering({}, location="none")) == {
        "data": {"places": [dict.fromkeys(place)]},
        "remoteServicePosition": None,
    }


def test_none_is_nowhere() -> None:
    result, text = seen(location="none")
    assert [word for word in (*EXACT, "48.1", "11.6", "181") if word in text] == []
    assert result["vehicle_location"] == {
        "location": None, "heading": None, "account_region": "row", "remote_service_position": None
    }  # fmt: skip
    assert result["data"]["state"]["doorsState"] == {"hood": "CLOSED"}


@pytest.mark.parametrize("mode", ["short", "hash"])
def test_the_vin_is_nowhere_in_full(mode) -> None:
    result, text = seen(vin=mode)
    assert VIN.lower() not in text.lower()
    assert result["vin"] == result["data"]["vin"] == Rendering({}, vin=mode, key=b"k" * 32).shown_vin(VIN)
    assert "48.123456" in text
