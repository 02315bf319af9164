"""What the cells "What is kept" and "How it heals" may say, and how each statement is checked."""

from __future__ import annotations

import json
import re

import pytest
from fault_drill import Drill, Heal, Kept, Mishap, Step
from fault_house import INTERVAL, House
from fault_sight import Metrics
from fault_street import MINI

from poller.commands import TABLE
from poller.errors import LoginRequired
from poller.journal.wreck import Wreck
from poller.vehicle.records import parse_time

DAY = 86_400.0
#: Seconds for a poll with its tries, and for the sinks to follow it.
SLACK = 60.0
_MILEAGE = re.compile(r"Mileage ([\d,]+) km All")
_STALE = "This is what was last known."


async def every_record_once(drill: Drill) -> None:
    """Every poll that did not fail is one record in files and Axiom, in order."""
    await _every_record(drill)
    assert drill.house.axiom.duplicates == {}


async def every_record_at_least_once(drill: Drill) -> None:
    await _every_record(drill)
    assert drill.house.axiom.duplicates


async def _every_record(drill: Drill) -> None:
    metrics = drill.story.after[-1].metrics
    polls = _sum(metrics, "poller_polls_total") - _sum(metrics, "poller_poll_failures_total")
    ids = drill.house.axiom.ids()
    assert len(ids) == polls
    assert drill.house.files().keys() == set(ids)


async def the_login_goes_on(drill: Drill) -> None:
    """Nobody had to log in, and it is the same session for the cloud: only tokens were renewed."""
    assert drill.house.logins == 1
    assert not any("authenticate" in request.path for request in drill.house.requests)


async def the_login_was_renewed(drill: Drill) -> None:
    await the_login_goes_on(drill)
    assert drill.middle.login != drill.begun.login


async def the_stored_login_stays(drill: Drill) -> None:
    """It is refused, and yet not deleted."""
    assert drill.begun.login == drill.middle.login != ""


async def the_last_values_stay(drill: Drill) -> None:
    """The page shows them to the end, and from the allowed age on it says that they are old."""
    before, last = drill.story.before.page, drill.story.during[-1].page
    assert _MILEAGE.findall(last) == _MILEAGE.findall(before) != []
    assert (_STALE in before, _STALE in last) == (False, True)


async def the_wait_is_kept(drill: Drill) -> None:
    """Nobody is asked before its end, and the journal knows it, so that a restart does too."""
    asked = [request.at for request in drill.house.requests]
    until = parse_time(drill.middle.backoff["until"])
    last = max(at for at in asked if at <= drill.story.during[-1].at)
    assert (until - last).total_seconds() == pytest.approx(drill.mishap.wait, abs=15)
    assert [at for at in asked if last < at < until] == []


async def the_answers_are_in_quarantine(drill: Drill) -> None:
    """As they were sent, and as many as were counted."""
    answers = [letter.answer for letter in drill.middle.letters if letter.answer is not None]
    counted = _sum(drill.story.during[-1].metrics, "poller_answers_quarantined_total")
    assert len(answers) == counted > 0
    for answer in answers:
        assert answer.bodies["state"].startswith(b'{"state": {"lastFetched"')


async def the_answers_stay_as_they_came(drill: Drill) -> None:
    """The journal has the very values that nobody understood."""
    wreck = Wreck(drill.house.data / "journal.db")
    bodies = [json.loads(answer.bodies["state"]) for answer in wreck.answers()]
    wreck.close()
    assert any(body["state"]["currentMileage"] == "unexpected" for body in bodies)


async def the_other_car_goes_on(drill: Drill) -> None:
    news = [record for key, record in drill.middle.files.items() if key not in drill.begun.files]
    assert {record["vehicle"] for record in news} == {"x1"}
    assert len(news) >= len(drill.story.during)


async def the_other_sinks_go_on(drill: Drill) -> None:
    """Every record of the time reached a sink that was well."""
    had = max(len(drill.middle.files), len(drill.middle.axiom))
    polls = _sum(drill.story.during[-1].metrics, "poller_polls_total")
    assert had >= polls - 1  # one may be on its way at that very moment


async def the_refused_are_dead_letters(drill: Drill) -> None:
    refused = [letter for letter in drill.middle.letters if letter.sink == "axiom"]
    letters = [letter.record.id for letter in refused if letter.record is not None]
    rejected = _sum(drill.story.during[-1].metrics, "poller_records_rejected_total")
    assert len(letters) == rejected > 0
    assert set(letters) <= drill.middle.files.keys() - set(drill.middle.axiom)


async def the_records_of_the_car_stay(drill: Drill) -> None:
    mine = {key for key, record in drill.begun.files.items() if record["vin"] == MINI}
    assert mine
    assert mine <= drill.house.files().keys()
    assert mine <= set(drill.house.axiom.ids())


def _sum(metrics: Metrics, name: str) -> float:
    return sum(value for (series, _), value in metrics.items() if series == name)


KEPT: dict[str, Kept] = {
    "every record, once": every_record_once,
    "every record, some of them twice under one `id`": every_record_at_least_once,
    "the login": the_login_goes_on,
    "the login, renewed": the_login_was_renewed,
    "the stored login": the_stored_login_stays,
    "the last values, marked as old": the_last_values_stay,
    "the wait, over a restart too": the_wait_is_kept,
    "the answers, in quarantine": the_answers_are_in_quarantine,
    "the answers as they came": the_answers_stay_as_they_came,
    "the other car goes on": the_other_car_goes_on,
    "the other sinks go on": the_other_sinks_go_on,
    "the refused records, as dead letters": the_refused_are_dead_letters,
    "all records of the car": the_records_of_the_car_stay,
}


def by_itself(seconds: float) -> Heal:
    """Nobody does anything, and in so many seconds after the cure all is well."""
    return Heal(lambda _: seconds + (SLACK if seconds > SLACK else 0))


def after_the_wait(mishap: Mishap) -> float:
    return mishap.wait + INTERVAL + SLACK


async def log_in(house: House) -> None:
    """``poller login bmw --captcha-token …`` in another process."""
    await house.log_in(captcha_token=f"solved-{house.logins}")


async def log_in_twice(house: House) -> None:
    """The first captcha token is refused, and the command says so."""
    with pytest.raises(LoginRequired, match="captcha token"):
        await house.log_in(captcha_token="spent")
    await log_in(house)


async def mend_the_token(house: House) -> None:
    house.configure(token=house.axiom.token)
    await house.reload()


async def mend_the_dataset(house: House) -> None:
    house.configure(dataset="garage")
    await house.reload()


async def name_it_again(house: House) -> None:
    house.configure(axiom_name="axiom")
    await house.reload()


def commanding(command: str, **arguments: str) -> Step:
    """What an operator's command does, in the daemon."""

    async def act(house: House) -> None:
        await TABLE[command](house.app, arguments)

    return act


async def forget_the_new_name(house: House) -> None:
    await house.passes(30)
    await TABLE["forget-sink"](house.app, {"sink": "cloud"})


_SOON = 60.0
HEALS: dict[str, Heal] = {
    "at once, within the same poll": by_itself(0),
    "by itself, with the next poll": by_itself(INTERVAL),
    "by itself, within an hour": by_itself(3600 + INTERVAL),
    "by itself, within a day": by_itself(DAY + INTERVAL),
    "by itself, with the first poll after the wait": Heal(after_the_wait),
    "`poller login bmw`, nothing else": Heal(lambda _: 15, log_in),
    "`poller login bmw` with a new captcha token": Heal(lambda _: 15, log_in_twice),
    "`poller dead-letters drop` clears the list": Heal(lambda _: 0, commanding("dead-letters-drop")),
    "by itself, within half a minute": by_itself(30),
    "by itself, within five minutes": by_itself(INTERVAL),
    "set the new `token` and reload": Heal(lambda _: _SOON, mend_the_token),
    "set the right `dataset` and reload": Heal(lambda _: _SOON, mend_the_dataset),
    "`poller dead-letters retry` sends them again": Heal(lambda _: _SOON, commanding("dead-letters-retry")),
    "give it its old name and reload": Heal(lambda _: _SOON, name_it_again),
    "`poller sinks forget` for a name that is not to come back": Heal(lambda _: 0, forget_the_new_name),
}
