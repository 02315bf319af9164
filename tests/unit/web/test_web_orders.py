"""The last orders to a car on its card: what, when and how it ended; read only, without place or VIN."""

from __future__ import annotations

import html
import re

import pytest

from poller.runtime.status import OrderStatus
from poller.web.model import status_json
from poller.web.orders import end_words, order_words
from poller.web.page import Page


def order(stage, minutes=5, service="lock", state="executed", **more):
    ended = None if state == "ordered" else stage.ago(minutes - 0.2)
    return OrderStatus("mini", "bmw", service, state, stage.ago(minutes), ended, **more)


def card(stage, *orders):
    """The words of the car's card."""
    stage.car(soc_percent=62)
    page = Page(stage.display).render(stage.daemon(stage.status(orders=orders)))
    [found] = re.findall(r'<article class="card.*?</article>', page, re.DOTALL)
    assert 'method="post"' not in found
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found)).split())


def test_a_card_says_what_was_ordered_last_when_and_how_it_ended(stage):
    text = card(stage, order(stage))
    assert "Last order lock the doors: done 13:55 (5 min ago)" in text


def test_why_an_order_failed_is_said_in_the_records_words(stage):
    told = order(stage, service="horn", state="error", reason="The car said that it failed.")
    assert "sound the horn: failed 13:55 (5 min ago) The car said that it failed." in card(stage, told)


def test_the_last_one_stays_and_others_of_the_day_stand_below(stage):
    of_today, of_last_week = order(stage, 90, "unlock"), order(stage, 60 * 24 * 7, "horn")
    text = card(stage, order(stage), of_today, of_last_week)
    assert "Before that unlock the doors: done 12:30 (1 h 30 min ago)" in text
    assert "horn" not in text
    assert "sound the horn: done" in card(stage, of_last_week)


def test_each_of_three_has_a_label_of_its_own(stage):
    text = card(stage, *(order(stage, minutes, "unlock") for minutes in (5, 90, 120)))
    for label in ("Last order", "Before that", "Earlier still"):
        assert text.count(f"{label} unlock the doors") == 1


def test_another_cars_orders_stand_on_its_own_card(stage):
    other = OrderStatus("i4", "bmw", "lock", "executed", stage.ago(5), stage.ago(4))
    assert "Last order" not in card(stage, other)


@pytest.mark.parametrize(
    ("state", "under_way", "words"),
    [
        ("ordered", True, "under way"),
        ("ordered", False, "nobody knows whether it was done"),
        ("unknown", False, "nobody knows whether it was done"),
        ("executed", False, "done"),
        ("ignored", False, "nothing to do"),
        ("refused", False, "not sent to the car"),
        ("timed_out", False, "sent, but no answer in time"),
        ("some_newer_word", False, "nobody knows whether it was done"),
    ],
)
def test_how_it_ended_promises_no_more_than_the_record(stage, state, under_way, words):
    assert end_words(order(stage, state=state, under_way=under_way))[0] == words


def test_what_a_charging_setting_was_set_to_is_said(stage):
    told = order(stage, service="charging_settings", arguments={"target_soc": 80, "ac_limit": 16})
    assert order_words(told) == "charging settings (target soc 80, ac limit 16)"


def test_the_status_lists_them_as_records_have_them(stage):
    [told] = status_json(stage.daemon(stage.status(orders=[order(stage, service="horn")])))["orders"]
    assert told == {
        "vehicle": "mini", "source": "bmw", "service": "horn", "state": "executed",
        "ordered_at": "2026-11-21T13:55:00.000Z", "ended_at": "2026-11-21T13:55:12.000Z",
        "reason": "", "arguments": {}, "under_way": False,
    }  # fmt: skip
