"""The read model: JSON of the daemon and its cars."""

from __future__ import annotations

import json

from poller.runtime.status import Silence
from poller.web.model import status_json, vehicle_json, vehicles_json


def test_the_status_is_whole(stage):
    """Every field of DaemonStatus is there, null where nothing is known, times in UTC."""
    failure = stage.failure(1, "refused", "log in")
    status = stage.status(
        sources=[stage.source(state="login_required", failure=failure)],
        recent_failures=[("source bmw", failure)],
    )
    body = json.loads(json.dumps(status_json(stage.daemon(status))))
    assert body["ready"] is False
    assert body["reasons"] == ["source bmw: login required: refused; log in"]
    assert body["now"] == "2026-11-21T14:00:00.000Z"
    [source] = body["sources"]
    assert source["last_success_at"] == "2026-11-21T13:58:00.000Z"
    assert source["next_poll_at"] is None
    assert source["failure"] == {
        "at": "2026-11-21T13:59:00.000Z", "reason": "server", "message": "refused", "hint": "log in",
    }  # fmt: skip
    assert body["sinks"][0]["backlog"] == 0
    assert body["journal"]["limit"] == 2**31
    assert body["recent_failures"] == [["source bmw", source["failure"]]]


def test_a_vehicle_is_told_with_its_freshness(stage):
    stage.car(2, 12, model="Cooper SE", soc_percent=62)
    [line] = vehicles_json(stage.daemon())
    assert line == {
        "vehicle": "mini",
        "vin": "0000001",
        "model": "Cooper SE",
        "observed_at": "2026-11-21T13:48:00.000Z",
        "observed_age_seconds": 720.0,
        "received_at": "2026-11-21T13:58:00.000Z",
        "received_age_seconds": 120.0,
        "sources": {
            "bmw": {
                "up": True,
                "last_success_at": "2026-11-21T13:58:00.000Z",
                "report_at": "2026-11-21T13:48:00.000Z",
            }
        },
    }


def test_readings_are_as_in_records_and_say_whence_and_how_old(stage):
    stage.car(2, 12, soc_percent=62, locked=True, door_open__front_left=False)
    stage.car(1, 1, source="home", soc_percent=61)
    body = vehicle_json(stage.daemon(), "mini")
    assert body["readings"] == {"soc_percent": 61, "locked": True, "door_open.front_left": False}
    assert body["details"]["soc_percent"] == {
        "source": "home", "observed_at": "2026-11-21T13:59:00.000Z", "age_seconds": 60.0,
    }  # fmt: skip
    assert body["details"]["locked"]["source"] == "bmw"


def test_a_reading_says_by_which_way_it_came(stage):
    stage.car(2, 12, soc_percent=62, odometer_km=5)
    body = vehicle_json(stage.daemon(origins={"bmw": {"soc_percent": "stream"}}), "mini")
    assert body["details"]["soc_percent"]["via"] == "stream"
    assert "via" not in body["details"]["odometer_km"]


def test_notes_are_in_the_status(stage):
    silence = Silence("car_quiet", "all works", "nothing")
    body = status_json(stage.daemon(stage.status(sources=[stage.source(silences=[silence])])))
    assert body["notes"] == ["source bmw: car quiet: all works; nothing"]
    assert body["sources"][0]["silences"][0]["condition"] == "car_quiet"
    assert body["journal"]["set_aside"] == []


def test_a_reading_without_a_time_of_its_own_has_no_age(stage):
    stage.car(2, None, soc_percent=62)
    body = vehicle_json(stage.daemon(), "mini")
    assert body["details"]["soc_percent"] == {"source": "bmw"}
    assert "observed_at" not in body


def test_times_in_readings_are_utc_text(stage):
    stage.car(charging_end_at=stage.ago(-60))
    assert vehicle_json(stage.daemon(), "mini")["readings"]["charging_end_at"] == "2026-11-21T15:00:00.000Z"


def test_positions_never_leave(stage):
    """Not even if the rendering would allow them."""
    stage.car(latitude_degrees=48.17711, longitude_degrees=11.55599, heading_degrees=120, soc_percent=1)
    body = vehicle_json(stage.daemon(), "mini")
    assert body["readings"] == {"soc_percent": 1}
    assert "48.1" not in json.dumps(body)


def test_an_unknown_vehicle_is_none(stage):
    assert vehicle_json(stage.daemon(), "nobody") is None


def test_no_full_vin_leaves(stage):
    stage.car(soc_percent=62)
    daemon = stage.daemon()
    told = json.dumps([status_json(daemon), vehicle_json(daemon, "mini")])
    assert stage.vin not in told
