"""Write deploy/axiom: the dashboard and the monitors, as Axiom's API takes them (`make docs`).

Fields are those that `sinks.axiom.event` sends, numbers those of `poller.vehicle.thresholds`. A dataset knows
only fields that some car has sent, and a query for another one fails: `ensure_field` gives nothing instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poller.sinks.axiom.event import READINGS
from poller.vehicle.signals import BY_KEY, Kind, split_key
from poller.vehicle.thresholds import CAR, HOUR, MINUTE

FOLDER = Path(__file__).resolve().parents[1] / "deploy/axiom"
#: Whoever has named it otherwise replaces this text: docs/operating/axiom.md.
DATASET = "cars"

_TYPES = {
    Kind.NUMBER: "real",
    Kind.BOOL: "bool",
    Kind.ENUM: "string",
    Kind.TIME: "string",
    Kind.TEXT: "string",
}
_SNAPSHOTS = f"['{DATASET}'] | where kind == 'snapshot'"


def field(record_key: str) -> str:
    """A reading in a query. KeyError: no event has it."""
    key, _ = split_key(record_key)
    if record_key not in READINGS:
        raise KeyError(record_key)
    return f"ensure_field('{record_key}', typeof({_TYPES[BY_KEY[key].kind]}))"


def fields_of(key: str) -> Iterator[str]:
    """The record keys of a signal that events have."""
    return (record_key for record_key in READINGS if split_key(record_key)[0] == key)


def _openings() -> str:
    keys = (key for key in READINGS if split_key(key)[0].endswith("_open"))
    return " or ".join(f"{field(key)} == true" for key in keys)


def left_open() -> dict[str, Any]:
    """Something stood open at every poll of the last minutes, and the car did not drive."""
    minutes = int((CAR.open_for + 5 * MINUTE) / MINUTE)
    odometer = field("odometer_km")
    return _monitor(
        "Left open",
        "A window, sunroof, door, hood, trunk or top has been open for a while, and the car stands.",
        f"{_SNAPSHOTS} | extend is_open = iff({_openings()}, 1, 0), odometer = {odometer}"
        " | summarize always = min(is_open), polls = count(), km = max(odometer) - min(odometer) by vehicle"
        " | extend left_open = iff(always == 1 and polls > 1 and (isnull(km) or km == 0), 1, 0)"
        " | summarize max(left_open) by vehicle",
        minutes,
        5,
    )


def service_due(stage: int) -> dict[str, Any]:
    """A service is overdue, or due soon by date or distance: 0 is the first notice, 1 the second."""
    days, km = CAR.service_days[stage], CAR.service_km[stage]
    due = [
        f"{field(f'service_state.{name}')} == 'overdue'"
        f" or todatetime({field(f'service_due_at.{name}')}) < now() + {days:g}d"
        f" or {field(f'service_due_km.{name}')} < {km:g}"
        for name in (split_key(key)[1] for key in fields_of("service_state"))
    ]
    return _monitor(
        f"Service due within {days:g} days or {km:,g} km",
        "The car says that a service is due. The page of the poller, or the events, say which.",
        f"{_SNAPSHOTS} | extend due = iff({' or '.join(due)}, 1, 0)"
        " | summarize arg_max(_time, due) by vehicle | summarize max(due) by vehicle",
        int(2 * HOUR / MINUTE),
        int(HOUR / MINUTE),
    )


def nothing_new() -> dict[str, Any]:
    """The dead man's switch: no event at all."""
    counted = f"['{DATASET}'] | summarize count()"
    body = _monitor(
        "Nothing new from the poller",
        "No event for an hour: the poller, its network or its login is down. `poller status` says why.",
        counted,
        int(HOUR / MINUTE),
        10,
    )
    return body | {"operator": "Below", "alertOnNoData": True, "notifyByGroup": False}


def _monitor(name: str, description: str, query: str, minutes: int, every: int) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "type": "Threshold",
        "aplQuery": query,
        "operator": "AboveOrEqual",
        "threshold": 1,
        "rangeMinutes": minutes,
        "intervalMinutes": every,
        "notifyByGroup": True,
        "alertOnNoData": False,
        "disabled": False,
        "notifierIds": [],
    }


def dashboard() -> dict[str, Any]:
    """The charts of the blog post, charge and mileage, and what follows from the same events."""
    series = {
        "charge": ("Charge, %", f"avg({field('soc_percent')})", "bin_auto(_time)"),
        "mileage": ("Mileage, km", f"max({field('odometer_km')})", "bin_auto(_time)"),
        "range": ("Range, km", f"avg({field('range_total_km')})", "bin_auto(_time)"),
        "driven": (
            "Driven a day, km",
            f"max({field('odometer_km')}) - min({field('odometer_km')})",
            "bin(_time, 1d)",
        ),
    }
    charts = [
        _chart(name, title, "TimeSeries", f"| summarize ['{title}'] = {what} by {bins}, vehicle")
        for name, (title, what, bins) in series.items()
    ]
    newest = {
        "charge_percent": "soc_percent", "range_km": "range_total_km", "mileage_km": "odometer_km",
        "is_locked": "locked", "is_charging": "charging", "model_name": "model",
    }  # fmt: skip
    named = ", ".join(f"{name} = {field(key)}" for name, key in newest.items())
    latest = f"| extend {named} | summarize arg_max(_time, {', '.join(newest)}) by vehicle"
    charts.append(_chart("now", "Now", "Table", latest))
    charts.append(_chart("open", "Open things", "Table", _open_query()))
    places = [(0, 0, 6), (6, 0, 6), (0, 4, 6), (6, 4, 6), (0, 8, 6), (6, 8, 6)]
    layout = [
        {
            "i": chart["id"],
            "x": x,
            "y": y,
            "w": w,
            "h": 4,
            "minW": 2,
            "minH": 2,
        }
        for chart, (x, y, w) in zip(charts, places, strict=True)
    ]
    document = {
        "name": "My cars",
        "description": "Charge, range and mileage, from the poller's snapshots.",
        "owner": "X-AXIOM-EVERYONE",
        "charts": charts,
        "layout": layout,
        "refreshTime": 300,
        "schemaVersion": 2,
        "timeWindowStart": "qr-now-7d",
        "timeWindowEnd": "qr-now",
    }
    return {"uid": "bmw-poller-cars", "dashboard": document, "overwrite": True, "message": "bmw-poller"}


def _open_query() -> str:
    keys = [key for key in READINGS if split_key(key)[0].endswith("_open")]
    words = ", ".join(f"iff({field(key)} == true, '{key} ', '')" for key in keys)
    return f"| extend open_things = strcat({words}) | summarize arg_max(_time, open_things) by vehicle"


def _chart(name: str, title: str, kind: str, query: str) -> dict[str, Any]:
    return {"id": name, "name": title, "type": kind, "query": {"apl": f"{_SNAPSHOTS} {query}"}}


def files() -> dict[str, dict[str, Any]]:
    """File name → what is posted."""
    return {
        "dashboard.json": dashboard(),
        "monitor-left-open.json": left_open(),
        "monitor-service-due.json": service_due(0),
        "monitor-service-now.json": service_due(1),
        "monitor-nothing-new.json": nothing_new(),
    }


def text(body: dict[str, Any]) -> str:
    """A file."""
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, body in files().items():
        (FOLDER / name).write_text(text(body), encoding="utf-8")
    print(f"{FOLDER.name}: {len(files())} files")
