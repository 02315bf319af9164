"""What `poller doctor` and `poller descriptors` print."""

from __future__ import annotations

from poller.cli.descriptors import bare
from poller.cli.descriptors import lines as descriptor_lines
from poller.cli.doctor import lines

WANTED = [
    {
        "feature": "Driving",
        "name": "vehicle.isMoving",
        "tickable": True,
        "polled": True,
        "arrivals": {"0000001": "stream", "0000002": "no"},
    },
    {
        "feature": "Doors, windows, locks",
        "name": "vehicle.cabin.door.lock.status",
        "tickable": False,
        "polled": True,
        "arrivals": {"0000001": "rest", "0000002": "empty"},
    },
    {
        "feature": "Battery and charging",
        "name": "vehicle.powertrain.electric.battery.stateOfHealth.displayed",
        "tickable": False,
        "polled": False,
        "arrivals": {"0000001": "no", "0000002": "no"},
    },
]


def test_each_finding_has_its_mark_and_the_mend_its_own_line():
    findings = [
        {"level": "ok", "subject": "disk", "text": "9 GiB free", "mend": None},
        {"level": "warn", "subject": "clock", "text": "90 s behind", "mend": "NTP"},
        {"level": "bad", "subject": "login", "text": "none", "mend": "`poller login home`"},
    ]
    assert list(lines(findings, 2)) == [
        "ok   disk: 9 GiB free",
        "warn clock: 90 s behind",
        "     → NTP",
        "BAD  login: none",
        "     → `poller login home`",
        "2 of the day's REST calls were spent on this.",
    ]
    assert list(lines([], 1)) == ["1 of the day's REST calls was spent on this."]
    assert list(lines([], 0)) == ["0 of the day's REST calls were spent on this."]


def test_the_list_to_tick_has_a_column_for_each_car_and_keeps_apart_what_cannot_be_ticked():
    text = list(descriptor_lines({"name": "home", "descriptors": WANTED}, {"0000001": "MINI Cooper SE"}))
    tick, _, rest = "\n".join(text).partition("Only by REST")
    assert "MINI Cooper SE 0000002 Driving\nstream         -       vehicle.isMoving" in tick
    assert "lock.status" not in tick
    assert "REST           empty   vehicle.cabin.door.lock.status" in rest
    assert "-              -       vehicle.powertrain.electric.battery.stateOfHealth.displayed *" in rest
    assert text[-1].startswith("stream, REST: the way by which the newest value came")


def test_two_cars_of_one_name_have_their_vin_beside_it():
    titles = dict.fromkeys(("0000001", "0000002"), "MINI")
    text = list(descriptor_lines({"name": "home", "descriptors": WANTED}, titles))
    assert "MINI 0000001 MINI 0000002 Driving" in text


def test_before_any_car_is_known_the_list_is_there_all_the_same():
    unknown = [{**one, "arrivals": {}} for one in WANTED]
    text = list(descriptor_lines({"name": "home", "descriptors": unknown}, {}))
    assert "vehicle.isMoving" in text
    assert text[-1].startswith("No car is known yet")
    assert all(len(line) <= 80 for line in text)


def test_without_any_configuration_the_list_names_no_source():
    [source] = bare()["sources"]
    text = list(descriptor_lines(source, {}))
    assert text[0] == "What to tick in BMW's portal, for each car:"
    assert "vehicle.vehicle.travelledDistance" in text
