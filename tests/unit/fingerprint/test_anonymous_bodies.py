"""Who and where are gone from a body, in whatever it is written; what the car says of itself stays."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from poller.fingerprint.anonymous import Anonymiser
from poller.sources.cardata.meaning.catalogue import CATALOGUE

VIN = "WBA21AB0404K12345"
OTHER = "WMW31XY0707B98765"
GONE = "WBA0FINGERPRINT01"


def told(body: object, **known: list[str]) -> object:
    """JSON in, JSON out."""
    return json.loads(Anonymiser([VIN], **known).body(json.dumps(body).encode()) or "")


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("latitude", 48.123456, 12.3456),
        ("lat", "48.1", "12.3456"),
        ("mapMatchedLatitude", 48.1, 12.3456),
        ("longitude", 11, 34),
        ("lng", -0.1, 34.5678),
        ("heading", 181, 123),
        ("altitude", 519.5, 100.0),
        ("coordinates", [11.5, 48.1], [12.3456, 12.3456]),
        (
            "geometry",
            {"type": "Polygon", "rings": [[[11.5, 48.1]]]},
            {"type": "Polygon", "rings": [[[12.3456, 12.3456]]]},
        ),
        ("location", "48.1,11.5", "12.3456,34.5678"),
        ("position", "48.1;11.5", "12.3456,34.5678"),
        ("position", "FRONT_LEFT", "FRONT_LEFT"),
        ("position", {"x": 11.5, "y": [48.1]}, {"x": 12.3456, "y": [12.3456]}),
        ("licensePlate", "M-AB 1234", "some_license_plate"),
        (
            "dealer",
            {"id": 4711, "label": "Autohaus", "open": True},
            {"id": 999, "label": "some_text", "open": True},
        ),
        ("name", "Erika", "some_name"),
        ("street", "Hauptstr.", "some_street"),
        ("streetNumber", 12, 999),
        ("city", "Bremen", "some_city"),
        ("postalCode", "28195", "some_postal_code"),
        ("phone", ["+49 421 1234"], ["some_phone"]),
        (
            "address",
            {"country": "Germany", "formatted": "Weg 1"},
            {"country": "Germany", "formatted": "some_formatted_address"},
        ),
        ("access_token", "abc", "some_token"),
        ("pushToken", "abc", "some_token"),
        ("gcid", "0815", "some_id"),
        ("vehicleIdWithGcid", "0815", "some_id"),
        ("eventId", "0815", "some_id"),
        ("vin", VIN, GONE),
        ("vins", [VIN.lower()], [GONE.lower()]),
        ("email", "erika", "some_email"),
    ],
)
def test_a_value_is_known_by_its_name(name, value, instead) -> None:
    """Numbers stay numbers, whole ones whole; texts stay texts."""
    assert told({name: value}) == {name: instead}


@pytest.mark.parametrize(
    "body",
    [
        {"brand": "BMW_I", "model": "i4 eDrive40", "bodyType": "G26", "year": 2021, "color": 4285887861},
        {"checkControlMessages": [{"id": 5, "name": "Tyre", "type": "TIRE_PRESSURE", "code": "42"}]},
        {"requiredServices": [{"type": "OIL", "description": "Next service by the date shown."}]},
        {
            "tireState": {
                "frontLeft": {"details": {"manufacturer": "Pirelli", "dimension": "245/50 R19 105 W"}}
            }
        },
        {"departureTimes": [{"id": 1, "action": "DEACTIVATE"}], "code": 699121, "position": 3},
        {
            "lastFetched": "2021-11-28T21:28:59Z",
            "timestamp": "0001-01-01T18:01:00",
            "partNumber": "36 11 6 884 146",
        },
        {"capabilities": {"lock": True, "isChargingPlanSupported": None, "remoteServices": {"name": "horn"}}},
        {"androidStoreUrl": "https://play.google.com/store/apps/details?id=com.bmwgroup.driversguide.row"},
        {"latitude": None, "longitude": 0, "name": "", "heading": -1, "phone": "-NA-"},
        {"currentMileage": 12345.5, "values": [6.5, 7.0, 1e3], "softwareVersionCurrent": {"iStep": 470}},
        {"location": {"timestamp": "2026-11-21T14:00:00Z", "via": "rest"}},
    ],
)
def test_facts_of_the_car_stay(body) -> None:
    assert told(body) == body


TEXTS = [
    f"car {VIN} is open",
    f"car_{VIN.lower()}_x",
    f"x{VIN}x",
    f"Your {VIN[-7:]} needs oil",
    f"of {OTHER}.",
    "write to erika.m@example.com",
    "call +49 (421) 1234-567",
    "call 0421 1234567",
    "call 00494211234567",
    "Authorization: Bearer abc.def-123456",
    "Basic dXNlcjpwYXNz",
    "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
    "https://erika:geheim@host/x",
    "?refresh_token=geheim7&x=1",
    "parked at 48.1371, 11.5754",
    "at 48.1,11.5 now",
    "lat=48.1371&lon=11.5754",
    "<latitude>48.1371</latitude>",
    "licensePlate: HB-EM 42",
    "'street': 'Weg 1a'",
    "session 3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "key 0123456789abcdef0123456789abcdef",
    "mac aa:bb:cc:dd:ee:0f",
    "00:11:22:33:44:55",
]
SECRETS = [
    VIN,
    VIN[-7:],
    OTHER,
    "erika",
    "geheim",
    "4211234",
    "421 1234",
    "(421)",
    "abc.def",
    "dXNlcjpwYXNz",
    "eyJ",
    "48.1",
    "11.5",
    "HB-EM",
    "Weg",
    "3fa85f64",
    "0123456789abcdef",
    "aa:bb",
    "11:22",
]


def left(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: f"<html><body><p title='x'>{text}</p></body></html>",
        lambda text: json.dumps({"note": text}),
        lambda text: json.dumps([[text]]),
        lambda text: json.dumps({"value": json.dumps({"inner": [text]})}),
        lambda text: json.dumps({text: 1, "x": 2}),
        lambda text: '{"cut": "off ' + text,
        lambda text: '{"a": [1, {"b": "' + text + '", "c": ',
        lambda text: json.dumps({"note": quote(text, safe="")}),
        lambda text: json.dumps({"note": base64.b64encode(f"{text}\n".encode()).decode()}),
        lambda text: json.dumps(
            {"note": base64.urlsafe_b64encode(f"{{{text}}}".encode()).decode().rstrip("=")}
        ),
        lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
        lambda text: text.replace("@", "&#64;").replace(".", "&#46;").replace(",", "&#x2c;"),
    ],
    ids="text html member list json-in-json key cut broken percent base64 base64url escaped entities".split(),  # noqa: SIM905  # thirteen words read better
)
def test_a_text_is_known_by_its_look_however_it_is_written(text, written) -> None:
    body = written(text).encode()
    anonymous = Anonymiser([VIN]).body(body)
    assert anonymous is not None
    assert left(anonymous) == []
    for run in anonymous.replace('"', " ").replace("\\", " ").split():
        try:
            packed = base64.b64decode(run + "=" * (-len(run) % 4), altchars=b"-_").decode()
        except ValueError:
            continue
        assert left(packed) == []


def test_of_a_text_that_is_cut_off_the_last_words_go() -> None:
    """Half an address has no look any more."""
    assert Anonymiser().body(b'{"note": "sent by erika.m@exa') == '{"note": "'
    assert Anonymiser().body(b'{"note": "this was sent by erika.m@exa') == '{"note": "this was '


def test_what_is_known_of_one_value_is_found_in_all_others() -> None:
    """A plate in a free text has no look of its own."""
    body = {"licensePlate": "HB-EM 42", "note": "The car hb-em 42 is open", "owner": "Erika Mustermann"}
    anonymiser = Anonymiser()
    first = anonymiser.body(json.dumps(body).encode())
    assert "some_license_plate" in first
    assert "The car some_license_plate is open" in anonymiser.body(json.dumps(body).encode())
    assert told({"note": "by erika@home"}, known=["erika@home"]) == {"note": "by some_token"}


def test_the_same_car_has_the_same_name_everywhere() -> None:
    anonymiser = Anonymiser([OTHER, VIN])
    bodies = [anonymiser.body(json.dumps({"vin": vin}).encode()) for vin in (VIN, OTHER, VIN.lower())]
    names = [json.loads(body)["vin"] for body in bodies]
    assert names == ["WBA0FINGERPRINT01", "WMW0FINGERPRINT02", "wba0fingerprint01"]
    assert all(len(name) == 17 for name in names)


def test_many_cars_have_names_of_their_own() -> None:
    anonymiser = Anonymiser()
    names = {anonymiser.pseudonym(f"WBA00000000{number:06}") for number in range(300)}
    assert len(names) == 300
    assert {len(name) for name in names} == {17}


def test_a_vin_with_an_odd_letter_is_hidden_too() -> None:
    """The sign of Kelvin is a K in any case, and not one in upper case."""
    assert told({"note": VIN.replace("K", "\u212a")}) == {"note": "some_token"}


def test_a_vin_that_is_none_is_hidden_too() -> None:
    assert told({"vin": "Ü-1"}) == {"vin": "X-10FINGERPRINT02".replace("-", "X")}


def test_what_is_anonymous_stays_as_it_is() -> None:
    """So a test can ask whether a folder may be published."""
    body = {
        "vin": VIN,
        "gcid": "g",
        "location": {"coordinates": {"latitude": 1.5, "longitude": 2.5}},
        "note": " ".join(TEXTS),
        "licensePlate": "HB-EM 42",
        "dealer": {"x": ["y"]},
    }
    once = Anonymiser([VIN]).body(json.dumps(body).encode())
    again = Anonymiser()
    assert again.body(once.encode()) == once


def test_json_is_laid_out_and_keeps_its_numbers_and_its_order() -> None:
    body = b'{"z":1.50,"a":[1E3,-0,{}],"z":[],"t":"\\u00e4\\ud800"}'
    text = Anonymiser().body(body)
    assert text == (
        '{\n    "z": 1.50,\n    "a": [\n        1E3,\n        -0,\n        {}\n    ],\n'
        '    "z": [],\n    "t": "\\u00e4\\ud800"\n}\n'
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_json_are_read(encoding) -> None:
    text = json.dumps({"city": "Köln", "note": f"ä {VIN}"}, ensure_ascii=False)
    assert json.loads(Anonymiser().body(text.encode(encoding))) == {"city": "some_city", "note": f"ä {GONE}"}


def test_a_text_in_an_old_encoding_is_read() -> None:
    assert Anonymiser().body(f"Tür offen: {VIN}".encode("latin-1")) == f"Tür offen: {GONE}"


@pytest.mark.parametrize("body", [b"\x89PNG\r\n\x1a\n\0\0" + VIN.encode(), VIN.encode("utf-16-le"), b"\0"])
def test_what_is_no_text_is_left_out(body) -> None:
    assert Anonymiser([VIN]).body(body) is None


def test_a_picture_in_base64_is_left_out() -> None:
    picture = base64.b64encode(bytes(range(256))).decode()
    assert told({"backGroundImg": picture}) == {"backGroundImg": "some_token"}


def test_of_cardata_only_places_and_persons_go() -> None:
    """By the last word of a descriptor, which elsewhere means something else."""
    navigation = "vehicle.cabin.infotainment.navigation"
    values = {
        f"{navigation}.currentLocation.latitude": ("48.1", "12.3456"),
        f"{navigation}.currentLocation.longitude": (11.5, 34.5678),
        f"{navigation}.destinationSet.latitude": (48.1, 12.3456),
        f"{navigation}.currentLocation.fixStatus": ("NO_FIX", "NO_FIX"),
        "vehicle.cabin.door.row1.driver.position": ("CLOSED_1", "CLOSED_1"),
        "vehicle.vehicle.preferredSevicePartner": ("Autohaus Nord", "some_text"),
        "vehicle.serviceDemand.defect.code": ("0x4711", "0x4711"),
        "vehicle.powertrain.list": (
            json.dumps([{"city": "Bremen", "soc": 80}]),
            '[{"city": "some_city", "soc": 80}]',
        ),
    }
    entries = {
        name: {"value": value, "unit": "degrees", "timestamp": "2026-11-21T14:00:00Z", "via": "rest"}
        for name, (value, _) in values.items()
    }
    state = {
        "vin": VIN,
        "descriptors": entries,
        "position": {"latitude": 48.1, "longitude": 11, "via": "rest"},
    }
    seen = told(state)
    assert {name: entry["value"] for name, entry in seen["descriptors"].items()} == {
        name: instead for name, (_, instead) in values.items()
    }
    assert all(
        {**entry, "value": 0} == {**seen["descriptors"][name], "value": 0} for name, entry in entries.items()
    )
    assert seen["position"] == {"latitude": 12.3456, "longitude": 34, "via": "rest"}


def test_few_of_cardatas_descriptors_are_personal() -> None:
    body = {name: {"value": "some words", "unit": "km"} for name in CATALOGUE}
    seen = told(body)
    assert {name.rpartition(".")[2] for name in CATALOGUE if seen[name] != body[name]} == {
        "latitude",
        "longitude",
        "altitude",
        "heading",
        "isoSessionId",
        "plugEventId",
        "preferredSevicePartner",
        "connectedDriveContractList",
    }


def test_what_was_replaced_is_counted() -> None:
    anonymiser = Anonymiser()
    anonymiser.body(json.dumps({"vin": VIN, "lat": 1.5, "note": f"{VIN} a@b.de", "soc": 80}).encode())
    assert {what: count for what, count in anonymiser.replaced.items() if count} == {
        "vin": 2,
        "latitude": 1,
        "email": 1,
    }


def passed(*bodies: object) -> list[str]:
    """As a bundle does: all are learned from, then written; a text is a body that is no JSON."""
    anonymiser = Anonymiser()
    data = [body.encode() if isinstance(body, str) else json.dumps(body).encode() for body in bodies]
    for body in data:
        anonymiser.body(body)
    return [anonymiser.body(body) or "" for body in data]


@pytest.mark.parametrize(
    ("answer", "text", "instead"),
    [
        ({"owner": "Otto Normal"}, "<b>OTTO NORMAL</b> and Otto", "<b>some_name</b> and some_name"),
        ({"firstName": "Otto", "lastName": "Normal"}, "of Otto Normal.", "of some_name some_name."),
        ({"owner": {"name": "Otto Normal", "role": "Main"}}, "Main Normal", "Main some_name"),
        ({"driverName": "Jörg Müller-Lüden"}, "by Müller-Lüden, Jörg", "by some_name, some_name"),
        ({"userName": "otto42x"}, "Hi Otto42X", "Hi some_name"),
        ({"homeAddress": {"street": "Am Wall 17"}}, "lives am wall 17", "lives some_street"),
        ({"licensePlate": "HB-EM 42"}, "has hb-em 42", "has some_license_plate"),
        ({"email": "otto at home 7"}, "mail otto at home 7", "mail some_email"),
    ],
)
def test_what_one_answer_says_of_a_person_goes_from_all_others(answer, text, instead) -> None:
    """Also from one before it, and from one that is no JSON; a word of a name in the case of the name."""
    assert passed(text, answer)[0] == instead


@pytest.mark.parametrize(
    ("answer", "text", "instead"),
    [
        ({"city": "Bremen"}, "parked in Bremen, near", "parked in some_city, near"),
        ({"address": {"town": "BREMEN"}}, "Bremen or BREMEN", "some_city or some_city"),
        ({"city": "Bad Zwischenahn"}, "in BAD ZWISCHENAHN", "in some_city"),
        ({"dealer": {"name": "Autohaus Nord"}}, "the autohaus nord", "the some_name"),
        ({"destination": {"name": "Mutti"}}, "to Mutti", "to some_name"),
        ({"customer": {"name": "Otto Normal"}}, "of Normal", "of some_name"),
        ({"account": {"name": "Erika Musterfrau"}}, "to ERIKA MUSTERFRAU", "to some_name"),
        ({"account": {"name": "Erika Musterfrau"}}, "Hello Musterfrau", "Hello some_name"),
        ({"city": "München"}, "MÜNCHEN, München", "some_city, some_city"),
        ({"city": "Bad Zwischenahn"}, {"Bad Zwischenahn": 1}, '{\n    "some_city": 1\n}\n'),
        ({"city": "Bremen"}, {"note": "BREMEN 1"}, '{\n    "note": "some_city 1"\n}\n'),
    ],
)
def test_what_one_answer_says_of_a_place_goes_from_all_others(answer, text, instead) -> None:
    """A town, a dealer, a destination, a customer: under a name that says so, anywhere in the folder."""
    assert passed(text, answer)[0] == instead


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"city": "Service"}, "Service in 30 days"),
        ({"town": "Open"}, "Open the window"),
        ({"city": "Reading"}, "reading failed"),
        ({"city": "Au"}, "Au Backe"),
        ({"city": "Bad Zwischenahn"}, "Bad request"),
        ({"district": "Park"}, "Park assist"),
        ({"dealer": {"name": "BMW Service"}, "brand": "BMW"}, "your BMW Service is due"),
        ({"account": {"name": "Comfort"}}, "Comfort access"),
        ({"connectedDriveContractList": [{"name": "Remote Services"}]}, "Remote Services"),
        ({"services": [{"name": "Tyre Pressure"}]}, "Tyre Pressure low"),
    ],
)
def test_harmless_words_stay_though_a_place_is_called_so(answer, text) -> None:
    assert passed(text, answer)[0] == text


@pytest.mark.parametrize(
    "spaced",
    [
        "WBA 21AB 0404 K12345",
        "WBA-21AB0-404K1-2345",
        "wba 21ab0 404k12345",
        " ".join(VIN),
        "WBA\u00a021AB0404\u2011K12345",
        "WBA21AB\n0404K12345",
        "WBA - 21AB0404K12345",
    ],
)
def test_a_vin_that_is_known_is_found_with_blanks_and_hyphens_in_it(spaced) -> None:
    gone = GONE.lower() if spaced.islower() else GONE
    assert told({"note": f"car {spaced}, open"}) == {"note": f"car {gone}, open"}
    assert passed(f"car {spaced}, open", {"vin": VIN})[0] == f"car {gone}, open"
    assert quote(gone) in (Anonymiser([VIN]).body(quote(f"car {spaced}").encode()) or "")


@pytest.mark.parametrize(
    "answer",
    [
        {"tyre": {"status": "NORMAL"}, "NORMAL": 1, "modes": ["NORMAL_2", "ECO"]},
        {"Normal": {"a": 1}, "is Normal": 2, "vehicle.Normal.on": "x"},
    ],
)
@pytest.mark.parametrize(
    "person", [{"city": "NORMAL"}, {"lastName": "NORMAL"}, {"place": {"name": "Normal"}}]
)
def test_what_a_parser_looks_for_stays_though_somebody_is_called_so(answer, person) -> None:
    """Keys, and values that are one word in capitals: else the folder could not be replayed."""
    assert json.loads(passed(answer, person)[0]) == answer


def test_a_key_that_tells_a_vin_or_an_address_goes_all_the_same() -> None:
    seen = json.loads(
        passed(
            {"HB-EM 42": 1, VIN: 2, "a@b.de": 3, "Otto42X": 4},
            {"licensePlate": "hb-em 42"},
            {"userName": "otto42x"},
        )[0]
    )
    assert list(seen) == ["some_license_plate", GONE, "some_email", "some_name"]


def test_words_of_the_car_are_nobodys_name() -> None:
    """Though a person's may be the same; and nobody's name is a word of the maker's."""
    car = {"brand": "MINI", "model": "MINI Cooper SE", "state": "POWER", "vehicle.cabin.light.on": "Open"}
    persons = {"owner": "MINI", "firstName": "Cooper", "lastName": "Power", "userName": "Cabin Light"}
    seen = json.loads(passed(car, persons)[0])
    assert seen == car
    assert json.loads(passed({"note": "Erika", "name": "Erika"})[0])["note"] == "Erika"
