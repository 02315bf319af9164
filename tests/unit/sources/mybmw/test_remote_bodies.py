"""What is sent with an order, member by member as BMW's app sends it."""

from __future__ import annotations

import pytest

from poller.errors import ArgumentRefused, CommandRefused
from poller.sources.mybmw.remote.call import GenericCall
from poller.sources.mybmw.remote.car import Car
from poller.sources.mybmw.remote.charging_profile import ChargingProfile
from poller.sources.mybmw.remote.charging_settings import ChargingSettings
from poller.sources.mybmw.remote.poi import Address, Place, PoiWish
from poller.sources.mybmw.remote.search import Observer

VIN = "WBYTEST0000000001"
DETAILS = {"chargingSettingsDetail": {"acLimit": {"values": [6, 10, 16, 32]}}, "servicePack": "TEST"}


def car(state=None, **capabilities) -> Car:
    return Car(VIN, "bmw", state or {}, capabilities)


# --- charging settings --------------------------------------------------------------------------

SETTABLE = car(isChargingTargetSocEnabled=True, isChargingPowerLimitEnabled=True)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"target_soc": 80}, {"chargingTarget": 80, "acLimitValue": None}),
        ({"ac_limit": 16}, {"chargingTarget": None, "acLimitValue": 16}),
        ({"target_soc": 100, "ac_limit": 32}, {"chargingTarget": 100, "acLimitValue": 32}),
        ({"target_soc": 20, "ac_limit": None}, {"chargingTarget": 20, "acLimitValue": None}),
    ],
)
def test_what_is_not_set_is_sent_as_null(given, body) -> None:
    wish = ChargingSettings.read(given)
    wish.check(SETTABLE, DETAILS)
    assert wish.body() == body


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"target_soc": None, "ac_limit": None},
        {"target_soc": 15},
        {"target_soc": 105},
        {"target_soc": 82},
        {"target_soc": 0},
        {"target_soc": 80.0},
        {"target_soc": "80"},
        {"target_soc": True},
        {"ac_limit": "16"},
        {"ac_limit": -5},
        {"ac_limit": 0},
        {"target_soc": 80, "target": 90},
    ],
    ids=str,
)
def test_a_target_is_20_to_100_in_steps_of_5(given) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        ChargingSettings.read(given)
    assert refused.value.exit_code == 2


def test_a_limit_that_the_car_does_not_offer_is_refused_with_those_that_it_does() -> None:
    with pytest.raises(ArgumentRefused) as refused:
        ChargingSettings.read({"ac_limit": 15}).check(SETTABLE, DETAILS)
    assert refused.value.hint == "amperes: 6, 10, 16, 32"


@pytest.mark.parametrize(
    ("given", "one", "details"),
    [
        ({"target_soc": 80}, car(isChargingPowerLimitEnabled=True), DETAILS),
        ({"ac_limit": 16}, car(isChargingTargetSocEnabled=True), DETAILS),
        ({"ac_limit": 16}, SETTABLE, {}),
        ({"ac_limit": 16}, SETTABLE, {"chargingSettingsDetail": {"acLimit": {"values": None}}}),
    ],
    ids=["no target", "no limit", "no list of limits", "null for a list"],
)
def test_each_half_of_the_settings_has_a_capability_of_its_own(given, one, details) -> None:
    with pytest.raises(CommandRefused) as refused:
        ChargingSettings.read(given).check(one, details)
    assert refused.value.exit_code == 1
    assert refused.value.message.startswith("this car was not told: its ")
    assert refused.value.hint


# --- charging profile ---------------------------------------------------------------------------

PRESENT = {
    "chargingControlType": "WEEKLY_PLANNER",
    "chargingMode": "DELAYED_CHARGING",
    "chargingPreference": "CHARGING_WINDOW",
    "climatisationOn": True,
    "reductionOfChargeCurrent": {"start": {"hour": 18, "minute": 1}, "end": {"hour": 7, "minute": 30}},
    "departureTimes": [
        {
            "id": 1,
            "action": "ACTIVATE",
            "timerWeekDays": ["MONDAY", "FRIDAY"],
            "timeStamp": {"hour": 6, "minute": 5},
        },
        {"id": 2, "action": "DEACTIVATE", "timerWeekDays": []},
    ],
}
SENT = {
    "chargingMode": {
        "chargingPreference": "CHARGING_WINDOW",
        "endTimeSlot": "0001-01-01T07:30:00.000",
        "startTimeSlot": "0001-01-01T18:01:00.000",
        "type": "TIME_SLOT",
        "timerChange": "NO_CHANGE",
    },
    "departureTimer": {
        "type": "WEEKLY_DEPARTURE_TIMER",
        "weeklyTimers": [
            {
                "daysOfTheWeek": ["MONDAY", "FRIDAY"],
                "id": 1,
                "time": "0001-01-01T06:05:00.000",
                "timerAction": "ACTIVATE",
            },
            {
                "daysOfTheWeek": [],
                "id": 2,
                "time": "0001-01-01T00:00:00.000",
                "timerAction": "DEACTIVATE",
            },
        ],
    },
    "isPreconditionForDepartureActive": True,
    "servicePack": "TEST",
}


def test_the_profile_is_sent_whole_with_its_change() -> None:
    wish = ChargingProfile.read({"precondition_climate": False})
    assert wish.body(PRESENT, "TEST") == {**SENT, "isPreconditionForDepartureActive": False}


@pytest.mark.parametrize(
    ("asked", "type_", "preference"),
    [
        ("IMMEDIATE_CHARGING", "CHARGING_IMMEDIATELY", "NO_PRESELECTION"),
        ("delayed_charging", "TIME_SLOT", "CHARGING_WINDOW"),
        ("NO_ACTION", "NO_ACTION", "CHARGING_WINDOW"),
    ],
)
def test_a_mode_brings_its_preference_and_no_action_keeps_the_cars(asked, type_, preference) -> None:
    """bimmer_connected ends in a KeyError at NO_ACTION."""
    mode = ChargingProfile.read({"charging_mode": asked}).body(PRESENT, "TEST")["chargingMode"]
    assert mode == {**SENT["chargingMode"], "type": type_, "chargingPreference": preference}


@pytest.mark.parametrize(
    ("told", "type_"),
    [
        ("IMMEDIATE_CHARGING", "CHARGING_IMMEDIATELY"),
        ("DELAYED_CHARGING", "TIME_SLOT"),
        ("NO_ACTION", "NO_ACTION"),
        ("SOMETHING_NEW", "NO_ACTION"),
        (None, "NO_ACTION"),
    ],
)
def test_a_mode_that_is_not_asked_for_is_the_cars_own(told, type_) -> None:
    present = {**PRESENT, "chargingMode": told} if told else {**PRESENT}
    if told is None:
        del present["chargingMode"]
    body = ChargingProfile.read({"precondition_climate": True}).body(present, "TEST")
    assert body["chargingMode"]["type"] == type_


def test_two_timers_no_window_and_a_precondition_that_was_never_told() -> None:
    present = {
        "chargingControlType": "TWO_TIMES_TIMER",
        "chargingMode": "IMMEDIATE_CHARGING",
        "chargingPreference": "NO_PRESELECTION",
    }
    assert ChargingProfile.read({"charging_mode": "IMMEDIATE_CHARGING"}).body(present, None) == {
        "chargingMode": {
            "chargingPreference": "NO_PRESELECTION",
            "endTimeSlot": "0001-01-01T00:00:00.000",
            "startTimeSlot": "0001-01-01T00:00:00.000",
            "type": "CHARGING_IMMEDIATELY",
            "timerChange": "NO_CHANGE",
        },
        "departureTimer": {"type": "TWO_DEPARTURE_TIMER", "weeklyTimers": []},
        "isPreconditionForDepartureActive": False,
        "servicePack": None,
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"precondition_climate": "False"},
        {"precondition_climate": 0},
        {"charging_mode": "UNKNOWN"},
        {"charging_mode": 1},
    ],
    ids=str,
)
def test_true_is_true_and_no_word_for_it(given) -> None:
    """``--precondition-climate False`` sent true in bimmer_connected."""
    with pytest.raises(ArgumentRefused):
        ChargingProfile.read(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"chargingControlType": "SOMETHING_NEW"},
        {"chargingControlType": None},
        {"chargingPreference": 5},
        {"departureTimes": {}},
        {"departureTimes": [None]},
        {"departureTimes": [{"timeStamp": {"hour": 6}}]},
        {"reductionOfChargeCurrent": {"start": {"hour": 25, "minute": 0}}},
        {"reductionOfChargeCurrent": {"end": {"hour": "x", "minute": 0}}},
    ],
    ids=str,
)
def test_a_profile_that_is_not_understood_is_not_overwritten(wrong) -> None:
    with pytest.raises(CommandRefused, match="not understood"):
        ChargingProfile.read({"precondition_climate": True}).body({**PRESENT, **wrong}, "TEST")


# --- a place ------------------------------------------------------------------------------------

POSITION = {"lat": 12.5, "lng": 34.25}
BARE = {
    "title": "Sent with ♥ by bimmer_connected",
    "formattedAddress": "Coordinates only",
    "placeType": "ADDRESS",
    "position": POSITION,
    "entrances": [{"name": None, "position": POSITION}],
    "address": {
        "street": "None",
        "postalCode": "None",
        "city": "None",
        "country": "None",
        "formatted": None,
        "banchi": None,
        "chome": None,
        "countryCode": None,
        "district": None,
        "go": None,
        "houseNumber": None,
        "region": None,
        "regionCode": None,
        "settlement": None,
        "subblock": None,
    },
    "category": {"losCategory": "Address", "mguVehicleCategoryId": None, "name": "Address"},
    "provider": None,
    "providerId": None,
    "providerPoiId": "",
    "sourceType": None,
    "vehicleCategoryId": None,
}


def test_a_place_of_coordinates_alone() -> None:
    wish = PoiWish.read({"latitude": 12.5, "longitude": 34.25})
    assert wish.where == (12.5, 34.25)
    assert wish.body(Place(12.5, 34.25), VIN) == {"places": [BARE], "vehicleInformation": {"vin": VIN}}


def test_a_place_with_a_name_and_an_address() -> None:
    given = {
        "name": "Lunch",
        "street": "Long Road 1",
        "postal_code": "12345",
        "city": "Town",
        "country": "Land",
    }
    (place,) = PoiWish.read({"latitude": 12.5, "longitude": 34.25, **given}).body(Place(12.5, 34.25), VIN)[
        "places"
    ]
    assert (place["title"], place["formattedAddress"]) == ("Lunch", "Long Road 1, 12345, Town")
    assert place["address"] == {
        **BARE["address"], "street": "Long Road 1", "postalCode": "12345", "city": "Town", "country": "Land",
    }  # fmt: skip


def test_what_the_owner_wrote_goes_before_what_the_geocoder_knows() -> None:
    wish = PoiWish.read({"address": "somewhere", "city": "Mine"})
    (place,) = wish.body(Place(12.5, 34.25, Address("Long Road", None, "Theirs", "Land")), VIN)["places"]
    assert place["formattedAddress"] == "Long Road, Mine"
    assert place["address"]["country"] == "Land"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"latitude": 1.0},
        {"latitude": 91, "longitude": 0},
        {"latitude": 0, "longitude": -181},
        {"latitude": "1", "longitude": "2"},
        {"latitude": float("nan"), "longitude": 2},
        {"latitude": 1, "longitude": 2, "address": "somewhere"},
        {"address": "  "},
        {"address": ["somewhere"]},
        {"latitude": 1, "longitude": 2, "zip": "12345"},
    ],
    ids=str,
)
def test_a_place_is_either_coordinates_or_an_address(given) -> None:
    with pytest.raises(ArgumentRefused):
        PoiWish.read(given)


# --- where the owner stands ---------------------------------------------------------------------

PARKED = car({"location": {"coordinates": {"latitude": 1.5, "longitude": 2.5}}})


def test_the_observer_is_the_owner_or_else_where_the_car_last_was() -> None:
    theirs = Observer.read({"observer_latitude": 48, "observer_longitude": 11.5})
    assert theirs.near(PARKED) == (48.0, 11.5)
    assert Observer.read({}).near(PARKED) == (1.5, 2.5)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"location": None},
        {"location": {"coordinates": {"latitude": 1}}},
        {"location": {"coordinates": {"latitude": 0, "longitude": 0}}},
    ],
    ids=str,
)
def test_without_either_there_is_no_search(state) -> None:
    with pytest.raises(CommandRefused) as refused:
        Observer.read({}).near(car(state))
    assert (
        refused.value.hint
        == "give your own latitude and longitude; for cars before mid-2014, within about 2 km"
    )


def test_half_an_observer_is_none() -> None:
    with pytest.raises(ArgumentRefused):
        Observer.read({"observer_latitude": 48})


# --- any other call -----------------------------------------------------------------------------


def test_a_call_goes_where_it_is_told() -> None:
    call = GenericCall.read({"path": "/eadrax-x/v1/{vin}/y", "params": {"a": "b"}, "body": {"c": 1}})
    assert (call.trigger.path, call.trigger.query, call.body) == (
        "/eadrax-x/v1/{vin}/y",
        {"a": "b"},
        {"c": 1},
    )
    short = GenericCall.read({"path": "light-flash"})
    assert short.trigger.path == "/eadrax-vrccs/v4/presentation/remote-commands/light-flash"
    assert (short.trigger.query, short.body) == ({}, {})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"path": ""},
        {"path": "https://elsewhere.example/x"},
        {"path": "//elsewhere.example/x"},
        {"path": "/x//elsewhere.example"},
        {"path": "/x?a=b"},
        {"path": "/x#y"},
        {"path": "/x y"},
        {"path": "x@elsewhere.example"},
        {"path": "/x\\y"},
        {"path": "x", "params": {"a": 1}},
        {"path": "x", "params": "a=b"},
        {"path": "x", "body": [1]},
        {"path": "x", "body": {"a": float("inf")}},
        {"path": "x", "body": {"a": {1}}},
    ],
    ids=str,
)
def test_a_call_names_a_path_and_no_host(given) -> None:
    """The access token goes with it, so it goes to BMW alone."""
    with pytest.raises(ArgumentRefused):
        GenericCall.read(given)
