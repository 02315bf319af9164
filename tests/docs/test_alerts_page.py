"""docs/alerts.md has every rule, as the rule book says it; Prometheus' twins exist."""

from __future__ import annotations

import re
from typing import get_args

from poller.derive.alerts.rulebook import RULES, RuleName, key_of
from poller.derive.alerts.settings import Alerts, CarAlerts


def test_every_rule_is_in_the_table(pages) -> None:
    """When this fails, paste the table that it shows into docs/alerts.md."""
    rows = [f"| `{name}` | {', '.join(rule.severities)} | {rule.when} |" for name, rule in RULES.items()]
    table = "\n".join(["| rule | severity | when |", "|---|---|---|", *rows])
    assert table in pages["docs/alerts.md"].text, table


def test_the_rule_book_has_every_name_once() -> None:
    names = [name for kind in get_args(RuleName) for name in (get_args(kind) or (kind,))]
    assert sorted(names) == sorted(RULES)
    assert len({key_of(name, "") for name in names}) == len(names)


def test_the_page_names_what_is_told_again_and_what_is_an_event(pages) -> None:
    text = pages["docs/alerts.md"].text
    told_again = {name for name, rule in RULES.items() if rule.reminds and not name.endswith("_open")}
    assert {
        name for name in told_again if f"`{name}`" not in text.partition("## When it is told")[2]
    } == set()
    events = {name for name, rule in RULES.items() if rule.event}
    sentence = re.search(r"\. ((?:`\w+`(?:,| and)?\s)+)are events", text)
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[1])) == events


def test_prometheus_has_the_twins(root) -> None:
    rules = (root / "deploy/prometheus/rules.yml").read_text(encoding="utf-8")
    twins = {twin for rule in RULES.values() for twin in rule.twin.split(", ") if twin}
    assert {twin for twin in twins if f"alert: {twin}\n" not in rules} == set()


def test_the_number_of_settings_that_a_car_may_have_is_said(pages) -> None:
    assert len(CarAlerts.model_fields) == 12
    assert "The first twelve may be set for one car too" in pages["docs/configuration.md"].text
    assert list(Alerts.model_fields)[:12] == list(CarAlerts.model_fields)
