"""When a fault begins, whom it hits, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest
from pydantic import ValidationError

from poller.simulator.fault import WORDS, Fault, Kind
from poller.simulator.orders import Order
from poller.testing.clock import ManualClock

STATE = "/eadrax-vcs/v4/vehicles/state"
CONFIG = "/eadrax-ucs/v1/presentation/oauth/config"
TOKEN = "/gcdm/oauth/token"
VIN = "WBA00000000000002"


def test_every_kind_has_its_words() -> None:
    assert WORDS.keys() == set(get_args(Kind))


def test_names_of_toml_and_of_python_mean_the_same() -> None:
    written = Fault.model_validate({"kind": "quota", "path": "/x", "for": "2h", "after": "10m"})
    assert written == Fault(kind="quota", path_prefix="/x", lasts=7200, after=600)


@pytest.mark.parametrize(
    ("kind", "hit"),
    [
        ("status", {STATE, CONFIG, TOKEN}),
        ("maintenance", {STATE, CONFIG, TOKEN}),
        ("quota", {STATE, CONFIG}),
        ("rate_limit", {STATE, CONFIG}),
        ("unauthorized", {STATE}),
        ("login_refused", set()),
        ("captcha_demanded", set()),
        ("command_error", set()),
        ("command_unanswered", set()),
    ],
)
def test_each_kind_reaches_what_it_is_about(kind, hit) -> None:
    fault = Fault(kind=kind)
    assert {path for path in (STATE, CONFIG, TOKEN) if fault.hits(path, None, {})} == hit


def test_a_captcha_is_demanded_where_one_is_given() -> None:
    assert Fault(kind="captcha_demanded").hits("/gcdm/oauth/authenticate", None, {"hcaptchatoken": "P1"})


def test_a_vehicles_fault_spares_the_others_and_what_names_none() -> None:
    fault = Fault(kind="reset", vin=VIN)
    assert fault.hits(STATE, VIN, {})
    assert not fault.hits(STATE, "WMW00000000000001", {})
    assert not fault.hits(STATE, None, {})


@pytest.mark.parametrize(("at", "seconds"), [("14:30", 1800), ("14:00", 0), ("13:59", 86_340)])
def test_a_time_of_day_is_the_next_one(at, seconds) -> None:
    assert Fault(kind="reset", at=at).first_in(datetime(2026, 11, 21, 14, 0, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("fault", "limit"),
    [
        ({}, 1),
        ({"for": "1h"}, None),
        ({"for": "1h", "count": 1}, 1),
        ({"count": None}, None),
        ({"for": "ever"}, None),
    ],
)
def test_without_a_time_it_is_one_request_with_a_time_all(fault, limit) -> None:
    assert Fault.model_validate({"kind": "reset", **fault}).limit == limit


@pytest.mark.parametrize(
    "fault",
    [
        {"for": 0},
        {"for": "ever", "every": "1h"},
        {"for": "2h", "every": "1h"},
        {"at": "24:00"},
        {"at": "02:00", "after": "1h"},
        {"after": -1},
        {"path": "eadrax"},
        {"vin": "short"},
        {"seconds": 3},
        {"seed": 2},
    ],
)
def test_what_makes_no_sense_is_refused(fault) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate({"kind": "reset", **fault})


@pytest.mark.parametrize("fault", [{"for": 1}, {"for": "ever"}, {"count": 2}, {"count": None}])
def test_a_moment_has_no_length_and_comes_once(fault) -> None:
    with pytest.raises(ValidationError, match="happens once"):
        Fault.model_validate({"kind": "login_refused", **fault})


def test_words_name_path_vehicle_and_number_but_no_whole_vin() -> None:
    words = Fault(kind="status", status=502, path_prefix=STATE, vin=VIN).words
    assert words == f"BMW answers 502, below {STATE}, for the vehicle …0000002"
    assert Fault(kind="slow", seconds=90).words == "BMW answers 1m30s late"


async def test_a_repeated_fault_has_turns_and_pauses() -> None:
    clock = ManualClock()
    order = Order(Fault(kind="reset", after=60, lasts=60, every=600), clock)
    phases = []
    for _ in range(12):
        phases.append((order.phase, order.next_turn()))
        await clock.advance(60)
    pauses = [("pending", pytest.approx(540.0 - 60 * i)) for i in range(9)]
    assert phases == [
        ("pending", pytest.approx(60)), ("active", pytest.approx(60)), *pauses, ("active", pytest.approx(60)),
    ]  # fmt: skip


async def test_count_and_time_end_a_fault_whichever_comes_first() -> None:
    clock = ManualClock()
    spent, over = (Order(Fault(kind="reset", lasts=60, count=2), clock) for _ in range(2))
    spent.take()
    spent.take()
    assert (spent.phase, over.phase) == ("over", "active")
    await clock.advance(60)
    assert over.phase == "over"
