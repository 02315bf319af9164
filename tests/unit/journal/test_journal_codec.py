"""What goes to disk comes back, and what is broken is said to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.journal import codec
from poller.journal.codec import Unreadable
from poller.testing.records import record_number, snapshot_number
from poller.vehicle.answer import Answer

moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))


@given(moments)
def test_milliseconds_and_back(moment):
    back = codec.from_ms(codec.to_ms(moment))
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)
    assert codec.day_of(codec.to_ms(moment)) == (moment.date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days


def test_a_day_is_a_utc_day():
    late = datetime(2026, 11, 21, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert codec.from_ms(codec.day_of(codec.to_ms(late)) * codec.DAY_MS).date().isoformat() == "2026-11-22"


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_squeezed_and_expanded(text, dictionary):
    assert codec.expand(codec.squeeze(text, dictionary), dictionary) == text


@pytest.mark.parametrize("size", [0, 1, 200, 511, 3000, 3072, 7000, 15_500, 31_000, codec.MAX_DICTIONARY])
def test_a_small_change_takes_little_room_whatever_the_size(size, rng):
    before = rng.randbytes(size)
    after = before[: size // 2] + b"changed" + before[size // 2 + 7 :]
    packed = codec.squeeze(after, before)
    assert codec.expand(packed, before) == after
    assert len(packed) < 40 + size // 50


@given(st.binary(max_size=200).filter(lambda noise: b"{" not in noise))
def test_noise_is_unreadable_and_nothing_worse(noise):
    for read in (codec.expand, codec.read_object, codec.unpack_record, codec.unpack_answer):
        with pytest.raises(Unreadable):
            read(noise)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_cut_off_or_run_on_is_unreadable(cut):
    packed = codec.squeeze(b"a text of some length, once and once again")
    with pytest.raises(Unreadable):
        codec.expand(packed[:-cut])
    with pytest.raises(Unreadable):
        codec.expand(packed + b"x" * cut)


def test_another_dictionary_is_noticed():
    packed = codec.squeeze(b"the very same text", b"the very same words")
    for other in (b"", b"other words"):
        with pytest.raises(Unreadable):
            codec.expand(packed, other)


@pytest.mark.parametrize("fingerprint", ["", "ab" * 16, "AB" * 16, "no hash", "abc"])
def test_fingerprints_come_back_as_they_were(fingerprint):
    assert codec.unpack_fingerprint(codec.pack_fingerprint(fingerprint)) == fingerprint


def test_a_record_by_itself():
    record = record_number(3)
    assert codec.unpack_record(codec.pack_record(record)) == record


@given(st.dictionaries(st.text(max_size=10), st.binary(max_size=300), max_size=4))
def test_an_answer_by_itself(bodies):
    answer = Answer("a", "mybmw", "V", datetime(2026, 11, 21, tzinfo=UTC), bodies)
    assert codec.unpack_answer(codec.pack_answer(answer)) == answer


def test_an_answer_has_the_id_of_its_snapshot():
    answer, record = snapshot_number(4)
    assert codec.answer_id(answer) == record.id
