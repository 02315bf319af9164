"""Write deploy/grafana/dashboards (`make docs`); tests hold them fresh and run every query.

Series are taken by `max by (…)`, so that a car's imported past and what is scraped today are one line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grafana import Board, Json, Panel, Query, bars, lines, stat, timeline
from promql import metric, openings

from poller.vehicle.signals import BY_KEY
from poller.vehicle.thresholds import CAR, DAEMON, DAY

FOLDER = Path(__file__).resolve().parents[1] / "deploy/grafana/dashboards"

#: Unit of a record → Grafana's unit, and how much of the metric's base unit it is.
_SHOWN = {
    "km": ("lengthkm", 1e3),
    "%": ("percentunit", 1.0),
    "kWh": ("kwatth", 3.6e6),
    "kPa": ("pressurebar", 1e5),
    "W": ("watt", 1.0),
    "V": ("volt", 1.0),
    "s": ("s", 1.0),
}
_CAR, _SOURCE, _SINK = "{{vehicle}}", "{{source}}", "{{sink}}"
#: The car that was chosen at the top, or all of them.
_ONE, _ALL = '{vehicle="$vehicle"}', ""

_CHARGE = (("red", None), ("orange", CAR.soc_percent / 100), ("green", 0.4))
_AGES = (("green", None), ("orange", CAR.quiet_for / 2), ("red", CAR.quiet_for))
_DUE = (("red", None), ("orange", 0), ("text", CAR.service_days[0]))
_ENDS = (("red", None), ("orange", 1), ("green", DAEMON.login_days))
_NONE = (("green", None), ("orange", 1))

_OPEN = {"0": ("closed", "green"), "1": ("open", "orange")}
_LOCKED = {"0": ("unlocked", "orange"), "1": ("locked", "green")}
_IS = {"0": ("no", "transparent"), "1": ("yes", "blue")}
_WRONG = {"0": ("no", "transparent"), "1": ("yes", "orange")}
_UP = {"0": ("no", "red"), "1": ("yes", "green")}


def shown(key: str, *by: str, of: str = _ONE) -> str:
    """A signal as people read it: one series a car and dimension."""
    factor = _SHOWN[BY_KEY[key].unit or "s"][1]
    scaled = f" / {factor:g}" if factor != 1 else ""
    return f"max by ({', '.join(('vehicle', *by))}) ({metric(key)}{of}){scaled}"


def states(key: str, *by: str) -> str:
    """The states of an enumeration that hold, one series each."""
    return f"max by ({', '.join(('vehicle', *by, metric(key)))}) ({metric(key)}{_ONE}) == 1"


def age(of: str) -> str:
    """Seconds since a car itself last said something."""
    return f"time() - max by (vehicle) (vehicle_report_timestamp_seconds{of})"


def open_things(of: str, by: str = "") -> str:
    """What is open or not; with `by`, counted."""
    inside = f"{{{openings()}, {of[1:-1]}}}" if of else f"{{{openings()}}}"
    each = f"max by (vehicle, position, __name__) ({inside})"
    return f"sum by ({by}) ({each})" if by else each


def days_left(of: str, *by: str) -> str:
    """Days to the next service by date."""
    due = f"min by ({', '.join(('vehicle', *by))}) ({metric('service_due_at')}{of})"
    return f"({due} - time()) / {DAY:g}"


def driven(of: str, span: str) -> str:
    """Kilometres in the last `span`."""
    odometer = metric("odometer_km")
    return f"max by (vehicle) ({odometer}{of} - {odometer}{of} offset {span}) / 1000"


def _signals(title: str, *keys: str, **more: Any) -> Panel:
    """Signals of one unit over time, told apart by the catalogue's words."""
    unit = _SHOWN[BY_KEY[keys[0]].unit or "s"][0]
    more |= {"least": 0, "most": 1} if unit == "percentunit" else {}
    return lines(title, {BY_KEY[key].label: shown(key) for key in keys}, unit, **more)


def car() -> Board:
    """One car: how it stands, charging, range, mileage, body, service."""
    rows = {
        "Now": _car_now(),
        "Charging": _charging(),
        "Range and batteries": _ranges(),
        "Mileage": [
            _signals("Mileage", "odometer_km"),
            lines("Driven in 24 hours", {_CAR: driven(_ONE, "1d")}, "lengthkm", least=0),
        ],
        "Body": _body(),
        "Service and messages": _service(),
    }
    return Board("poller-car", "Car", rows, "now-7d", per_car=True)


def _car_now() -> list[Panel]:
    quiet = "How long ago the car itself last said something. A parked car may be silent for days."
    return [
        stat("Charge", {_CAR: shown("soc_percent")}, "percentunit", decimals=0, limits=_CHARGE),
        stat("Range", {_CAR: shown("range_total_km")}, "lengthkm", decimals=0),
        stat("Mileage", {_CAR: shown("odometer_km")}, "lengthkm", decimals=0),
        stat("The car's last report", {_CAR: age(_ONE)}, "s", decimals=0, limits=_AGES, hint=quiet),
        stat("Open things", {_CAR: open_things(_ONE, "vehicle")}, limits=_NONE),
        stat("Locked", {_CAR: shown("locked")}, words=_LOCKED),
    ]


def _charging() -> list[Panel]:
    soc = shown("soc_percent")
    before = shown("soc_percent", of=_ONE + " offset 15m")
    risen = f"sum_over_time(clamp_min({soc} - {before}, 0)[1d:15m])"
    by_day = "By how much the charge rose in the last 24 hours, looked at every quarter of an hour."
    return [
        _signals("Charge, and what is aimed at", "soc_percent", "soc_target_percent", width=16),
        bars("Charged in 24 hours, of the battery", {_CAR: risen}, "percentunit", 8, least=0, hint=by_day),
        timeline("Charging", {"{{vehicle_charging_state}}": states("charging_state")}, _IS, width=16),
        timeline("Plugged in", {"plugged in": shown("plugged")}, _IS, width=8),
        _signals("Charging power", "charging_power_watts", hint="From sources that tell it, as CarData."),
        _signals("Time left to charge", "charging_remaining_seconds", hint="Only while it charges."),
    ]


def _ranges() -> list[Panel]:
    full = f"{shown('range_electric_km')} / ({shown('soc_percent')} > 0.2)"
    guess = "The car's own estimate, divided by its charge: it falls in the cold."
    return [
        _signals("Range", "range_electric_km", "range_fuel_km", "range_total_km"),
        lines("Range with a full battery", {_CAR: full}, "lengthkm", least=0, hint=guess),
        _signals("Fuel", "fuel_percent"),
        _signals("12 V battery", "aux_battery_volts"),
        _signals("Capacity of the battery", "battery_capacity_kwh"),
        _signals("Health of the battery", "battery_health_percent"),
    ]


def _body() -> list[Panel]:
    things = {"{{__name__}} {{position}}": open_things(_ONE)}
    tires = {"{{position}}": shown("tire_pressure_kpa", "position")}
    return [
        timeline("Locked", {"locked": shown("locked")}, _LOCKED, width=24, height=4),
        timeline("Doors, windows, lids", things, _OPEN, width=24, height=10),
        lines("Tyre pressure", tires, "pressurebar", decimals=2),
        timeline("Climate", {"{{vehicle_climate_state}}": states("climate_state")}, _IS),
    ]


def _service() -> list[Panel]:
    days, km = days_left(_ONE, "service"), shown("service_due_km", "service")
    messages = {"{{message}}: {{vehicle_check_control}}": states("check_control", "message")}
    return [
        bars("Days to the next services", {"{{service}}": days}, "d", limits=_DUE, hint="Below 0: overdue."),
        bars("Distance to the next services", {"{{service}}": km}, "lengthkm", decimals=0),
        timeline("Messages of the car", messages, _WRONG, width=24, height=6),
    ]


#: Of the table: title, query, Grafana's unit.
_COLUMNS = (
    ("Model", "max by (vehicle, model) (vehicle_info)", ""),
    ("Charge", shown("soc_percent", of=_ALL), "percentunit"),
    ("Range", shown("range_total_km", of=_ALL), "lengthkm"),
    ("Mileage", shown("odometer_km", of=_ALL), "lengthkm"),
    ("Last report", age(_ALL), "s"),
    ("Locked", shown("locked", of=_ALL), "bool_yes_no"),
    ("Open things", open_things(_ALL, "vehicle"), "none"),
    ("Days to service", days_left(_ALL), "none"),
    ("km to service", f"min by (vehicle) ({metric('service_due_km')}) / 1000", "none"),
)


def _overview() -> Panel:
    """One line a car: the queries are joined by the car's name, and each column has its unit."""
    queries = [Query(expr, table=True) for _, expr, _ in _COLUMNS]
    columns = {f"Value #{chr(ord('A') + place)}": title for place, (title, _, _) in enumerate(_COLUMNS)}
    names = {**columns, "vehicle": "Car", "model": "Model"}
    link = {"title": "Open", "url": "/d/poller-car?var-vehicle=${__value.text}"}
    overrides = [_override(title, "unit", unit) for title, _, unit in _COLUMNS if unit]
    tidy = {"excludeByName": {"Time": True, "Value #A": True}, "renameByName": names, "indexByName": {}}
    return Panel(
        "table",
        "My cars",
        queries,
        "none",
        24,
        decimals=0,
        overrides=[*overrides, _override("Car", "links", [link])],
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": tidy}],
    )


def _override(column: str, name: str, value: object) -> Json:
    matcher = {"id": "byName", "options": column}
    return {"matcher": matcher, "properties": [{"id": name, "value": value}]}


def fleet() -> Board:
    """All cars beside each other."""
    quiet = "A line that climbs is a car that says nothing: parked, asleep, or without reception."
    compared = [
        lines("Charge", {_CAR: shown("soc_percent", of=_ALL)}, "percentunit", least=0, most=1),
        lines("Range", {_CAR: shown("range_total_km", of=_ALL)}, "lengthkm", least=0),
        bars("Driven in 7 days", {_CAR: driven(_ALL, "7d")}, "lengthkm", 8, decimals=0),
        lines("Driven in 24 hours", {_CAR: driven(_ALL, "1d")}, "lengthkm", 16, least=0),
        timeline("Charging", {_CAR: shown("charging", of=_ALL)}, _IS),
        timeline("Locked", {_CAR: shown("locked", of=_ALL)}, _LOCKED),
        lines("Mileage", {_CAR: shown("odometer_km", of=_ALL)}, "lengthkm"),
        lines("Since the last report of each car", {_CAR: age(_ALL)}, "s", hint=quiet),
    ]
    rows = {"Now": [_overview()], "Beside each other": compared}
    return Board("poller-fleet", "Fleet of my cars", rows, "now-14d")


def collector() -> Board:
    """The poller itself: sources, sinks, journal."""
    rows = {"Now": _health(), "Sources": _sources(), "Sinks": _sinks(), "Journal": _journal()}
    return Board("poller-collector", "Collector health", rows, "now-24h")


def _health() -> list[Panel]:
    last = "time() - max by (source) (vehicle_last_success_timestamp_seconds)"
    left = f"(poller_login_expiry_timestamp_seconds - time()) / {DAY:g}"
    allowed = "Readiness turns red after three intervals."
    return [
        stat("Ready", {"{{instance}}": "poller_ready"}, words=_UP),
        stat("Last answer", {_SOURCE: last}, "s", 5, decimals=0, hint=allowed),
        stat("Login ends in", {_SOURCE: left}, "d", 5, decimals=1, limits=_ENDS),
        stat("Waiting for sinks", {_SINK: "poller_sink_backlog_records"}, width=5),
        stat("Set aside", {_SINK: "poller_dead_letters"}, width=5, limits=_NONE),
    ]


def _sources() -> list[Panel]:
    silent = {"{{source}}: {{condition}}": "max by (source, condition) (poller_source_silent)"}
    calls = {_SOURCE: "poller_quota_remaining_calls", "{{source}}: limit": "poller_quota_limit_calls"}
    failed = "sum by (source, reason) (increase(poller_poll_failures_total[1h])) > 0"
    quiet = "car_quiet is no fault: everything works, the car sends nothing."
    due = "poller_source_next_poll_timestamp_seconds - time()"
    return [
        timeline("No fresh data, and why", silent, _WRONG, width=24, height=7, hint=quiet),
        lines("Calls left today", calls, least=0),
        timeline("Stream connected", {_SOURCE: "poller_stream_connected"}, _UP),
        lines("Polls an hour", {_SOURCE: "sum by (source) (increase(poller_polls_total[1h]))"}, least=0),
        lines("Failed polls an hour", {"{{source}}: {{reason}}": failed}, least=0),
        lines("How long a poll takes", {_SOURCE: "poller_poll_last_duration_seconds"}, "s", least=0),
        lines("Next poll in", {_SOURCE: due}, "s"),
    ]


def _sinks() -> list[Panel]:
    delivered = "sum by (sink) (increase(poller_records_delivered_total[1h]))"
    failed = "sum by (sink, reason) (increase(poller_delivery_failures_total[1h])) > 0"
    waited = "time() - poller_sink_oldest_record_timestamp_seconds and poller_sink_backlog_records > 0"
    lost = {
        "{{sink}}: refused": "poller_records_rejected_total",
        "{{sink}}: dropped": "poller_records_dropped_total",
    }
    gone = "Refused records are dead letters; dropped ones are gone."
    return [
        lines("Records an hour", {_SINK: delivered}, least=0),
        lines("Failed deliveries an hour", {"{{sink}}: {{reason}}": failed}, least=0),
        lines("Waiting records", {_SINK: "poller_sink_backlog_records"}, least=0),
        lines("How long the oldest has waited", {_SINK: waited}, "s", least=0),
        lines("Refused and dropped", lost, least=0, hint=gone),
        timeline("Last delivery went well", {_SINK: "poller_sink_up"}, _UP),
    ]


def _journal() -> list[Panel]:
    size = {"size": "poller_journal_size_bytes", "limit": "poller_journal_limit_bytes > 0"}
    back = "time() - poller_journal_oldest_record_timestamp_seconds"
    restarts = "sum(poller_task_restarts_total) or vector(0)"
    words = "sum(poller_unknown_tokens_total) or vector(0)"
    return [
        lines("Journal", size, "bytes", least=0),
        lines("Free disk beside it", {"free": "poller_disk_free_bytes"}, "bytes", least=0),
        stat("It reaches back", {"": back}, "s", 6, decimals=0),
        stat("Tasks restarted", {"": restarts}, width=6, limits=_NONE),
        stat("Words not understood", {"": words}, width=6),
        stat("Version", {"{{version}}": "max by (version) (poller_build_info)"}, width=6),
    ]


def boards() -> dict[str, Board]:
    """File name → dashboard."""
    return {"car.json": car(), "fleet.json": fleet(), "collector.json": collector()}


if __name__ == "__main__":
    for name, board in boards().items():
        (FOLDER / name).write_text(board.text(), encoding="utf-8")
        print(f"{name}: {len(board.json()['panels'])} panels")
