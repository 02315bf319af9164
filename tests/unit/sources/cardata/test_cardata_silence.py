"""Five states, five messages: each in an owner's words, in their order, none where another explains it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from poller.runtime.status import Failure, StreamStatus
from poller.sources.cardata.cars.state import ODOMETER, CarState, Held
from poller.sources.cardata.rest.ledger import Spent, Standing
from poller.sources.cardata.standing.silence import CarHeard, Refusal, Situation, newest, silences, unstreamed

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FRESH = Standing(50, 10, 4, 4, 46, 36)
SPENT = Standing(
    50, 10, 40, 30, 10, 0, next_free_at=NOW + HOUR, calls=(Spent(NOW - HOUR, "polling", routine=True),)
)
UP = StreamStatus("connected", NOW - HOUR)
DOWN = StreamStatus(
    "waiting", NOW - HOUR / 2, failure=Failure(NOW, "closed", "BMW closed the connection", "wait")
)
OFFLINE = replace(DOWN, state="no_network", failure=Failure(NOW, "dns", "the name cannot be resolved"))
REFUSED = Refusal("BMW refused the stored login", "run `poller login home`", NOW)
CAR, QUIET = CarHeard("0000001", NOW - HOUR), CarHeard("0000002", NOW - 9 * HOUR)
NORMAL = Situation(NOW, FRESH, works=True, stream=UP, cars=(CAR,))


def told(**changes) -> list[str]:
    return [silence.condition for silence in silences(replace(NORMAL, **changes))]


def only(**changes):
    (silence,) = silences(replace(NORMAL, **changes))
    return silence


def test_when_all_is_well_there_is_nothing_to_say() -> None:
    assert silences(NORMAL) == ()


def test_refused_says_what_bmw_said_and_what_mends_it() -> None:
    silence = only(refused=[REFUSED])
    assert (silence.condition, silence.message, silence.hint, silence.since) == (
        "refused",
        REFUSED.message,
        REFUSED.hint,
        NOW,
    )


def test_refused_for_one_vehicle_names_it_by_its_short_vin() -> None:
    silence = only(cars=(CAR, replace(QUIET, refused=Refusal("no data of this vehicle", "portal"))))
    assert (silence.condition, silence.vehicle) == ("refused", "0000002")


def test_one_refusal_is_told_once() -> None:
    assert told(refused=[REFUSED, REFUSED], cars=(replace(CAR, refused=REFUSED),)) == ["refused"]


def test_a_login_that_the_stream_alone_refuses_is_refused_and_not_merely_down() -> None:
    failure = Failure(NOW, "credentials", "BMW's stream refuses the login", "portal")
    assert only(stream=replace(DOWN, state="refused", failure=failure)).condition == "refused"


@pytest.mark.parametrize(
    ("state", "reason", "own"), [("refused", "topic", False), ("refused", "credentials", True)]
)
def test_a_subscription_or_a_broker_of_the_owners_that_refuses_is_the_stream_being_down(
    state, reason, own
) -> None:
    failure = Failure(NOW, reason, "no data stream is configured", "tick the attributes")
    silence = only(stream=replace(DOWN, state=state, failure=failure, own_broker=own))
    assert silence.condition == "stream_down"
    assert "no data stream is configured" in silence.message
    assert "REST is polled in its place" in silence.message


def test_no_network_is_the_streams_word_or_rests() -> None:
    assert only(stream=OFFLINE).message == "the name cannot be resolved"
    rest = Failure(NOW, "network", "BMW CarData could not be reached")
    assert only(stream=None, offline=rest).condition == "no_network"
    # A stream that is connected has a network.
    assert told(offline=rest) == []


def test_budget_spent_says_when_the_next_call_comes_free() -> None:
    silence = only(standing=SPENT)
    assert silence.condition == "budget_spent"
    assert "50 calls" in silence.message
    assert "10 kept" in silence.message
    assert "2026-11-21 15:00 UTC" in (silence.hint or "")
    assert silence.since == NOW - HOUR


@pytest.mark.parametrize(("by", "words"), [("refused", "made 40"), ("lost", "was lost")])
def test_budget_spent_says_who_thinks_so(by, words) -> None:
    standing = replace(SPENT, blocked_by=by, blocked_until=NOW + 10 * HOUR)
    silence = only(standing=standing)
    assert words in silence.message
    assert "2026-11-22 00:00 UTC" in (silence.hint or "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "if that lasts for two hours"),
        ({"stream": replace(DOWN, since=NOW - 3 * HOUR)}, "REST is polled in its place"),
        ({"rest": False}, "REST cannot be asked"),
    ],
)
def test_stream_down_says_what_rest_does_meanwhile(changes, words) -> None:
    silence = only(**{"stream": DOWN, **changes})
    assert (silence.condition, silence.since) == ("stream_down", changes.get("stream", DOWN).since)
    assert silence.message.startswith("BMW closed the connection; ")
    assert words in silence.message
    assert silence.hint == "wait"


def test_a_second_client_is_the_stream_being_down() -> None:
    kicked = replace(DOWN, state="kicked", failure=Failure(NOW, "kicked", "another program", "turn it off"))
    assert only(stream=kicked).condition == "stream_down"


def test_a_stream_that_is_just_being_connected_is_not_down() -> None:
    since = StreamStatus("connecting", NOW - timedelta(minutes=1))
    assert told(stream=since) == []
    assert told(stream=replace(since, since=NOW - HOUR)) == ["stream_down"]


def test_a_quiet_car_is_no_fault_and_says_since_when() -> None:
    silence = only(cars=(CAR, QUIET))
    assert (silence.condition, silence.vehicle, silence.since) == ("car_quiet", "0000002", NOW - 9 * HOUR)
    assert "2026-11-21 05:00 UTC" in silence.message
    assert "for days" in (silence.hint or "")


def test_a_car_is_called_quiet_only_while_everything_works() -> None:
    assert told(cars=(QUIET,), works=False) == []
    assert told(cars=(CarHeard("0000003"),)) == []
    assert told(cars=(replace(QUIET, newest_at=NOW - 5 * HOUR),)) == []


def test_several_at_once_come_in_their_order() -> None:
    everything = {
        "refused": [REFUSED],
        "standing": SPENT,
        "stream": DOWN,
        "cars": (CAR, QUIET),
        "works": True,
    }
    assert told(**everything) == ["refused", "budget_spent", "stream_down", "car_quiet"]
    assert told(**{**everything, "stream": OFFLINE}) == ["refused", "no_network", "budget_spent", "car_quiet"]


def test_a_lost_login_explains_all_the_rest() -> None:
    assert told(refused=[REFUSED], login_lost=True, stream=DOWN, standing=SPENT, works=False) == ["refused"]


def test_the_newest_value_is_the_cars_newest_and_not_our_asking() -> None:
    def held(name, at, via="rest"):
        return name, Held("1", None, at, via, NOW)

    asked_at = "vehicle.powertrain.electric.battery.serviceDemand.status"
    state = CarState(
        "WBA00000000000001", dict([held("vehicle.isMoving", NOW - 8 * HOUR), held(asked_at, NOW)])
    )
    assert newest(state) == NOW - 8 * HOUR
    assert newest(CarState("WBA00000000000001", dict([held("vehicle.isMoving", None)]))) is None
    assert newest(CarState("WBA00000000000001", dict([held("vehicle.isMoving", None, "stream")]))) == NOW


# --- when something does not work although the stream is connected ----------------------------

FAILS = Failure(NOW - HOUR, "server", "BMW CarData has an error of its own (500)", "it is tried again")


def test_a_rest_that_fails_is_said_though_the_stream_goes_on() -> None:
    silence = only(failing=FAILS)
    assert (silence.condition, silence.since) == ("no_network", NOW - HOUR)
    assert silence.message.startswith(FAILS.message)
    assert "the stream goes on" in silence.message


def test_with_both_ways_down_each_has_its_cause() -> None:
    rest, stream = silences(replace(NORMAL, failing=FAILS, stream=DOWN, works=False))
    assert (rest.condition, rest.message) == ("no_network", FAILS.message)
    assert (stream.condition, "REST fails too" in stream.message) == ("stream_down", True)
    # One network is the cause of both.
    assert told(failing=FAILS, stream=OFFLINE, works=False) == ["no_network"]


def test_not_all_works_when_something_does_not() -> None:
    (_, quiet) = silences(replace(NORMAL, failing=FAILS, cars=(QUIET,)))
    assert quiet.condition == "car_quiet"
    assert "all works" not in quiet.message
    assert "all works" in only(cars=(QUIET,)).message


def test_what_comes_and_is_no_cars_is_the_stream_being_down() -> None:
    nobodys = Failure(NOW, "no_vehicle", "all that comes is no car's messages", "check `stream_topic`")
    silence = only(stream=replace(UP, failure=nobodys))
    assert (silence.condition, silence.message, silence.hint) == (
        "stream_down",
        nobodys.message,
        nobodys.hint,
    )


@pytest.mark.parametrize(
    ("name", "measured", "via", "missed"),
    [
        (ODOMETER, HOUR / 2, "rest", True),
        (ODOMETER, HOUR / 2, "stream", False),
        (ODOMETER, 2 * HOUR, "rest", False),  # before we listened
        (ODOMETER, timedelta(minutes=5), "rest", False),  # may be on its way
        ("vehicle.cabin.door.lock.status", HOUR / 2, "rest", False),  # is never streamed
        ("vehicle.newInTheNextModel", HOUR / 2, "rest", False),
    ],
)
def test_what_the_stream_should_have_brought(name, measured, via, missed) -> None:
    state = CarState("WBA00000000000001", {name: Held("1", None, NOW - measured, via, NOW)})
    assert unstreamed(state, NOW - HOUR) == (NOW - measured if missed else None)
    assert unstreamed(CarState("WBA00000000000001", {name: Held("1", None, None, via, NOW)}), NOW) is None
