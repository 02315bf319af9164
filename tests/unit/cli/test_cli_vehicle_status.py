"""`poller vehicle status` where several sources serve one car."""

from __future__ import annotations

from poller.cli.vehicle.status import _newest, _side_by_side


def told(vin: str, source: str, received_at: str) -> dict[str, object]:
    return {"vehicle": vin.lower(), "record": {"vin": vin, "source": source, "received_at": received_at}}


SEEN = [
    told("A", "bmw", "2026-11-21T14:00:00.000Z"),
    told("B", "bmw", "2026-11-21T14:00:01.000Z"),
    told("A", "home", "2026-11-21T14:05:00.000Z"),
    told("B", "home", "2026-11-21T13:00:00.000Z"),
]


def names(vehicles) -> list[tuple[str, str]]:
    return [(vehicle["record"]["vin"], vehicle["record"]["source"]) for vehicle in vehicles]


def test_records_of_a_car_stand_side_by_side_the_newest_first():
    assert names(_side_by_side(SEEN)) == [("A", "home"), ("A", "bmw"), ("B", "bmw"), ("B", "home")]


def test_the_librarys_form_has_a_car_once():
    assert names(_newest(SEEN)) == [("A", "home"), ("B", "bmw")]
