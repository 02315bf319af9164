"""The merged state: the newest measurement wins, however and whenever it arrives."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.errors import MalformedAnswer
from poller.sources.cardata.cars.state import LATITUDE, LONGITUDE, MAX_BODY, MAX_UNKNOWN, ODOMETER, CarState
from poller.sources.cardata.meaning.catalogue import CATALOGUE
from poller.sources.cardata.meaning.values import Presence

NOW = datetime(2026, 7, 27, 12, 40, tzinfo=UTC)
VIN = "WBATEST0000000001"
SOC = "vehicle.drivetrain.batteryManagement.header"
DOOR = "vehicle.cabin.door.row1.driver.isOpen"
MESSAGES = "vehicle.status.checkControlMessages"
EMPTY = CarState(VIN)


def entry(value, at=None, unit=None, **more):
    return {"timestamp": at and f"2026-07-27T{at}Z", "value": value, "unit": unit, **more}


def message(vin=VIN, /, **data) -> bytes:
    return json.dumps(
        {"vin": vin, "data": {name.replace("__", "."): one for name, one in data.items()}}
    ).encode()


def streamed(state, name, value, at=None, unit=None, received_at=NOW):
    sent = {
        "value": value,
        **({"timestamp": f"2026-07-27T{at}Z"} if at else {}),
        **({"unit": unit} if unit else {}),
    }
    return state.merge_stream(json.dumps({"vin": VIN, "data": {name: sent}}).encode(), received_at)


def asked(state, entries, received_at=NOW):
    return state.merge_rest(json.dumps({"telematicData": entries}).encode(), received_at)


def test_a_late_value_does_not_replace_a_newer_one() -> None:
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00")
    late, changed = streamed(state, SOC, 40, "12:20:00")
    assert (late.held[SOC].value, changed) == (42, False)


def test_order_of_arrival_does_not_matter() -> None:
    """Bursts come with duplicates and out of order."""
    sent = [(40, "12:20:00"), (41, "12:25:00"), (42, "12:30:00"), (42, "12:30:00")]
    for order in permutations(sent):
        state = EMPTY
        for value, at in order:
            state, _ = streamed(state, SOC, value, at)
        assert state.held[SOC].value == 42


def test_a_duplicate_is_no_news() -> None:
    state, first = streamed(EMPTY, SOC, 42.0, "12:30:00", "%")
    again, second = streamed(state, SOC, 42.0, "12:30:00")
    assert (first, second, again.held) == (True, False, state.held)


def test_rest_that_says_what_the_stream_said_is_no_news() -> None:
    """REST has it as a string and with other spellings of unit and words."""
    state, _ = streamed(EMPTY, SOC, 42.0, "12:30:00", "percent")
    state, _ = streamed(state, DOOR, "closed", "12:30:00")
    again, changed = asked(
        state, {SOC: entry("42", "12:30:00.000", "%"), DOOR: entry("CLOSED", "12:30:00.000")}
    )
    assert (changed, again.held[SOC].via) == (False, "stream")


def test_a_new_time_is_news_even_of_the_same_value() -> None:
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00")
    later, changed = streamed(state, SOC, 42, "12:31:00")
    assert (changed, later.held[SOC].timestamp) == (True, datetime(2026, 7, 27, 12, 31, tzinfo=UTC))


def test_of_two_values_in_one_second_the_later_message_counts() -> None:
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00")
    state, changed = streamed(state, SOC, 43, "12:30:00")
    assert (state.held[SOC].value, changed) == (43, True)


def test_a_null_of_the_same_time_takes_no_value_away() -> None:
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00")
    state, changed = asked(state, {SOC: entry(None, "12:30:00")})
    assert (state.held[SOC].value, changed) == (42, False)


def test_untimed_rest_does_not_replace_the_stream() -> None:
    """Its server may be behind; a null from it says nothing of what the car has just sent."""
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00")
    for value in (None, "30", "-NA-"):
        state, changed = asked(state, {SOC: entry(value)})
        assert (state.held[SOC].value, changed) == (42, False)


def test_null_takes_away_the_messages_that_rest_told() -> None:
    """`checkControlMessages: null` means that none is pending any more."""
    state, _ = asked(EMPTY, {MESSAGES: entry('[{"id": 907}]', "12:30:00")})
    state, changed = asked(state, {MESSAGES: entry(None)}, NOW + timedelta(hours=1))
    assert (state.presence(MESSAGES), changed) == (Presence.NULL, True)


def test_the_newest_measurement_may_be_that_there_is_none() -> None:
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00")
    state, _ = streamed(state, SOC, "INVALID", "12:31:00")
    assert state.presence(SOC) is Presence.SENTINEL


def test_four_ways_of_having_nothing_are_kept_apart() -> None:
    state, _ = asked(EMPTY, {SOC: entry(None), DOOR: entry("-NA-", "12:30:00"), MESSAGES: entry("INVALID")})
    found = [state.presence(name) for name in (SOC, DOOR, MESSAGES, ODOMETER)]
    assert found == [Presence.NULL, Presence.NOT_AVAILABLE, Presence.SENTINEL, Presence.ABSENT]


@pytest.mark.parametrize("unit", [None, "null", "", "-"])
def test_without_a_unit_a_value_is_in_the_last_known_one(unit) -> None:
    state, _ = streamed(EMPTY, SOC, 42, "12:30:00", "percent")
    state, _ = asked(state, {SOC: entry("43", "12:31:00", unit)})
    assert state.held[SOC].unit == "percent"


@pytest.mark.parametrize(("value", "unit"), [("93272", "km"), ("57990", "miles"), (57990.5, "miles")])
def test_an_odometer_without_a_unit_is_in_the_one_that_fits(value, unit) -> None:
    """REST leaves it out and changes between the two: 57,958 miles, then 93,272 of something."""
    state, _ = streamed(EMPTY, ODOMETER, 57958, "12:30:00", "miles")
    state, _ = asked(state, {ODOMETER: entry(value, "12:31:00")})
    assert state.held[ODOMETER].unit == unit


def test_a_time_ahead_of_ours_is_not_believed() -> None:
    """Otherwise one wrong clock would shut out all that comes after."""
    state, _ = EMPTY.merge_stream(message(x={"value": 1, "timestamp": "2031-01-01T00:00:00Z"}), NOW)
    assert state.held["x"].timestamp is None


# --- position ---------------------------------------------------------------------------------


def place(state, north, east):
    for name, half in ((LATITUDE, north), (LONGITUDE, east)):
        if half is not None:
            state, _ = streamed(state, name, *half)
    return state


def test_latitude_and_longitude_a_second_apart_are_a_position() -> None:
    state = place(EMPTY, (48.1, "12:30:00"), (11.5, "12:30:01"))
    assert (state.position.latitude, state.position.longitude) == (48.1, 11.5)
    assert state.position.timestamp == datetime(2026, 7, 27, 12, 30, tzinfo=UTC)


def test_half_a_new_position_leaves_the_old_one() -> None:
    """A car that drives would otherwise be where it never was."""
    state = place(EMPTY, (48.1, "12:30:00"), (11.5, "12:30:01"))
    half = place(state, (48.3, "12:32:00"), None)
    assert half.position == state.position
    whole = place(half, None, (11.8, "12:32:01"))
    assert (whole.position.latitude, whole.position.longitude) == (48.3, 11.8)


def test_one_half_alone_is_no_position() -> None:
    assert place(EMPTY, (48.1, "12:30:00"), None).position is None
    assert place(EMPTY, (48.1, "12:30:00"), (11.5, "12:33:00")).position is None


@pytest.mark.parametrize(("north", "east"), [(0, 0), ("-NA-", "-NA-"), (None, None)])
def test_no_position_takes_the_old_one_away(north, east) -> None:
    state = place(EMPTY, (48.1, "12:30:00"), (11.5, "12:30:01"))
    assert place(state, (north, "12:32:00"), (east, "12:32:01")).position is None


def test_what_is_not_on_this_planet_is_no_position() -> None:
    assert place(EMPTY, (91, "12:30:00"), (11.5, "12:30:00")).position is None


def test_an_untimed_pair_counts_only_from_one_answer() -> None:
    state, _ = asked(EMPTY, {LATITUDE: entry("48.1"), LONGITUDE: entry("11.5")})
    assert (state.position.latitude, state.position.timestamp) == (48.1, None)
    state, _ = asked(EMPTY, {LATITUDE: entry("48.1")})
    state, _ = asked(state, {LONGITUDE: entry("11.5")}, NOW + timedelta(minutes=5))
    assert state.position is None


# --- what is no message -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"\xff\xfe", b"null", b"[]", b"{}", b'{"data": []}', b'{"data": null}',
        b'{"telematicData": 7}', b'{"fault": {"faultstring": "x"}}', b"[" * 200_000,
        b'{"data": {"a": ' * 50_000, b" " * (MAX_BODY + 1),
    ],
    ids=lambda body: body[:20],
)  # fmt: skip
def test_what_is_no_message_is_malformed(body) -> None:
    for merge in (EMPTY.merge_stream, EMPTY.merge_rest):
        with pytest.raises(MalformedAnswer) as error:
            merge(body, NOW)
        assert VIN not in str(error.value)


@pytest.mark.parametrize("vin", ["WBATEST0000000002", "", 7, []])
def test_another_vehicles_message_is_refused(vin) -> None:
    with pytest.raises(MalformedAnswer) as error:
        EMPTY.merge_stream(message(vin, x=entry(1)), NOW)
    assert "WBATEST" not in str(error.value)


def test_the_vin_may_be_written_small_or_left_out() -> None:
    assert EMPTY.merge_stream(message(VIN.lower(), x=entry(1)), NOW)[1]
    assert EMPTY.merge_stream(b'{"data": {"x": {"value": 1}}}', NOW)[1]


def test_unknown_descriptors_are_kept_and_known_by_name() -> None:
    state, changed = EMPTY.merge_stream(message(**{"vehicle__new\u200bThing": entry(1), SOC: entry(2)}), NOW)
    assert (state.unknown, changed) == (("vehicle.newThing",), True)


def test_a_message_with_a_hundred_thousand_keys_does_not_fill_the_memory() -> None:
    """Known descriptors have room whatever else came before."""
    data = {f"x{n}": {} for n in range(70_000)}
    state, _ = EMPTY.merge_stream(message(**data), NOW)
    assert (len(state.held), state.left_out) == (MAX_UNKNOWN, 70_000 - MAX_UNKNOWN)
    state, changed = state.merge_stream(message(y={}, x0=entry(1)), NOW)
    assert (len(state.held), state.held["x0"].value, changed) == (MAX_UNKNOWN, 1, True)
    state, _ = EMPTY.merge_rest(
        json.dumps({"telematicData": {name: entry(1) for name in CATALOGUE}}).encode(), NOW
    )
    assert len(state.held) == 294
    with pytest.raises(MalformedAnswer):
        EMPTY.merge_stream(message(**{f"x{n}": entry(1) for n in range(100_000)}), NOW)


@pytest.mark.parametrize("bad", [7, "x", None, [], {"value": "x" * 20_000}])
def test_an_entry_that_cannot_be_kept_costs_only_itself(bad) -> None:
    state, changed = EMPTY.merge_stream(message(**{DOOR: bad, SOC: entry(42)}), NOW)
    assert (set(state.held), state.left_out, changed) == ({SOC}, 1, True)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 5000])
def test_a_number_beyond_all_numbers_can_be_stored(number) -> None:
    state, _ = EMPTY.merge_stream(b'{"data": {"x": {"value": %s}}}' % number, NOW)
    assert CarState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_a_list_instead_of_its_text_is_kept_as_text() -> None:
    state, _ = asked(EMPTY, {MESSAGES: entry([{"id": 907}])})
    assert state.held[MESSAGES].value == '[{"id":907}]'


# --- JSON -------------------------------------------------------------------------------------


def test_the_state_survives_its_json() -> None:
    state = place(EMPTY, (48.1, "12:30:00"), (11.5, "12:30:01"))
    state, _ = asked(
        state, {MESSAGES: entry(None), SOC: entry("42", "12:30:00", "%"), "new": entry("\ud800")}
    )
    state, _ = state.merge_stream(message(**{DOOR: 7}), NOW)
    text = json.dumps(state.to_json(), allow_nan=False, ensure_ascii=False).encode()
    assert CarState.from_json(json.loads(text)) == state


@pytest.mark.parametrize(
    "value", [None, [], {}, {"vin": VIN}, {"descriptors": {}}, {"vin": 7, "descriptors": {}}]
)
def test_what_is_no_state_is_malformed(value) -> None:
    with pytest.raises(MalformedAnswer):
        CarState.from_json(value)


def test_a_member_that_cannot_be_read_is_left_out() -> None:
    body = place(EMPTY, (48.1, "12:30:00"), (11.5, "12:30:01")).to_json()
    body["descriptors"][LATITUDE]["via"] = "post"
    body["descriptors"][SOC] = {"value": [], "via": "rest", "received_at": "2026-07-27T12:30:00Z"}
    body["position"]["latitude"] = "north"
    read = CarState.from_json(body)
    assert (set(read.held), read.position) == ({LONGITUDE}, None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
entries = st.dictionaries(
    st.sampled_from([SOC, DOOR, LATITUDE, LONGITUDE, ODOMETER, MESSAGES]) | st.text(),
    anything | st.fixed_dictionaries({"value": anything}, optional={"unit": anything, "timestamp": anything}),
    max_size=6,
)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), entries), max_size=4))
def test_whatever_was_merged_can_be_stored(sent) -> None:
    state = EMPTY
    for by_stream, data in sent:
        body = json.dumps({"vin": VIN, "data": data, "telematicData": data}).encode()
        state, _ = (state.merge_stream if by_stream else state.merge_rest)(body, NOW)
    text = json.dumps(state.to_json(), allow_nan=False, ensure_ascii=False).encode()
    assert CarState.from_json(json.loads(text)) == state
