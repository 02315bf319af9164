"""Orders over HTTP, against a script: what is sent, how it is followed, and what a bad day makes of it."""

from __future__ import annotations

import io
import logging
import traceback

import pytest
import structlog
from mybmw_cloud import CHARGING, LIST, STATE, TOKEN
from remote_script import (
    ACCEPTED,
    COMMANDS,
    EVENT,
    EVENT_POSITION,
    EVENT_STATUS,
    EXECUTED,
    HORN,
    PICTURES,
    POI,
    PROFILE,
    SETTINGS,
    STREET,
    VIN,
    Said,
    able,
    ordered,
    ready,
    remote_stage,
)

from poller.errors import (
    ArgumentRefused,
    CommandRefused,
    LoginRequired,
    PollerError,
    RateLimited,
    SourceBlocked,
    SourceUnavailable,
)
from poller.runtime import log
from poller.simulator.login import GCID
from poller.sources.mybmw.remote.views import VIEWS
from poller.sources.mybmw.transport import Limits
from poller.sources.remote import Deadline
from poller.vehicle.command import CommandState, Order

HOUR = {"hour": 0, "minute": 0}


@pytest.fixture
async def road(tmp_path):
    async with remote_stage(tmp_path) as set_up:
        yield set_up


# --- what is sent -------------------------------------------------------------------------------

ORDERS = {
    "light_flash": ({}, COMMANDS + "light-flash", {}, {}),
    "horn": ({}, HORN, {}, {}),
    "lock": ({}, COMMANDS + "door-lock", {}, {}),
    "unlock": ({}, COMMANDS + "door-unlock", {}, {}),
    "climate_start": ({}, COMMANDS + "climate-now", {"action": "START"}, {}),
    "climate_stop": ({}, COMMANDS + "climate-now", {"action": "STOP"}, {}),
    "vehicle_finder": ({}, COMMANDS + "vehicle-finder", {}, {}),
    "charge_start": ({}, f"/eadrax-crccs/v1/vehicles/{VIN}/start-charging", {}, {}),
    "charge_stop": ({}, f"/eadrax-crccs/v1/vehicles/{VIN}/stop-charging", {}, {}),
    "charging_settings": (
        {"target_soc": 80, "ac_limit": 16},
        SETTINGS,
        {},
        {"chargingTarget": 80, "acLimitValue": 16},
    ),
    "call": (
        {"path": "/eadrax-vrccs/v9/{vin}/{gcid}", "params": {"a": "b c"}, "body": {"d": [1]}},
        f"/eadrax-vrccs/v9/{VIN}/{GCID}",
        {"a": "b c"},
        {"d": [1]},
    ),
}
#: Those after which the car is asked how it stands.
CHANGING = set(ORDERS) - {"light_flash", "horn"} | {"charging_profile"}


async def test_every_order_is_posted_once_where_and_as_bmws_app_does(road) -> None:
    road.script.says(EVENT_POSITION, {"positionData": {"position": {"latitude": 1.5, "longitude": 2.5}}})
    source = await ready(road)
    for service, (arguments, path, query, body) in ORDERS.items():
        road.script.asked.clear()
        outcome = await source.execute(Order(VIN, service, arguments))
        (order,) = road.script.orders
        assert (order.path, order.query, order.body) == (path, query, body)
        assert order.headers["content-type"] == "application/json"
        assert order.headers.get("bmw-vin") == (None if VIN in path else VIN)
        assert order.headers["x-user-agent"].split(";")[1] == "bmw"
        assert (outcome.state, outcome.reason) == (CommandState.EXECUTED, "")
        assert (outcome.event_id, outcome.stale) == (EVENT, service in CHANGING)


async def test_an_order_costs_one_look_at_the_car(road) -> None:
    """Its fresh state says what it can do; lists are asked for once a day."""
    assert (await ordered(road, "horn")).state == CommandState.EXECUTED
    assert road.watched.counts() == {STATE: 1}


async def test_a_first_order_asks_which_cars_there_are(road) -> None:
    source = await road.logged_in()
    await source.execute(Order(VIN.lower(), "horn"))
    assert road.watched.counts() == {LIST: 3, STATE: 1}
    assert road.script.orders[0].headers["bmw-vin"] == VIN


async def test_a_call_without_the_vin_in_its_path_has_it_in_a_header(road) -> None:
    road.script.says("/eadrax-vrccs/v9/x", Said(status=204))
    outcome = await ordered(road, "call", {"path": "/eadrax-vrccs/v9/x"})
    (order,) = road.script.orders
    assert (order.query, order.body, order.headers["bmw-vin"]) == ({}, {}, VIN)
    assert (outcome.state, outcome.event_id, outcome.stale) == (CommandState.EXECUTED, "", True)


async def test_the_brand_is_the_cars(tmp_path) -> None:
    async with remote_stage(tmp_path, able("combustion_mini_open")) as road:
        source = await ready(road)
        await source.execute(Order("WMWTEST0000000005", "horn"))
        brands = {asked.headers["x-user-agent"].split(";")[1] for asked in road.script.asked}
        assert brands == {"mini"}


async def test_the_whole_profile_goes_out_with_the_service_pack_of_the_settings(road) -> None:
    outcome = await ordered(road, "charging_profile", {"charging_mode": "DELAYED_CHARGING"})
    (order,) = road.script.orders
    assert (order.path, "bmw-vin" in order.headers) == (PROFILE, False)
    assert order.body == {
        "chargingMode": {
            "chargingPreference": "CHARGING_WINDOW",
            "endTimeSlot": "0001-01-01T00:00:00.000",
            "startTimeSlot": "0001-01-01T00:00:00.000",
            "type": "TIME_SLOT",
            "timerChange": "NO_CHANGE",
        },
        "departureTimer": {"type": "WEEKLY_DEPARTURE_TIMER", "weeklyTimers": []},
        "isPreconditionForDepartureActive": True,
        "servicePack": "TEST",
    }
    assert outcome.stale
    assert road.watched.counts() == {STATE: 1, CHARGING: 1}


async def test_a_profile_whose_other_half_could_not_be_had_is_not_sent(road) -> None:
    source = await ready(road)
    road.watched.fail(CHARGING, 500, times=None)
    with pytest.raises(SourceUnavailable):
        await source.execute(Order(VIN, "charging_profile", {"precondition_climate": True}))
    assert road.script.orders == []


async def test_a_place_is_taken_without_more_words(road) -> None:
    road.script.says(POI, Said(status=201))
    outcome = await ordered(road, "send_poi", {"latitude": 12.5, "longitude": 34.5, "name": "Lunch"})
    assert (outcome.state, outcome.event_id, outcome.stale) == (CommandState.EXECUTED, "", False)
    (order,) = road.script.asked
    assert (order.path, order.headers["bmw-vin"]) == (POI, VIN)
    assert order.body["vehicleInformation"] == {"vin": VIN}
    assert [(p["title"], p["position"]) for p in order.body["places"]] == [
        ("Lunch", {"lat": 12.5, "lng": 34.5})
    ]


async def test_without_the_accounts_number_no_place_is_sent(road, tmp_path) -> None:
    """As of a login that was stored before the number was kept."""
    await ready(road)
    (file,) = (tmp_path / "accounts").glob("*.json")
    file.write_text(file.read_text().replace(GCID, ""))
    source = await road.source()
    with pytest.raises(CommandRefused, match="does not say whose it is") as refused:
        await source.execute(Order(VIN, "send_poi", {"latitude": 12.5, "longitude": 34.5}))
    assert "poller login bmw" in refused.value.hint
    assert road.script.asked == []


async def test_an_answer_without_an_event_is_an_end(road) -> None:
    source = await ready(road)
    for answer in (b"", b"\n", {}, {"creationTime": "now"}, {"eventId": None}, {"eventId": ""}):
        road.script.says(HORN, answer)
        assert (await source.execute(Order(VIN, "horn"))).state == CommandState.EXECUTED, answer
    assert road.script.to(EVENT_STATUS) == []


@pytest.mark.parametrize("service", ["door-lock", "door-unlock", "vehicle-finder"])
async def test_that_a_car_was_changed_is_not_said_for_want_of_an_event(road, service) -> None:
    """That the doors were locked is said only where BMW says so."""
    source = await ready(road)
    for answer in (b"", {}, {"eventId": None}):
        road.script.says(COMMANDS + service, answer)
        outcome = await source.execute(Order(VIN, service.removeprefix("door-").replace("-", "_")))
        assert (outcome.state, outcome.stale) == (CommandState.UNKNOWN, True), answer
        assert "may or may not have been done" in outcome.reason
    assert road.script.to(EVENT_STATUS) == road.script.to(EVENT_POSITION) == []


# --- what is refused before anything is sent ------------------------------------------------------


async def test_an_order_that_could_not_be_sent_for_a_minute_is_not_sent_any_more(road) -> None:
    """The owner has gone away, or locked by hand: a car must not open behind their back."""
    source, clock = await ready(road), road.clock
    road.watched.on_request = lambda _: clock._move(clock._steady + 30)
    assert (await source.execute(Order(VIN, "unlock"))).state == CommandState.EXECUTED
    road.script.asked.clear()
    for slow in (lambda _: clock._move(clock._steady + 61), lambda _: clock.jump(61)):  # as a machine asleep
        road.watched.on_request = slow
        with pytest.raises(CommandRefused, match="was not sent any more"):
            await source.execute(Order(VIN, "unlock"))
    assert road.script.asked == []


async def test_nor_is_it_when_the_login_had_to_be_renewed_over_it(road) -> None:
    """BMW refuses the token when it gets the order, and takes its time to give another."""
    source, clock = await ready(road), road.clock

    def slow(request) -> None:
        if request.path == TOKEN:
            clock._move(clock._steady + 61)

    road.watched.on_request = slow
    road.script.says(COMMANDS + "door-unlock", Said(status=401), ACCEPTED)
    with pytest.raises(CommandRefused, match="was not sent any more"):
        await source.execute(Order(VIN, "unlock"))
    assert len(road.script.asked) == 1  # the one that was answered by 401


async def test_nor_is_it_later_than_its_owners_minute(road) -> None:
    """Which began before the source was asked: a list of cars may have been slow."""
    source, deadline = await ready(road), Deadline(road.clock)
    road.clock._move(road.clock._steady + 61)
    with pytest.raises(CommandRefused, match="was not sent any more"):
        await source.execute(Order(VIN, "unlock"), deadline)
    assert road.script.asked == []


async def test_a_car_that_cannot_is_not_told(tmp_path) -> None:
    async with remote_stage(tmp_path, able(horn=False)) as road:
        with pytest.raises(CommandRefused, match="horn") as refused:
            await ordered(road, "horn")
        assert refused.value.exit_code == 1
        assert "BMW's own app" in refused.value.hint
        assert road.script.asked == []
        assert (await road.sources[0].execute(Order(VIN, "light_flash"))).state == CommandState.EXECUTED


async def test_an_order_that_makes_no_sense_asks_nobody(road) -> None:
    source = await ready(road)
    for service, arguments in {
        "horn": {"loud": True},
        "charging_settings": {"target_soc": 81},
        "charging_profile": {},
        "send_poi": {"latitude": 91.0, "longitude": 0.0},
        "vehicle_finder": {"observer_latitude": 1.0},
        "call": {"path": "https://elsewhere.example/"},
    }.items():
        with pytest.raises(ArgumentRefused) as refused:
            await source.execute(Order(VIN, service, arguments))
        assert refused.value.exit_code == 2
    assert (road.watched.requests, road.script.asked) == ([], [])


async def test_a_limit_is_one_that_the_car_offers_just_now(road) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        await ordered(road, "charging_settings", {"ac_limit": 15})
    assert refused.value.hint == "amperes: 6, 10, 16, 32"
    assert road.script.asked == []


async def test_a_car_that_is_not_listed_is_told_nothing(road) -> None:
    source = await ready(road)
    for what in (
        source.execute(Order("WBA00000000000000", "horn")),
        source.pictures("WBA00000000000000", ["front"]),
    ):
        with pytest.raises(CommandRefused, match="no such vehicle"):
            await what
    assert (road.watched.requests, road.script.asked) == ([], [])


@pytest.mark.parametrize("service", ["charge_start", "charge_stop"])
async def test_without_a_charger_nothing_is_sent(tmp_path, service) -> None:
    async with remote_stage(tmp_path, able(without=["electricChargingState"])) as road:
        outcome = await ordered(road, service)
        assert (outcome.state, outcome.stale) == (CommandState.IGNORED, False)
        assert "no charger" in outcome.reason
        assert road.script.asked == []


# --- how it is followed -----------------------------------------------------------------------------


async def test_bmw_is_asked_every_three_and_a_half_seconds_until_it_says_how_it_ended(road) -> None:
    """INITIATED is no end: bimmer_connected takes it for one."""
    words = ["INITIATED", "PENDING", "DELIVERED", "SOMETHING_NEW", "delivered", "EXECUTED"]
    road.script.says(EVENT_STATUS, *({"eventStatus": word} for word in words))
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.EXECUTED
    asked = road.script.to(EVENT_STATUS)
    assert [one.query for one in asked] == [{"eventId": EVENT}] * 6
    assert not any("bmw-vin" in one.headers for one in asked)
    sent = road.script.orders[0].at
    assert [one.at - sent for one in asked] == [3.5 * turn for turn in range(1, 7)]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"details": "Door open."}, "BMW says that it failed: Door open."),
        (
            {"errorDetails": {"title": "No", "description": "Door open."}},
            "BMW says that it failed: No: Door open.",
        ),
        ({"details": {"title": None, "description": "Door open."}}, "BMW says that it failed: Door open."),
        ({}, "BMW says that it failed, and not why."),
        ({"details": ["?"]}, "BMW says that it failed, and not why."),
    ],
    ids=str,
)
async def test_an_error_ends_it_with_bmws_own_words(road, details, reason) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "PENDING"}, {"eventStatus": "ERROR", **details})
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.reason, outcome.stale) == (CommandState.ERROR, reason, False)
    assert len(road.script.to(EVENT_STATUS)) == 2


async def test_a_car_may_ignore_it(road) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "IGNORED"})
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.reason) == (CommandState.IGNORED, "BMW says that the car ignored it.")


async def test_after_four_minutes_nobody_is_asked_any_more(road) -> None:
    road.script.says(EVENT_STATUS, {"eventStatus": "DELIVERED"})
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.stale) == (CommandState.TIMED_OUT, True)
    assert "may or may not have been done" in outcome.reason
    assert "delivered" in outcome.reason
    asked = road.script.to(EVENT_STATUS)
    assert (len(asked), asked[-1].at - road.script.orders[0].at) == (68, 238.0)
    assert len(road.script.orders) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Said(status=500),
        Said(status=404),
        Said(way="reset"),
        b'{"eventStat',
        Said(status=429, headers={"retry-after": "30"}),
        Said(status=403, body={"message": "Out of call volume quota. Replenished in 00:00:30."}),
    ],
    ids=["500", "404", "reset", "half", "429", "quota"],
)
async def test_a_question_that_fails_does_not_end_the_wait(road, failure) -> None:
    road.script.says(EVENT_STATUS, failure, EXECUTED)
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.EXECUTED
    assert len(road.script.orders) == 1
    first, second = (one.at for one in road.script.to(EVENT_STATUS))
    waits = 30 if isinstance(failure, Said) and failure.status in (429, 403) else 3.5
    assert second - first == pytest.approx(waits, abs=1)


async def test_a_wait_longer_than_ours_ends_it(road) -> None:
    road.script.says(EVENT_STATUS, Said(status=489))
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.UNKNOWN
    assert "489" in outcome.reason
    assert len(road.script.to(EVENT_STATUS)) == 1


async def test_a_login_that_ends_meanwhile_ends_the_questions(road) -> None:
    road.script.says(EVENT_STATUS, Said(status=401))
    outcome = await ordered(road, "lock")
    assert (outcome.state, outcome.event_id, outcome.stale) == (CommandState.UNKNOWN, EVENT, True)
    assert len(road.script.to(EVENT_STATUS)) == 2


# --- never twice ------------------------------------------------------------------------------------


async def test_a_token_that_has_ended_is_renewed_and_the_order_sent_again(road) -> None:
    """BMW did nothing with the first."""
    road.script.says(HORN, Said(status=401), ACCEPTED)
    outcome = await ordered(road, "horn")
    assert outcome.state == CommandState.EXECUTED
    first, second = road.script.orders
    assert first.headers["authorization"] != second.headers["authorization"]
    assert road.watched.counts()[TOKEN] == 1


async def test_a_call_to_one_car_does_not_tell_another(road) -> None:
    source = await ready(road)
    for named in ("WBA00000000000002", "wba00000000000002"):
        with pytest.raises(ArgumentRefused, match="names another vehicle") as refused:
            await source.execute(Order(VIN, "call", {"path": f"/eadrax-crccs/v1/vehicles/{named}/x"}))
        assert named not in f"{refused.value} {refused.value.hint}"
    assert road.script.asked == []
    await source.execute(Order(VIN, "call", {"path": f"/eadrax-crccs/v1/vehicles/{VIN.lower()}/x"}))
    assert len(road.script.orders) == 1


async def test_a_second_refusal_is_the_end(road) -> None:
    road.script.says(HORN, Said(status=401))
    with pytest.raises(LoginRequired):
        await ordered(road, "horn")
    assert len(road.script.orders) == 2


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Said(way="reset"), CommandState.UNKNOWN),
        (Said(way="silence"), CommandState.TIMED_OUT),
        (Said(status=500), CommandState.UNKNOWN),
        (Said(status=503), CommandState.UNKNOWN),
        (Said(b" " * 30_000), CommandState.UNKNOWN),
        (Said(b'{"eventId": "5c'), CommandState.UNKNOWN),
        (Said(["eventId"]), CommandState.UNKNOWN),
        (Said({"eventId": 5}), CommandState.UNKNOWN),
    ],
    ids=["reset", "silence", "500", "503", "too long", "cut off", "a list", "a number"],
)
async def test_an_order_whose_answer_is_lost_is_not_sent_again(road, answer, state) -> None:
    road.script.says(COMMANDS + "door-unlock", answer)
    outcome = await ordered(road, "unlock", limits=Limits(timeout=0.3, largest_body=20_000))
    assert (outcome.state, outcome.stale) == (state, True)
    assert "may or may not have been done" in outcome.reason
    assert len(road.script.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (Said(status=489, body=b"Blocked"), SourceBlocked, "blocked"),
        (Said(status=403, body={"message": "Out of call volume quota."}), RateLimited, "quota"),
        (Said(status=429), RateLimited, "rate_limited"),
        (Said(status=403), LoginRequired, "login_required"),
        (Said(status=404), SourceUnavailable, "unavailable"),
        (Said(status=422), SourceUnavailable, "unavailable"),
        (
            Said(status=302, headers={"location": "https://elsewhere.example"}),
            SourceUnavailable,
            "unavailable",
        ),
    ],
    ids=["489", "quota", "429", "403", "404", "422", "302"],
)
async def test_an_order_that_bmw_refuses_was_not_done(road, answer, error, reason) -> None:
    road.script.says(HORN, answer)
    with pytest.raises(error) as raised:
        await ordered(road, "horn")
    assert raised.value.reason == reason
    assert len(road.script.asked) == 1


async def test_a_wait_that_was_met_while_an_order_was_followed_holds_for_the_account(road) -> None:
    """The car is not asked anew seven seconds later."""
    road.script.says(EVENT_STATUS, Said(status=429, headers={"retry-after": "600"}))
    source = await ready(road)
    assert (await source.execute(Order(VIN, "lock"))).state == CommandState.UNKNOWN
    with pytest.raises(RateLimited):
        await source.targets()
    await road.clock.advance(600)
    assert await source.targets()


# --- what nobody may read -----------------------------------------------------------------------


@pytest.fixture
def logged():
    """Everything that was logged, at debug, as a user would have it."""
    stream = io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    log.configure("debug", "json", stream)
    yield stream
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


ECHO = {
    "message": f"{VIN} {GCID} at 54.7211, 2.2504",
    "eventStatus": "ERROR",
    "details": f"{VIN} of owner@example.com ({GCID}) at 54.7211 / 2.2504, you at 48.123456; Bearer abcdefgh",
    "errorDetails": {"title": VIN, "description": "54.7211, 2.2504"},
}


@pytest.mark.parametrize("spoilt", ["order", EVENT_STATUS, EVENT_POSITION, "/search"])
@pytest.mark.parametrize("status", [200, 429, 500])
async def test_no_place_and_no_vin_in_any_error_outcome_or_log(road, logged, spoilt, status) -> None:
    """Even if the server says it all in its error text."""
    source = await ready(road, geocoder=road.url)
    road.script.says("/search", [STREET])
    for path in (COMMANDS + "vehicle-finder", POI) if spoilt == "order" else (spoilt,):
        road.script.says(path, Said(ECHO, status))
    texts = []
    for service, arguments in {
        "vehicle_finder": {"observer_latitude": 48.123456, "observer_longitude": 11.654321},
        "send_poi": {"address": "Petuelring 130"},
        "horn": {"latitude": 48.123456},
    }.items():
        order = Order(VIN, service, arguments)
        try:
            outcome = await source.execute(order)
            texts += [repr(outcome), outcome.reason]
        except PollerError as error:
            texts += [str(error), error.hint or "", repr(error), "".join(traceback.format_exception(error))]
        texts.append(repr(order))
    said = "\n".join([*texts, logged.getvalue(), repr(source)])
    tokens = {one.headers.get("authorization", "Bearer ?").split()[-1] for one in road.script.asked} - {"?"}
    places = {"48.123456", "11.654321", "54.7211", "2.2504", "48.1769", "Petuelring", "Long Road"}
    secret = {VIN, GCID, "owner@example.com", "abcdefgh", *places, *tokens}
    assert [word for word in secret if word in said] == []


async def test_one_picture_that_is_none_costs_no_other(road) -> None:
    """A page in place of a drawing, or one as large as a film: the other views are drawings."""
    source = await ready(road, limits=Limits(timeout=5.0, largest_body=10_000))
    good = b"\x89PNG\r\n\x1a\n"
    road.script.says(PICTURES, Said(good), Said(b"<html>"), Said(b"x" * 20_000), Said(status=404), Said(good))
    views = list(VIEWS)[:5]
    assert list(await source.pictures(VIN, views)) == [views[0], views[4]]
