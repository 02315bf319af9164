"""Grafana's JSON from few words: panels that flow from left to right, and the board around them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = dict[str, Any]
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
_WIDTH: Final = 24
_HEIGHTS: Final = {"stat": 4, "row": 1}
_TEXT: Final = {"mode": "absolute", "steps": [{"color": "text", "value": None}]}

Form = Literal["stat", "timeseries", "state-timeline", "bargauge", "table"]


@dataclass(frozen=True)
class Query:
    """One query and the name of its series; `now`: of this moment only."""

    expr: str
    legend: str = ""
    now: bool = False
    table: bool = False

    def target(self, letter: str) -> Json:
        """As a panel has it."""
        target: Json = {"refId": letter, "datasource": SOURCE, "expr": self.expr, "legendFormat": self.legend}
        if self.table:
            target["format"] = "table"
        return target | ({"instant": True, "range": False} if self.now or self.table else {"range": True})


@dataclass(frozen=True)
class Panel:
    """One panel. `limits`: (colour, from this value on); `words`: value → (text, colour)."""

    form: Form
    title: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 12
    height: int = 8
    hint: str = ""
    decimals: int | None = None
    limits: Sequence[tuple[str, float | None]] = ()
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    least: float | None = None
    most: float | None = None
    interval: str = ""
    overrides: Sequence[Json] = ()
    transformations: Sequence[Json] = ()

    def json(self, number: int, x: int, y: int) -> Json:
        """As a dashboard has it."""
        panel: Json = {
            "id": number,
            "type": self.form,
            "title": self.title,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.tall},
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self.overrides)},
            "targets": [query.target(chr(ord("A") + place)) for place, query in enumerate(self.queries)],
            "options": _OPTIONS[self.form],
        }
        if self.hint:
            panel["description"] = self.hint
        if self.interval:
            panel["interval"] = self.interval
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel

    @property
    def tall(self) -> int:
        """Rows of the grid."""
        return _HEIGHTS.get(self.form, self.height)

    def _defaults(self) -> Json:
        steps = [{"color": color, "value": value} for color, value in self.limits]
        defaults: Json = {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": steps} if steps else _TEXT,
        }
        given = {"decimals": self.decimals, "min": self.least, "max": self.most}
        defaults |= {name: value for name, value in given.items() if value is not None}
        if self.words:
            options = {
                value: {"text": text, "color": color, "index": index}
                for index, (value, (text, color)) in enumerate(self.words.items())
            }
            defaults["mappings"] = [{"type": "value", "options": options}]
        return defaults | _DRAWN.get(self.form, {})


#: How a form draws, beside its options.
_DRAWN: Final[Mapping[Form, Json]] = {
    "timeseries": {
        "color": {"mode": "palette-classic"},
        # Polls are minutes apart, and a gap of an hour is one.
        "custom": {"lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "spanNulls": 3_600_000},
    },
    "state-timeline": {"color": {"mode": "thresholds"}, "custom": {"lineWidth": 0, "fillOpacity": 80}},
    "bargauge": {"color": {"mode": "palette-classic"}},
}
_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: Final[Mapping[Form, Json]] = {
    "stat": {"reduceOptions": _LAST, "textMode": "auto", "colorMode": "value", "graphMode": "none"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "state-timeline": {
        "mergeValues": True,
        "showValue": "auto",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "bargauge": {"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "basic"},
    "table": {"showHeader": True, "cellHeight": "sm"},
}


#: Legend → query; "" where there is one series and its panel's title says it all.
Asked = Mapping[str, str]


def stat(title: str, asked: Asked, unit: str = "none", width: int = 4, **more: Any) -> Panel:
    """Numbers of this moment; `more` as in `Panel`."""
    return Panel("stat", title, _queries(asked, now=True), unit, width, **more)


def lines(title: str, asked: Asked, unit: str = "none", width: int = 12, **more: Any) -> Panel:
    """What changes with time."""
    return Panel("timeseries", title, _queries(asked), unit, width, **more)


def timeline(title: str, asked: Asked, words: Mapping[str, tuple[str, str]], **more: Any) -> Panel:
    """What is or is not, with time."""
    return Panel("state-timeline", title, _queries(asked), "none", words=words, **more)


def bars(title: str, asked: Asked, unit: str = "none", width: int = 12, **more: Any) -> Panel:
    """Things beside each other, at this moment."""
    return Panel("bargauge", title, _queries(asked, now=True), unit, width, **more)


def _queries(asked: Asked, *, now: bool = False) -> list[Query]:
    return [Query(expr, legend, now) for legend, expr in asked.items()]


@dataclass(frozen=True)
class Board:
    """A dashboard: rows of panels by their titles. `per_car`: one car is chosen at its top."""

    uid: str
    title: str
    rows: Mapping[str, Sequence[Panel]]
    since: str
    per_car: bool = False

    def text(self) -> str:
        """The file."""
        return json.dumps(self.json(), indent=1, ensure_ascii=False) + "\n"

    def json(self) -> Json:
        """As Grafana's provisioning reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["poller"],
            "timezone": "browser",
            "schemaVersion": 41,
            "editable": True,
            "refresh": "1m",
            "time": {"from": self.since, "to": "now"},
            "templating": {"list": [_CHOICE] if self.per_car else []},
            "links": [_LINK],
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        number, y = 0, 0
        for title, panels in self.rows.items():
            number += 1
            place = {"x": 0, "y": y, "w": _WIDTH, "h": _HEIGHTS["row"]}
            yield {
                "id": number,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
            x, y, tall = 0, y + 1, 0
            for panel in panels:
                if x + panel.width > _WIDTH:
                    x, y, tall = 0, y + tall, 0
                number += 1
                yield panel.json(number, x, y)
                x, tall = x + panel.width, max(tall, panel.tall)
            y += tall


_CHOICE: Final = {
    "type": "query",
    "name": "vehicle",
    "label": "Car",
    "datasource": SOURCE,
    "query": "label_values(vehicle_info, vehicle)",
    "refresh": 2,
    "sort": 1,
    "multi": False,
    "includeAll": False,
}
_LINK: Final = {
    "type": "dashboards",
    "title": "Poller",
    "tags": ["poller"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
