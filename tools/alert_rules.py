"""Write the alerts for Prometheus and Grafana, and their table in the docs (`make docs`); tests compare.

Numbers come from `poller.vehicle.thresholds`, names and units from the signal catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Literal

import grafana_rules
from alert import Rule
from promql import Pace, based, metric, openings

from poller.vehicle.signals import BY_KEY
from poller.vehicle.thresholds import CAR, DAEMON, DAY

_ROOT = Path(__file__).resolve().parents[1]
RULES = _ROOT / "deploy/prometheus/rules.yml"
GRAFANA = _ROOT / "deploy/grafana/provisioning/alerting/rules.yaml"
PAGE = _ROOT / "docs/operating/alerts.md"
NORMAL = Pace()
BEGIN, END = "<!-- alerts: written by `make docs` -->", "<!-- alerts end -->"

_HEAD = """\
# Alerts on the poller and its cars. Written by `make docs` from src/poller/vehicle/thresholds.py and the
# signal catalogue; not by hand. `promtool test rules rules_test.yml` holds every timing.
groups:
"""


def rules(pace: Pace = NORMAL) -> list[Rule]:
    """All rules, in the order in which they are written."""
    return [
        *_daemon(pace),
        *_silences(),
        *_sinks(pace),
        *_body(pace),
        *_energy(pace),
        *_service(pace),
        *_ages(pace),
    ]


def _daemon(pace: Pace) -> Iterator[Rule]:
    yield Rule(
        "poller", "PollerDown", "critical",
        'up{job="poller"} == 0', DAEMON.down_for,
        f"`/metrics` does not answer for {_words(DAEMON.down_for)}",
        "The poller does not answer: nothing is collected",
        "systemctl status poller, or docker compose logs poller",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerNotReady", "warning",
        "poller_ready == 0", DAEMON.not_ready_for,
        f"`/readyz` has said no for {_words(DAEMON.not_ready_for)}",
        "The poller says that it is not ready",
        "The reasons are at /readyz, on the page and in `poller status`",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerTasksRestarting", "warning",
        f"increase(poller_task_restarts_total[{pace.span(DAEMON.recent)}]) > {DAEMON.task_restarts:g}", 0,
        f"the same task failed more than {DAEMON.task_restarts:g} times in {_words(DAEMON.recent)}",
        "A part of the poller, {{ $labels.task }}, fails again and again",
        "This is a bug: the log has the traceback",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerDiskLow", "warning",
        f"poller_disk_free_bytes < {DAEMON.disk_free_bytes:.0f}", DAEMON.disk_for,
        f"less than {DAEMON.disk_free_bytes / 1e9:g} GB free beside the journal",
        "Only {{ $value | humanize1024 }}B are left on the disk of the journal",
        "Make room; [journal] keep_free says when the journal begins to let go of its oldest days",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerLoginEnds", "warning",
        f"(poller_login_expiry_timestamp_seconds - time()) / {pace.number(DAY)} < {DAEMON.login_days:g}", 0,
        f"a login ends within {DAEMON.login_days:g} days, or has ended",
        "The login of source {{ $labels.source }} "
        '{{ if gt $value 0.0 }}ends in {{ printf "%.1f" $value }} days{{ else }}has ended{{ end }}',
        "poller login {{ $labels.source }}",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerQuotaNearlySpent", "warning",
        f"poller_quota_remaining_calls / poller_quota_limit_calls < {DAEMON.quota_percent / 100:g}",
        DAEMON.quota_for,
        f"less than {DAEMON.quota_percent:g} % of a day's calls are left: even the reserve is being used up",
        "Source {{ $labels.source }} has {{ $value | humanizePercentage }} of its calls left for today",
        "Another program may use the same account; `poller status` lists what our calls were for",
    )  # fmt: skip


#: Condition → how bad, held how long, when in the docs, what an owner reads, and the mend.
_SILENCES: tuple[tuple[str, Literal["critical", "warning", "info"], float, str, str, str], ...] = (
    (
        "refused", "warning", DAEMON.refused_for, "the maker refuses the login or the account",
        "No fresh data from {{ $labels.source }}: the maker refuses us",
        "`poller status` has the maker's words; most often `poller login {{ $labels.source }}` mends it",
    ),
    (
        "no_network", "warning", DAEMON.no_network_for, "nobody can be reached",
        "No fresh data from {{ $labels.source }}: the network is down, or the maker's servers are",
        "Look at this machine's network; if it is well, wait: nothing has to be done here",
    ),
    (
        "budget_spent", "info", DAEMON.budget_spent_for, "the day's calls are used up",
        "Less fresh data from {{ $labels.source }}: the calls of the day are used up",
        "Nothing has to be done; `poller status` says when it goes on",
    ),
    (
        "stream_down", "warning", DAEMON.stream_down_for, "the stream is not connected",
        "Less fresh data from {{ $labels.source }}: its stream is down",
        "`poller status` says why; if another program uses the account's one connection, stop one of them",
    ),
)  # fmt: skip


def _silences() -> Iterator[Rule]:
    """No fresh data, with its cause. That a car is quiet is no fault: CarSilent tells it, much later."""
    for condition, severity, lasts, when, summary, mend in _SILENCES:
        yield Rule(
            "poller", "PollerNoFreshData", severity,
            f'max by (source, condition) (poller_source_silent{{condition="{condition}"}}) == 1', lasts,
            f"{when}, for {_words(lasts)} (`{condition}`)",
            summary, mend,
            (("condition", condition),),
        )  # fmt: skip


def _sinks(pace: Pace) -> Iterator[Rule]:
    recent = pace.span(DAEMON.recent)
    yield Rule(
        "poller", "PollerSinkStuck", "warning",
        f"time() - poller_sink_oldest_record_timestamp_seconds > {pace.number(DAEMON.sink_backlog_age)}"
        " and poller_sink_backlog_records > 0",
        DAEMON.sink_backlog_for,
        f"a record has waited for a sink for {_words(DAEMON.sink_backlog_age)}",
        "Sink {{ $labels.sink }} has not taken a record for {{ $value | humanizeDuration }}",
        "Nothing is lost while the journal has room; `poller status` names the reason",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerDeadLetters", "warning",
        f"increase(poller_records_rejected_total[{recent}]) > 0", 0,
        "a sink refused records: they are set aside as dead letters",
        "Sink {{ $labels.sink }} refused records; they are set aside",
        "`poller dead-letters list` says why, then retry or drop",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerAnswersNotUnderstood", "warning",
        f"increase(poller_answers_quarantined_total[{recent}]) > 0", 0,
        "answers could not be parsed; they are kept",
        "The maker sent answers that could not be understood; they are kept",
        "poller dead-letters list; after an update, retry",
    )  # fmt: skip
    yield Rule(
        "poller", "PollerRecordsDropped", "critical",
        f"increase(poller_records_dropped_total[{recent}]) > 0", 0,
        "the journal was full and a sink never had the records",
        "The journal was full: records that {{ $labels.sink }} never had are gone",
        "Mend the sink; raise [journal] max_size or make room on the disk",
    )  # fmt: skip


def _driving(pace: Pace) -> str:
    """Cars on the road; most do not say so, but their odometers do."""
    still = pace.span(CAR.parked_after)
    return f"({metric('moving')} == 1 or changes({metric('odometer_km')}[{still}]) > 0)"


def _open_things(pace: Pace) -> str:
    things = f"{{{openings()}}} == 1"
    named = f'label_replace({things}, "part", "$1", "__name__", "vehicle_(.+)_open")'
    return f"max by (vehicle, part, position) ({named}) unless on (vehicle) {_driving(pace)}"


def _plain(word: str) -> str:
    """The template that writes a token as words."""
    return f'{{{{ {word} | reReplaceAll "_" " " }}}}'


_PART = f"{_plain('$labels.part')}{{{{ with $labels.position }}}} {_plain('.')}{{{{ end }}}}"


def _body(pace: Pace) -> Iterator[Rule]:
    locked = f"on (vehicle) ({metric('locked')} == 1)"
    what = "window, sunroof, door, hood, trunk or top is open"
    yield Rule(
        "cars", "CarOpen", "warning",
        f"{_open_things(pace)} unless {locked}", CAR.open_for,
        f"a {what} while the car is parked, for {_words(CAR.open_for)}",
        "{{ $labels.vehicle }} is parked, and its " + _PART + " is open",
        "Close it, or look after the car",
        (("locked", "no"),),
    )  # fmt: skip
    yield Rule(
        "cars", "CarOpen", "warning",
        f"{_open_things(pace)} and {locked}", CAR.open_locked_for,
        f"a {what} although the car is locked, for {_words(CAR.open_locked_for)}",
        "{{ $labels.vehicle }} is locked, and its " + _PART + " is open",
        "Close it: whoever locked the car has walked away",
        (("locked", "yes"),),
    )  # fmt: skip
    yield Rule(
        "cars", "CarUnlocked", "warning",
        f"max by (vehicle) ({metric('locked')} == 0) unless on (vehicle) {_driving(pace)}", CAR.unlocked_for,
        f"parked and not locked for {_words(CAR.unlocked_for)}",
        "{{ $labels.vehicle }} is parked and not locked",
        "Lock it",
    )  # fmt: skip
    pressure, target = metric("tire_pressure_kpa"), metric("tire_pressure_target_kpa")
    yield Rule(
        "cars", "CarTirePressureLow", "warning",
        f"max by (vehicle, position) ({pressure} / {target}) < {CAR.tire_pressure_percent / 100:g}",
        CAR.tire_pressure_for,
        f"a tyre has less than {CAR.tire_pressure_percent:g} % of its target pressure",
        "{{ $labels.vehicle }}: the " + _plain("$labels.position") + " tyre has "
        "{{ $value | humanizePercentage }} of the pressure it should have",
        "Pump it up, and look for a leak if it comes back",
    )  # fmt: skip
    yield Rule(
        "cars", "CarTirePressureHigh", "info",
        f"max by (vehicle, position) ({pressure} / {target}) > {CAR.tire_pressure_high_percent / 100:g}",
        CAR.tire_pressure_for,
        f"a tyre has more than {CAR.tire_pressure_high_percent:g} % of its target pressure",
        "{{ $labels.vehicle }}: the " + _plain("$labels.position") + " tyre has "
        "{{ $value | humanizePercentage }} of the pressure it should have",
        "Let some air out, once the tyres are cold",
    )  # fmt: skip


def _energy(pace: Pace) -> Iterator[Rule]:
    low = based("soc_percent", CAR.soc_percent)
    yield Rule(
        "cars", "CarChargeLow", "warning",
        f"max by (vehicle) ({metric('soc_percent')}) < {low}"
        f" unless on (vehicle) ({metric('plugged')} == 1 or {_driving(pace)[1:-1]})",
        CAR.soc_for,
        f"parked below {CAR.soc_percent:g} % and not plugged in, for {_words(CAR.soc_for)}",
        "{{ $labels.vehicle }} is at {{ $value | humanizePercentage }} and not plugged in",
        "Plug it in",
    )  # fmt: skip
    yield Rule(
        "cars", "CarAuxBatteryLow", "warning",
        f"max by (vehicle) ({metric('aux_battery_volts')}) < {CAR.aux_battery_volts:g}", CAR.aux_battery_for,
        f"the 12 V battery has been below {CAR.aux_battery_volts:g} V for {_words(CAR.aux_battery_for)}",
        '{{ $labels.vehicle }}: the 12 V battery has {{ printf "%.1f" $value }} V',
        "Drive for an hour, or charge it",
    )  # fmt: skip


def _service(pace: Pace) -> Iterator[Rule]:
    name = _plain("$labels.service")
    days = f"(min by (vehicle, service) ({metric('service_due_at')}) - time()) / {pace.number(DAY)}"
    km = f"min by (vehicle, service) ({metric('service_due_km')}) / {BY_KEY['service_due_km'].factor:g}"
    stages: tuple[tuple[Literal["info", "warning"], int], ...] = (("info", 0), ("warning", 1))
    for severity, stage in stages:
        for by, left, limits, unit in (
            ("date", days, CAR.service_days, "days"),
            ("distance", km, CAR.service_km, "km"),
        ):
            most, least = (*limits, 0.0)[stage : stage + 2]
            yield Rule(
                "cars", "CarServiceDue", severity,
                f"{left} <= {most:g} > {least:g}", CAR.service_for,
                f"a service is due within {most:,g} {unit}",
                f'{{{{ $labels.vehicle }}}} needs a service in {{{{ printf "%.0f" $value }}}} {unit}: {name}',
                "Make an appointment",
                (("by", by),),
            )  # fmt: skip
    state = metric("service_state")
    yield Rule(
        "cars", "CarServiceOverdue", "warning",
        f'max by (vehicle, service) ({state}{{{state}="overdue"}} == 1) or {days} <= 0 or {km} <= 0',
        CAR.service_for,
        "the car says overdue, or date or distance have passed",
        "{{ $labels.vehicle }}: a service is overdue: " + name,
        "Make an appointment",
    )  # fmt: skip
    message = metric("check_control")
    words = _plain("$labels.message")
    levels: tuple[tuple[Literal["info", "warning"], str], ...] = (
        ("info", "low|medium|unknown"),
        ("warning", "high|critical"),
    )
    for severity, level in levels:
        yield Rule(
            "cars", "CarMessage", severity,
            f'max by (vehicle, message, {message}) ({message}{{{message}=~"{level}"}} == 1)', CAR.message_for,
            f"the car shows a check-control message of severity {level.replace('|', ', ')}",
            "{{ $labels.vehicle }} says: " + words + " ({{ $labels." + message + " }})",
            "The car's own display and handbook say what it means",
        )  # fmt: skip


def _ages(pace: Pace) -> Iterator[Rule]:
    success = "vehicle_last_success_timestamp_seconds"
    late = f"time() - {success} - on (instance, source) group_left () poller_source_allowed_age_seconds"
    yield Rule(
        "cars", "CarNotAnswering", "warning",
        f"time() - max by (vehicle) ({success}) and on (vehicle) (min by (vehicle) ({late}) > 0)",
        DAEMON.not_answering_for,
        "no source has had an answer about the car for longer than three of its intervals",
        "No answer about {{ $labels.vehicle }} for {{ $value | humanizeDuration }}",
        "`poller status` names the reason",
    )  # fmt: skip
    yield Rule(
        "cars", "CarSilent", "info",
        f"time() - max by (vehicle) (vehicle_report_timestamp_seconds) > {pace.number(CAR.quiet_for)}", 0,
        f"the car itself has reported nothing for {_words(CAR.quiet_for)}",
        "{{ $labels.vehicle }} itself has reported nothing for {{ $value | humanizeDuration }}",
        "Its modem sleeps or has no reception: drive it, or open the maker's app",
    )  # fmt: skip


def text(pace: Pace = NORMAL) -> str:
    """The rules file."""
    return _HEAD + "".join(
        _group(name, list(found), pace) for name, found in groupby(rules(pace), lambda r: r.group)
    )


def _group(name: str, found: list[Rule], pace: Pace) -> str:
    return f"  - name: {name}\n    rules:\n" + "\n".join(_rule(rule, pace) for rule in found) + "\n"


def _rule(rule: Rule, pace: Pace) -> str:
    labels = ", ".join(
        f"{name}: {_quoted(value)}" for name, value in (("severity", rule.severity), *rule.labels)
    )
    lines = [f"      - alert: {rule.alert}", "        expr: >-", f"          {rule.expr}"]
    lines += [f"        for: {pace.span(rule.lasts)}"] if rule.lasts else []
    lines += [f"        labels: {{{labels}}}", "        annotations:"]
    lines += [f"          summary: {json.dumps(rule.summary)}", f"          mend: {json.dumps(rule.mend)}"]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    # YAML reads a bare yes or no as a boolean.
    return json.dumps(value) if value in ("yes", "no") else value


def _words(seconds: float) -> str:
    for size, word in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds % size == 0:
            count = seconds / size
            return f"{count:g} {word}s" if count != 1 else f"{'an' if word == 'hour' else 'a'} {word}"
    return f"{seconds:g} seconds"


def table() -> str:
    """The table in the docs: one line a rule, the alert's name in the first."""
    lines = ["| alert | severity | when |", "|---|---|---|"]
    lines += [f"| `{rule.alert}` | {rule.severity} | {rule.when} |" for rule in rules()]
    return "\n".join(lines)


def page(old: str) -> str:
    """The docs page with today's table between its marks. ValueError: it has no marks."""
    new, count = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{table()}\n{END}", old, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{PAGE.name} has no place for the table")
    return new


if __name__ == "__main__":
    RULES.write_text(text(), encoding="utf-8")
    GRAFANA.write_text(grafana_rules.text(rules(), NORMAL), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{RULES.name}: {len(rules())} rules")
