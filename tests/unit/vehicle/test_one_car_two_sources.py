"""One vehicle, one set of series: what several sources say of a car is shown together."""

from poller.testing.records import VIN, record_number
from poller.vehicle.fleet import Fleet
from poller.vehicle.records import snapshot_of


def test_a_car_of_two_sources_is_one_view_with_a_mark_for_each():
    """Each signal from the source that saw it last; what only one has is there too."""
    fleet = Fleet()
    fleet.update(snapshot_of(record_number(1, {"soc_percent": 70, "odometer_km": 100}, source="app")))
    fleet.update(snapshot_of(record_number(2, {"soc_percent": 60}, source="stream")))
    view = fleet.view(VIN)
    shown = {key: (reading.value, source) for key, (reading, source) in view.readings.items()}
    assert shown == {"soc_percent": (60, "stream"), "odometer_km": (100, "app")}
    assert sorted(view.sources) == ["app", "stream"]
    fleet.retire(VIN, "stream")
    assert fleet.view(VIN).readings["soc_percent"][0].value == 70
