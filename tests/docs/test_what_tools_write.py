"""Rules, dashboards and monitors are what `make docs` writes; what they name exists, and tools judge them."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from dataclasses import fields

import pytest

from poller.sinks.axiom.event import FIELDS
from poller.vehicle.thresholds import CAR, DAEMON


@pytest.fixture
def tool(root, monkeypatch):
    """A tool as a module, by its name."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    return importlib.import_module


def test_rules_and_their_table_are_fresh(root, tool) -> None:
    rules = tool("alert_rules")
    assert rules.RULES.read_text(encoding="utf-8") == rules.text(), "run `make docs`"
    grafana = tool("grafana_rules").text(rules.rules(), rules.NORMAL)
    assert rules.GRAFANA.read_text(encoding="utf-8") == grafana, "run `make docs`"
    page = rules.PAGE.read_text(encoding="utf-8")
    assert page == rules.page(page), "run `make docs`"


def test_grafana_has_every_rule_of_prometheus_in_its_own_words(tool) -> None:
    """Its identifiers are short and unique, its queries the same, and its templates know no `$value`."""
    rules = tool("alert_rules").rules()
    text = tool("grafana_rules").text(rules, tool("alert_rules").NORMAL)
    for pattern in (r"- uid: (\S+)", r"title: (.+)"):
        found = re.findall(pattern, text)
        assert len(set(found)) == len(found) == len(rules), pattern
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", uid) for uid in re.findall(r"- uid: (\S+)", text))
    assert re.findall(r"model: (\{.+?\})\}\n", text)[1::2] == [
        '{"refId": "B", "type": "math", "expression": "is_number($A)"}'
    ] * len(rules)
    asked = [json.loads(model)["expr"] for model in re.findall(r"model: (\{.+\})\}\n", text)[::2]]
    assert asked == [rule.expr for rule in rules]
    lasting = [span for span in re.findall(r"for: (\S+)", text) if span != "0s"]
    assert lasting == [tool("alert_rules").NORMAL.span(rule.lasts) for rule in rules if rule.lasts]
    assert not re.search(r"\$value\b", text)
    assert "${" not in text, "Grafana would take it for a variable of its environment"


def test_dashboards_are_fresh(root, tool) -> None:
    made = tool("dashboards")
    written = {path.name: path.read_text(encoding="utf-8") for path in made.FOLDER.glob("*.json")}
    assert written == {name: board.text() for name, board in made.boards().items()}, "run `make docs`"


def test_what_axiom_gets_is_fresh(root, tool) -> None:
    made = tool("axiom_board")
    written = {path.name: path.read_text(encoding="utf-8") for path in made.FOLDER.glob("*.json")}
    assert written == {name: made.text(body) for name, body in made.files().items()}, "run `make docs`"


def test_every_threshold_is_used(root) -> None:
    """A number that stands in the table and in no rule is a promise that nobody keeps."""
    text = "".join(path.read_text(encoding="utf-8") for path in (root / "tools").glob("*.py"))
    used = set(re.findall(r"\b(?:CAR|DAEMON)\.(\w+)", text))
    assert {field.name for table in (CAR, DAEMON) for field in fields(table)} - used == set()


def test_a_faster_pace_divides_every_duration_and_nothing_else(tool) -> None:
    alert_rules, promql = tool("alert_rules"), tool("promql")
    normal, fast = alert_rules.text(), alert_rules.text(promql.Pace(600))
    assert "for: 10m\n" in normal
    assert "for: 1s\n" in fast
    assert "for: 10m\n" not in fast
    assert "/ 86400 <= 30 > 7" in normal
    assert "/ 144 <= 30 > 7" in fast
    same = re.compile(r"for: \S+|\[\w+\]|\b[\d.]+\b")
    assert same.sub("", normal) == same.sub("", fast)


def test_panels_ask_something_and_none_covers_another(tool) -> None:
    for name, board in tool("dashboards").boards().items():
        panels = board.json()["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) > 8, name
        asking = [panel for panel in panels if panel["type"] != "row"]
        assert all(target["expr"] for panel in asking for target in panel["targets"])
        cells = [
            (x, y)
            for place in (panel["gridPos"] for panel in panels)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells)), name
        assert max(x for x, _ in cells) < 24


def test_axiom_is_asked_for_fields_that_events_have(root) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (root / "deploy/axiom").glob("*.json")]
    asked = {name for text in texts for name in re.findall(r"ensure_field\('([^']+)'", text)}
    assert len(asked) > 50
    assert asked - FIELDS == set()


def test_monitors_can_be_posted_as_they_are(root) -> None:
    """Required of a threshold monitor, by Axiom's own documentation of its API."""
    for path in (root / "deploy/axiom").glob("monitor-*.json"):
        body = json.loads(path.read_text(encoding="utf-8"))
        assert body["type"] == "Threshold"
        assert {"name", "aplQuery", "operator", "threshold", "rangeMinutes", "intervalMinutes"} <= set(body)
        last = body["aplQuery"].rpartition("|")[2].split()
        assert last[0] == "summarize", path.name


def test_alertmanager_takes_the_example(root) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not installed")
    path = root / "deploy/prometheus/alertmanager.yml"
    done = subprocess.run([amtool, "check-config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
