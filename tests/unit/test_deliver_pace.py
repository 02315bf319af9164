"""What a loop remembers: how much to send next, how long to wait, when to stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.deliver.pace import BACKOFF_CAP, REJECTIONS_IN_A_ROW, Pace, Streak
from poller.sinks.base import Settlement


def requests_to_finish(bad: set[int], total: int, limit: int) -> list[int]:
    """Sizes that are sent when any batch with a bad record in it is refused as a whole."""
    pace, at, sizes = Pace(limit), 0, []
    while at < total:
        size = min(pace.size, total - at)
        sizes.append(size)
        if size > 1 and bad & set(range(at, at + size)):
            pace.refused(size)
        else:
            pace.progressed(size)
            at += size
    return sizes


def test_a_bad_record_is_found_by_halving_and_full_batches_come_back() -> None:
    sizes = requests_to_finish({3}, 1000, 16)
    assert sizes[:5] == [16, 8, 4, 2, 1]
    assert 1 in sizes
    assert sizes[-10:-1] == [16] * 9


def test_a_sink_that_takes_a_part_is_offered_little_more() -> None:
    """What is read and rendered beyond it would be done again; a search for a bad record goes first."""
    pace = Pace(500)
    pace.progressed(289)
    pace.cut_short(289)
    assert pace.size == 318
    pace.progressed(318)
    assert pace.size == 500
    pace.refused(500)
    pace.cut_short(100)
    assert pace.size == 250


@given(st.sets(st.integers(0, 999), max_size=3), st.integers(1, 500))
def test_the_search_is_logarithmic(bad, limit) -> None:
    """Three bad ones in a thousand cost some sixty requests more, wherever they are."""
    assert len(requests_to_finish(bad, 1000, limit)) <= 1000 / limit + 1 + len(bad) * 2 * 10


def test_the_wait_doubles_under_full_jitter_and_stays_below_its_cap() -> None:
    pace = Pace(10, jitter=lambda: 1.0)
    waits = [pace.failed(0, blameless=True) for _ in range(8)]
    assert waits == [1, 2, 4, 8, 16, BACKOFF_CAP, BACKOFF_CAP, BACKOFF_CAP]
    assert Pace(10, jitter=lambda: 0.5).failed(0, blameless=True) == 0.5


def test_success_begins_anew() -> None:
    pace = Pace(10, jitter=lambda: 1.0)
    for _ in range(5):
        pace.failed(10, blameless=False)
    pace.progressed(1)
    assert pace.failed(10, blameless=False) == 1
    assert pace.failures_alone == 0


def test_what_no_record_can_cause_makes_no_batch_smaller() -> None:
    pace = Pace(100)
    for _ in range(50):
        pace.failed(100, blameless=True)
    assert pace.size == 100


def test_what_a_record_may_cause_halves_from_the_third_time_on() -> None:
    pace = Pace(100)
    sizes = []
    for _ in range(10):
        pace.failed(pace.size, blameless=False)
        sizes.append(pace.size)
    assert sizes == [100, 100, 50, 25, 12, 6, 3, 1, 1, 1]
    assert pace.failures_alone == 2


def test_probes_double_up_to_five_minutes() -> None:
    pace = Pace(10)
    assert [pace.next_probe() for _ in range(7)] == [15, 30, 60, 120, 240, 300, 300]


def refused(done: int, *positions: int, reason: str = "too many fields") -> Settlement:
    return Settlement(done, dict.fromkeys(positions, reason))


def test_ten_in_a_row_fill_the_streak_and_the_eleventh_is_kept() -> None:
    streak = Streak()
    admitted = streak.admit(refused(12, *range(12)))
    assert (admitted.done, len(admitted.rejected), streak.full) == (REJECTIONS_IN_A_ROW, 10, True)
    assert streak.admit(refused(1, 0)).done == 0


def test_a_streak_goes_on_from_batch_to_batch() -> None:
    streak = Streak()
    for _ in range(9):
        assert streak.admit(refused(1, 0)).done == 1
        assert not streak.full
    streak.admit(refused(1, 0))
    assert streak.full


def test_an_accepted_record_ends_it_even_after_many_refusals() -> None:
    """What was accepted behind them must not be sent twice, so all of them are settled."""
    streak = Streak()
    admitted = streak.admit(refused(15, *range(14)))
    assert (admitted.done, len(admitted.rejected), streak.length) == (15, 14, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("field 'a1' is one too many (256)", "field 'b2' is one too many (257)", True),
        ("too old: 2026-11-21T14:00:00Z", "too old: 2026-11-21T14:05:00Z", True),
        ("too many fields", "value too long", False),
    ],
)
def test_a_reason_is_the_same_whatever_it_quotes(one, other, same) -> None:
    streak = Streak()
    streak.admit(refused(1, 0, reason=one))
    streak.admit(refused(1, 0, reason=other))
    assert streak.length == (2 if same else 1)


@given(st.lists(st.lists(st.sampled_from([None, "a", "b"]), min_size=1, max_size=15), max_size=10))
def test_admitting_never_cuts_before_something_accepted(batches) -> None:
    streak = Streak()
    for batch in batches:
        rejected = {at: reason for at, reason in enumerate(batch) if reason}
        admitted = streak.admit(Settlement(len(batch), rejected))
        assert all(reason is not None for reason in batch[admitted.done :])
        assert admitted.rejected == {at: r for at, r in rejected.items() if at < admitted.done}
        assert streak.length <= REJECTIONS_IN_A_ROW
