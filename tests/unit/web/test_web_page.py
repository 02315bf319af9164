"""The status page: what is written, and that nothing foreign is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import get_args

import pytest

from poller.runtime.status import AlertStatus, Condition, JournalStatus, QuotaStatus, Silence, StreamStatus
from poller.web.channels import condition_words
from poller.web.page import Page, headline


class Text(HTMLParser):
    """The page's words and tags, checked for balance."""

    VOID = frozenset({"meta", "link", "img", "br", "rect", "circle", "path"})

    def __init__(self, html):
        super().__init__()
        self.words = []
        self.tags = []
        self.open = []
        self.ids = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def __str__(self):
        return " ".join(" ".join(self.words).split())


def page(stage, status=None, base_path=""):
    return Page(stage.display, base_path).render(stage.daemon(status))


def test_all_is_well(stage):
    stage.car(soc_percent=62)
    text = str(Text(page(stage)))
    assert "All is well" in text
    assert "62 %" in text
    assert "as of 14:00:00 GMT" in text
    assert "Simulated" not in text


def test_what_is_wrong_is_said_with_what_to_do(stage):
    status = stage.status(sources=[stage.source(state="login_required", last_success_at=stage.ago(20))])
    text = str(Text(page(stage, status)))
    assert "One thing is wrong" in text
    assert "source bmw : no success for 20 min (allowed 15 min): login required" in text
    assert "run poller login bmw" in text


@pytest.mark.parametrize("part", ["source", "sink"])
def test_what_fails_but_may_come_right_is_not_called_well(stage, part):
    """Ready, for the failure is young; but a page that says all is well would lie."""
    failing = {
        "source": {"sources": [stage.source(state="failing", failure=stage.failure(message="no route"))]},
        "sink": {"sinks": [stage.sink(up=False, failure=stage.failure(message="no route"))]},
    }[part]
    shown = headline(stage.status(**failing))
    assert (shown.tone, shown.text) == ("warn", "Working, but not everything")
    assert "no route" in str(shown.problems[0])
    assert "All is well" not in page(stage, stage.status(**failing))


def test_starting_is_not_called_wrong(stage):
    source = stage.source(state="starting", last_success_at=None)
    told = headline(stage.daemon(stage.status(sources=[source])).status())
    assert (told.text, told.tone) == ("Starting", "")


def test_a_start_that_failed_is_wrong(stage):
    source = stage.source(state="backing_off", last_success_at=None, failure=stage.failure())
    assert headline(stage.daemon(stage.status(sources=[source])).status()).tone == "bad"


def test_a_reason_that_only_the_app_knows_is_shown_too(stage):
    told = headline(stage.status(reasons=("something else",)))
    assert [str(problem) for problem in told.problems] == ["poller: something else"]


def test_a_page_without_cars_says_so(stage):
    assert "No vehicle yet" in str(Text(page(stage)))


def test_sources_sinks_and_journal_tell_how_they_stand(stage):
    status = stage.status(
        sources=[
            stage.source(
                next_poll_at=stage.ago(-3), quota=QuotaStatus(50, 38), stream=StreamStatus("waiting"),
                login_expires_at=stage.ago(-60 * 24 * 9),
                failure=stage.failure(600, "reset by peer", "none needed"),
            )
        ],
        sinks=[
            stage.sink(backlog=12, oldest_record_at=stage.ago(7), dead_letters=3),
            stage.sink(name="axiom", kind="axiom", held="403: no right to ingest", retry_at=stage.ago(-4)),
            stage.sink(name="prometheus", kind="prometheus", live=True, last_success_at=None),
        ],
        journal=JournalStatus(
            size=48 * 2**20, limit=2**31, disk_free=2**35, oldest_record_at=stage.ago(60 * 24 * 90),
            orphans=[("old-files", 9)],
        ),
    )  # fmt: skip
    text = str(Text(page(stage, status)))
    for told in (
        "next poll in 3 min", "calls left 38 of 50", "stream not connected", "login good for 9 days",
        "last failure 04:00 (10 h ago) reset by peer none needed", "records waiting 12, oldest 7 min ago",
        "dead letters 3", "held", "403: no right to ingest", "tries again in 4 min", "48 MiB of 2 GiB",
        "reaches back to 23 Aug 2026", "poller sinks forget old-files",
    ):  # fmt: skip
        assert told in text


def test_commands_among_the_lines_of_a_source_are_set_as_such(stage):
    quota = QuotaStatus(50, 38, purposes={"doctor": 4})
    html = page(stage, stage.status(sources=[stage.source(quota=quota)]))
    assert "<dd><code>poller doctor</code> 4</dd>" in html
    assert "`" not in html


@pytest.mark.parametrize("condition", get_args(Condition))
def test_each_silence_stands_at_its_source_and_is_told_once_with_its_mend(stage, condition):
    silence = Silence(condition, "in its own words", "do `this`", stage.ago(60), "0000001")
    html = page(stage, stage.status(sources=[stage.source(silences=[silence])]))
    assert f'data-condition="{condition}"' in html
    text = str(Text(html))
    here = "in its own words do this" if condition == "car_quiet" else "said at the top"
    assert f"{condition_words(condition)} (0000001) since 13:00 (1 h ago) {here}" in text
    assert text.count("in its own words") == text.count("do this") == 1
    assert ("All is well" in text) == (condition == "car_quiet")
    assert ("Working, but not everything" in text) == (condition != "car_quiet")


def test_a_silence_is_not_said_twice_where_it_is_the_failure(stage):
    failure = stage.failure(1, "no scope", "tick it")
    source = stage.source(
        state="login_required", failure=failure, silences=[Silence("refused", "no scope", "tick it")]
    )
    assert str(Text(page(stage, stage.status(sources=[source])))).count("no scope") == 1


def test_what_keeps_it_from_its_work_is_said_once_and_by_a_word_elsewhere(stage):
    """In verdict, alert, source and list of failures it would fill a phone four times."""
    failure = stage.failure(1, "BMW refused the stored login", "run `poller login bmw`")
    stale = f"No fresh data, because the maker refuses us: {failure.message}. Run `poller login bmw`."
    status = stage.status(
        sources=[stage.source(state="login_required", failure=failure)],
        sinks=[stage.sink(held="no right to ingest", failure=stage.failure(5, "no right to ingest"))],
        recent_failures=[("source bmw", failure), ("sink axiom", stage.failure(60, "no route"))],
        alerts=[AlertStatus("", "no_fresh_data", "bmw", "warning", stage.ago(20), "no fresh data", stale)],
    )
    text = str(Text(page(stage, status)))
    assert text.count(failure.message) == text.count("poller login bmw") == 1
    assert text.count("no right to ingest") == 1
    assert "no fresh data since 13:40" in text
    assert text.count("said at the top") == 3  # source, sink, list of failures
    assert "no route" in text


def test_what_fails_in_the_same_words_elsewhere_is_not_said_at_the_top(stage):
    """Of two sources without a network the younger failure is none of the verdict's yet."""
    failure = stage.failure(1, "nobody answers", "look at the network")
    less = f"Less fresh data: {failure.message}."
    status = stage.status(
        sources=[
            stage.source(state="failing", failure=failure, last_success_at=stage.ago(120)),
            stage.source(name="home", state="failing", failure=failure),
        ],
        recent_failures=[("source home", failure)],
        alerts=[AlertStatus("", "no_fresh_data", "home", "warning", stage.ago(20), "no fresh data", less)],
    )
    text = str(Text(page(stage, status)))
    assert text.count("said at the top") == 1  # at the source of which it is
    assert text.count(failure.message) == 4  # verdict, alert, source, list of failures
    assert less in text


def test_a_mend_that_the_verdict_does_not_give_stays_where_it_is(stage):
    failure = stage.failure(1, "no scope", "log in")
    silence = Silence("refused", "no scope", "tick the service first")
    source = stage.source(state="login_required", failure=failure, silences=[silence])
    assert "said at the top tick the service first" in str(Text(page(stage, stage.status(sources=[source]))))


def test_last_failures_stay_after_a_success(stage):
    failures = [
        ("source bmw", stage.failure(600, "the older")),
        ("sink axiom", stage.failure(30, "the newer")),
    ]
    text = str(Text(page(stage, stage.status(recent_failures=failures))))
    assert "All is well" in text
    assert text.index("the newer") < text.index("the older")


def test_a_raised_alert_is_counted_in_the_verdict(stage):
    raised = AlertStatus("mini", "tyre", "", "warning", stage.ago(180), "Tyre low", "2.0 bar")
    assert headline(stage.status()).text == "All is well"
    assert headline(stage.status(alerts=[raised])).text == "All is well with the poller; 1 alert is raised"
    assert headline(stage.status(alerts=[raised] * 2)).text.endswith("; 2 alerts are raised")


def test_a_login_that_is_refused_is_not_called_good(stage):
    source = stage.source(
        login_expires_at=stage.ago(-60 * 24 * 9), silences=[Silence("refused", "not taken", "log in")]
    )
    text = str(Text(page(stage, stage.status(sources=[source]))))
    assert "login refused" in text
    assert "login good for" not in text


def test_simulated_cars_are_called_so(stage):
    assert "Simulated cars. Nothing on this page is real." in str(
        Text(page(stage, stage.status(simulated=True)))
    )


def test_nothing_foreign_becomes_markup(stage):
    """What makers, servers and owners write is text, in backticks too."""
    nasty = "<img src=x onerror=alert(1)>`<b>bold</b>`&amp;"
    stage.car(model=nasty, brand="<i>", software_version="'\"><script>")
    failure = stage.failure(1, nasty, nasty)
    status = stage.status(
        version=nasty,
        sources=[stage.source(name=nasty, kind=nasty, state="blocked", failure=failure)],
        sinks=[stage.sink(name=nasty, held=nasty, isolated=nasty, failure=failure)],
        recent_failures=[(nasty, failure)],
    )
    html = Text(page(stage, status))
    assert {"img", "script"} >= {tag for tag, _ in html.tags} & {"img", "script", "b", "i"}
    assert all(attrs.get("alt") == "" for tag, attrs in html.tags if tag == "img")
    assert all("src" in attrs for tag, attrs in html.tags if tag == "script")
    assert not [attrs for _, attrs in html.tags if any(name.startswith("on") for name in attrs)]


def test_the_content_security_policy_is_kept(stage):
    """No inline style, script or handler, nothing from elsewhere."""
    stage.car(soc_percent=62, soc_target_percent=80, fuel_percent=20)
    html = page(stage)
    assert " style=" not in html
    assert "<style" not in html
    assert not re.search(r"<script(?![^>]*src=)", html)
    assert "://" not in html.replace("http://www.w3.org", "")


def test_ids_are_unique_and_every_picture_has_words(stage):
    stage.car(soc_percent=62, locked=False)
    stage.car(vin="WBY00000000000002", soc_percent=70, model="i4")
    html = Text(page(stage))
    assert len(html.ids) == len(set(html.ids))
    pictures = [attrs for tag, attrs in html.tags if tag == "svg"]
    assert pictures
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") == "true" for attrs in pictures)


def test_trouble_is_never_told_by_colour_alone(stage):
    """Whatever has a warning colour has an icon and words."""
    stage.car(locked=False, door_open__front_left=True)
    html = page(stage)
    for row in re.findall(r'<div class="(?:warn|bad)">.*?</div>', html):
        assert "<svg" in row


@pytest.mark.parametrize("base_path", ["", "/cars"])
def test_links_go_through_the_proxys_path(stage, base_path):
    html = Text(page(stage, base_path=base_path))
    links = [
        attrs.get("href") or attrs.get("src")
        for tag, attrs in html.tags
        if tag in ("a", "link", "script", "img")
    ]
    assert links
    assert all(link.startswith(base_path + "/") for link in links)


def test_no_vin_and_no_position_is_on_the_page(stage):
    stage.car(latitude_degrees=48.17711, longitude_degrees=11.55599, soc_percent=1)
    html = page(stage)
    assert stage.vin not in html
    assert "48.1" not in html


def test_old_values_are_marked_as_such(stage):
    stage.car(40, 45, soc_percent=62)
    html = page(stage)
    assert 'class="card stale"' in html
    assert 'class="gauge good old"' in html
    assert "No answer for 40 min" in html
