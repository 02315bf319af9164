"""Where the calls go: each buys something, every vehicle gets its share, the reserve stays."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from poller.errors import RateLimited
from poller.sources.cardata.rest.ledger import Ledger, Spent, Standing
from poller.sources.cardata.rest.plan import Known, PlannedCall, StreamKnown, pace, plan
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.privacy import short_vin

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
ONE, TWO = "WBA00000000000001", "WMW00000000000002"
HOUR = timedelta(hours=1)
UP = StreamKnown(wanted=True, up=True, since=NOW - HOUR)
OFF = StreamKnown(wanted=False)


def standing(*calls: Spent, limit: int = 50, reserve: int = 10) -> Standing:
    left = limit - len(calls)
    return Standing(limit, reserve, len(calls), len(calls), left, max(0, left - reserve), calls=calls)


def spent(purpose: str, ago: timedelta, vin: str = ONE, *, routine: bool = True) -> Spent:
    return Spent(NOW - ago, purpose, routine, short_vin(vin) if vin else "")


def known(vin: str = ONE, *, asked: timedelta | None = HOUR, **more) -> Known:
    answered = {"basicData": NOW - HOUR}
    if asked is not None:
        answered["telematicData"] = NOW - asked
    return Known(vin, **{"answered": answered, **more})


def planned(*vehicles: Known, stream: StreamKnown = UP, by: Standing | None = None) -> list[PlannedCall]:
    return list(plan(NOW, by or standing(), stream, vehicles, NOW - HOUR))


def purposes(*vehicles: Known, **more) -> list[tuple[str, bool]]:
    return [(call.purpose, call.routine) for call in planned(*vehicles, **more)]


def test_from_nothing_the_vehicles_are_asked_for_then_their_values_and_what_they_are() -> None:
    """The first start costs a call for the account and two for each vehicle, the reserve's if need be."""
    assert plan(NOW, standing(), UP, (), None) == (PlannedCall("mappings", "", "vehicles", routine=False),)
    first = plan(NOW, standing(), UP, (Known(ONE), Known(TWO)), NOW)
    assert [(call.endpoint, call.vin, call.routine) for call in first] == [
        ("telematicData", ONE, False),
        ("telematicData", TWO, False),
        ("basicData", ONE, False),
        ("basicData", TWO, False),
    ]


def test_a_set_up_that_failed_is_tried_again_at_the_pace_of_polls_and_without_the_reserve() -> None:
    again = known(asked=None)
    assert purposes(again, by=standing(spent("set-up", timedelta(minutes=20)))) == []
    assert purposes(again, by=standing(spent("set-up", HOUR, routine=False))) == [("set-up", True)]


def test_a_fresh_start_with_all_on_disk_costs_no_call() -> None:
    assert planned(known(), known(TWO)) == []


def test_with_the_stream_at_work_rest_is_asked_a_few_times_a_day() -> None:
    assert purposes(known(asked=5.9 * HOUR)) == []
    assert purposes(known(asked=6 * HOUR)) == [("rest-only", True)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (OFF, [("polling", True)]),
        (StreamKnown(wanted=True, up=False, since=NOW - HOUR), []),
        (StreamKnown(wanted=True, up=False, since=NOW - 2 * HOUR), [("polling", True)]),
        (StreamKnown(wanted=True), []),
    ],
)
def test_polling_takes_the_place_of_a_stream_that_is_off_or_long_gone(stream, expected) -> None:
    assert purposes(known(asked=2 * HOUR), stream=stream) == expected


@pytest.mark.parametrize(("asked", "calls"), [(timedelta(minutes=44), 0), (timedelta(minutes=45), 1)])
def test_one_vehicle_without_stream_is_asked_every_45_minutes(asked, calls) -> None:
    """24 hours divided by four fifths of the 40 calls that are not reserved."""
    assert len(planned(known(asked=asked), stream=OFF)) == calls


@pytest.mark.parametrize(
    ("at", "left", "vehicles", "minutes"),
    [
        (NOW, 40, 1, 45),
        (NOW, 40, 2, 90),
        (NOW, 5, 1, 120),
        (NOW, 5, 2, 240),
        (NOW + timedelta(hours=9, minutes=50), 1, 1, 45),
    ],
)
def test_the_pace_lets_the_calls_last_until_the_day_ends(at, left, vehicles, minutes) -> None:
    by = replace(standing(), used_today=40 - left)
    assert pace(at, by, vehicles) == timedelta(minutes=minutes)


def test_the_pace_slows_down_before_the_calls_of_24_hours_are_gone() -> None:
    """What set-up took yesterday comes free at 16:02: the one call that is left lasts until then."""
    by = replace(standing(spent("set-up", 22 * HOUR)), used_today=20)
    assert pace(NOW, by, 2) == 1.5 * HOUR
    by = replace(by, routine_left=1)
    assert pace(NOW, by, 2) == (2 * HOUR + timedelta(minutes=2)) * 2


def test_there_is_no_pace_without_calls_and_never_one_below_ten_minutes() -> None:
    assert pace(NOW, replace(standing(), routine_left=0), 1) is None
    assert pace(NOW, standing(limit=10, reserve=10), 1) is None
    assert pace(NOW, standing(limit=5000), 1) == timedelta(minutes=10)


def test_a_gap_in_the_stream_costs_one_call_for_each_vehicle() -> None:
    cars = [known(ONE, missed_until=NOW - HOUR / 2), known(TWO, missed_until=NOW - HOUR / 2)]
    assert [(c.vin, c.purpose, c.routine) for c in planned(*cars)] == [
        (ONE, "catch-up", False),
        (TWO, "catch-up", False),
    ]
    assert purposes(known(asked=HOUR / 4, missed_until=NOW - HOUR / 2)) == []


def test_a_gap_is_made_good_only_when_the_stream_holds() -> None:
    missed = known(missed_until=NOW - timedelta(minutes=1))
    assert purposes(missed, stream=StreamKnown(wanted=True, up=True, since=NOW - timedelta(minutes=1))) == []
    assert purposes(missed, stream=StreamKnown(wanted=True, up=False, since=NOW - HOUR / 2)) == []


def test_a_stream_that_flaps_leaves_half_of_the_reserve() -> None:
    missed = known(missed_until=NOW - HOUR / 4)
    flapping = [spent("catch-up", HOUR * n, routine=False) for n in range(1, 6)]
    assert purposes(missed, by=standing(*flapping[:4])) == [("catch-up", False)]
    assert purposes(missed, by=standing(*flapping)) == [("catch-up", True)]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (("trip", NOW - timedelta(minutes=3)), [("trip-end", True)]),
        (("charge", NOW - timedelta(minutes=3)), [("charge-end", True)]),
        (("trip", NOW - timedelta(minutes=1)), []),
        (("trip", NOW - 2 * HOUR), []),
    ],
)
def test_the_end_of_a_trip_or_charge_is_worth_a_call_once_it_has_settled(ended, expected) -> None:
    assert purposes(known(asked=3 * HOUR, ended=ended)) == expected


def test_an_end_is_asked_about_once() -> None:
    ended = ("trip", NOW - timedelta(minutes=30))
    assert purposes(known(asked=timedelta(minutes=20), ended=ended)) == []
    failed = standing(spent("trip-end", timedelta(minutes=5)))
    assert purposes(known(asked=3 * HOUR, ended=ended), by=failed) == []


@pytest.mark.parametrize(("failed", "pause"), [(1, 15), (2, 30), (3, 60), (4, 120), (5, 120)])
def test_what_fails_again_and_again_is_tried_ever_more_seldom(failed, pause) -> None:
    """BMW may be out of order for days: the calls must outlast that, whatever they are for."""
    owed = known(asked=30 * HOUR, missed_until=NOW - 29 * HOUR)
    for minutes, expected in ((pause - 1, []), (pause, ["catch-up"])):
        last = timedelta(minutes=minutes)
        tries = [spent("catch-up", last + n * timedelta(minutes=10)) for n in range(failed)]
        found = [
            call.purpose for call in planned(owed, by=standing(*tries)) if call.endpoint == "telematicData"
        ]
        assert found == expected


def test_an_answer_ends_the_waiting() -> None:
    tries = [spent("catch-up", timedelta(minutes=20 + n)) for n in range(6)]
    owed = known(asked=timedelta(minutes=19), missed_until=NOW - timedelta(minutes=10))
    assert [purpose for purpose, _ in purposes(owed, by=standing(*tries))] == ["catch-up"]


def test_a_busy_vehicle_does_not_spend_the_share_of_another() -> None:
    busy = [spent("trip-end", timedelta(hours=n + 1)) for n in range(20)]
    cars = [
        known(ONE, asked=6 * HOUR, ended=("trip", NOW - timedelta(minutes=3))),
        known(TWO, asked=6 * HOUR),
    ]
    assert [call.vin for call in planned(*cars, by=standing(*busy))] == [TWO]


def test_what_is_left_goes_to_the_vehicle_that_waits_longest() -> None:
    cars = [known(ONE, asked=8 * HOUR), known(TWO, asked=9 * HOUR)]
    by = replace(standing(), remaining=11, routine_left=1)
    assert [call.vin for call in planned(*cars, by=by)] == [TWO]


def test_routine_never_touches_the_reserve_and_set_up_may() -> None:
    by = replace(standing(), remaining=2, routine_left=0)
    cars = [Known(ONE), known(TWO, asked=20 * HOUR)]
    assert [(call.vin, call.purpose) for call in planned(*cars, by=by)] == [
        (ONE, "set-up"),
        (ONE, "identity"),
    ]
    assert planned(*cars, by=replace(by, remaining=0)) == []


def test_other_endpoints_come_one_at_a_time_when_nothing_else_is_due() -> None:
    extras = frozenset({"tyreDiagnosis", "image"})
    assert purposes(known(extras=extras)) == [("tyres", True)]
    assert purposes(known(extras=extras, asked=6 * HOUR)) == [("rest-only", True)]
    answered = dict.fromkeys(("telematicData", "basicData", "tyreDiagnosis"), NOW - HOUR)
    assert purposes(Known(ONE, answered, extras=extras)) == [("image", True)]
    assert purposes(Known(ONE, answered, extras=extras), by=standing(spent("image", 23 * HOUR))) == []


def test_a_clock_that_was_years_ahead_makes_things_due() -> None:
    assert purposes(known(asked=-timedelta(days=900))) == [("rest-only", True)]


@dataclass
class Household:
    """Two cars on one account, polled every five minutes; what was answered is kept over restarts."""

    stream_wanted: bool
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    memory: DictMemory = field(default_factory=DictMemory)
    answered: dict[str, dict] = field(default_factory=lambda: defaultdict(dict))
    mappings_at: datetime | None = None
    made: list[tuple[datetime, PlannedCall]] = field(default_factory=list)
    ended: dict[str, tuple] = field(default_factory=dict)
    missed_until: datetime | None = None

    async def start(self) -> None:
        self.ledger = Ledger(self.memory, "test", self.clock, limit=50, reserve=10)
        await self.ledger.open()
        self.since = self.clock.now()

    async def tick(self) -> None:
        now = self.clock.now()
        stream = StreamKnown(self.stream_wanted, up=self.stream_wanted, since=self.since)
        cars = [
            Known(
                vin,
                dict(self.answered[vin]),
                self.missed_until,
                self.ended.get(vin),
                frozenset({"chargingHistory", "tyreDiagnosis", "image"}),
            )
            for vin in (ONE, TWO)
        ]
        for call in plan(now, self.ledger.standing(), stream, cars, self.mappings_at):
            await self.ledger.spend(
                call.purpose, routine=call.routine, vehicle=short_vin(call.vin) if call.vin else ""
            )
            self.made.append((now, call))
            if call.vin:
                self.answered[call.vin][call.endpoint] = now
            else:
                self.mappings_at = now


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("days", [4, pytest.param(14, marks=pytest.mark.soak)])
async def test_days_of_two_cars_with_restarts_and_a_crash_loop(stream, days) -> None:
    """Never more than 50 calls in 24 hours, the reserve untouched by routine, the quiet car not forgotten."""
    house = Household(stream)
    await house.start()
    for number in range(days * 24 * 12):
        if number % 53 == 0:  # every four hours and a half, with ten minutes of absence
            house.clock._move(house.clock.monotonic() + 600)
            house.missed_until = house.clock.now()
            await house.start()
        if number == 500:
            for _ in range(50):
                await house.start()
                await house.tick()
        if number % 71 == 0:
            house.ended[ONE] = ("trip", house.clock.now())
        try:
            await house.tick()
        except RateLimited:
            pytest.fail("the plan asked for more than there is")
        house.clock._move(house.clock.monotonic() + 300)
    times = [at for at, _ in house.made]
    for at in times[:: len(times) // 100 or 1]:
        window = [call for when, call in house.made if at - timedelta(days=1) < when <= at]
        assert len(window) <= 50
        assert sum(call.routine for call in window) <= 40
    assert max(Counter(at.date() for at in times).values()) <= 50
    quiet = [at for at, call in house.made if (call.endpoint, call.vin) == ("telematicData", TWO)]
    assert len(quiet) >= days * (4 if stream else 13)
    assert max(later - at for at, later in itertools.pairwise(quiet)) < timedelta(hours=7 if stream else 5)
