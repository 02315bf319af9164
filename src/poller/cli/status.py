"""``poller status``."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from poller.cli import options
from poller.cli.speaking import reach
from poller.cli.wording import wrapped
from poller.derive.alerts.words import count
from poller.runtime.status import Failure, OrderStatus, QuotaStatus, Silence, StreamStatus
from poller.vehicle.display import ago, since, size, span
from poller.vehicle.records import parse_time
from poller.web.channels import login_refused, quota_lines, silence_title, silence_words, stream_lines
from poller.web.orders import end_words, order_words
from poller.web.readiness import QUARANTINED, VANISHED, all_well, ends_soon, is_said

#: Times to come within this are shown without their day.
_SOON = timedelta(hours=12)


def status(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
    health: Annotated[
        bool, typer.Option("--health", help="Only say whether all is well (exit 0 or 1).")
    ] = False,
) -> int:
    """Show how vehicles, sources and sinks stand."""
    report = reach(config, options.overrides(data_dir), "status")
    reasons: list[str] = list(report["reasons"])
    if health and not report["running"]:
        reasons.insert(0, "no poller is running")
    if as_json:
        typer.echo(json.dumps(report))
    elif health:
        typer.echo("\n".join(reasons) or "ready")
    else:
        typer.echo("\n".join(wrapped(lines(report))))
    # Without a daemon nobody mends it, and what was shown is not all.
    broken = not report["running"] and report["journal"]["failure"] is not None
    return int(bool(reasons) if health else broken)


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report as a person reads it: what is wrong, then the cars, the sinks, the sources."""
    now = parse_time(report["now"])
    wrong = list(_wrong(report, now))
    if not report["running"]:
        yield "No poller is running; this is what its journal knows."
    elif not report["reasons"]:
        yield "Ready, but not everything works:" if wrong else f"{all_well(len(report['alerts']))}."
    yield from (f"! {text}" for text in wrong)
    for alert in report["alerts"]:
        yield f"alert {alert['severity']}: {alert['title']} ({_when(alert['raised_at'], now)})"
    for vehicle in sorted(report["vehicles"], key=lambda one: str(one["vehicle"])):
        yield f"vehicle {vehicle['vehicle']}: {_vehicle(vehicle, now)}"
        yield from _last_order(vehicle["vehicle"], report, now)
    for sink in report["sinks"]:
        yield f"sink {sink['name']} ({sink['kind']}): {_sink(sink, now, running=report['running'])}"
        yield from _trouble(sink, report)
    for source in report["sources"]:
        yield f"source {source['name']} ({source['kind']}): {_source(source, now, running=report['running'])}"
        yield from _channels(source, now)
        yield from _silences(source, report, now)
        yield from _trouble(source, report)
    yield from _journal(report["journal"], now)


def _wrong(report: dict[str, Any], now: datetime) -> Iterator[str]:
    """What is to be read first: what does not work in a running poller, and what its file says in vain."""
    if not report["running"]:
        # Of sources and sinks it is no news that nothing comes.
        yield from (reason for reason in report["reasons"] if reason.startswith(("clock: ", "journal: ")))
    else:
        yield from report["reasons"]
        for kind in ("source", "sink"):
            for station in report[f"{kind}s"]:
                subject, told = f"{kind} {station['name']}", [*_faults(station, now), *_failing(station)]
                yield from (
                    f"{subject}: {'; '.join(filter(None, (text, hint)))}"
                    for message, text, hint in told
                    if not is_said(subject, message, report["reasons"])
                )
    yield from (note for note in report["notes"] if note.startswith("configuration: "))


def _faults(source: dict[str, Any], now: datetime) -> Iterator[tuple[str, str, str | None]]:
    """The silences that are a fault: message, words, mend."""
    for raw in source.get("silences", ()):
        silence: Silence = _read(Silence, raw)
        if silence.condition != "car_quiet":
            yield silence.message, silence_words(silence, now), silence.hint


def _failing(station: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """What fails now at a source or a sink: message, words, mend."""
    failure = station["failure"]
    well = station["up"] is not False if "up" in station else station["state"] in {"ok", "starting"}
    told = [silence["message"] for silence in station.get("silences", ())]
    if not well and failure is not None and failure["message"] not in told:
        yield failure["message"], failure["message"], failure["hint"]


def _last_order(vehicle: str, report: dict[str, Any], now: datetime) -> Iterator[str]:
    """The newest, if any; a daemon that was started before an update tells of none."""
    orders = [raw for raw in report.get("orders", ()) if raw["vehicle"] == vehicle]
    if orders:
        order: OrderStatus = _read(OrderStatus, orders[0])
        yield f"  last order: {order_words(order)}: {end_words(order)[0]}, {ago(order.ordered_at, now)}"


def _vehicle(vehicle: dict[str, Any], now: datetime) -> str:
    parts = [vehicle["model"]] if vehicle.get("model") else []
    parts.append(f"car reported {_when(vehicle.get('observed_at'), now)}")
    return ", ".join(parts)


def _source(source: dict[str, Any], now: datetime, *, running: bool) -> str:
    """How it stands, with the page's words for a source that is asked in vain, and its last and next poll."""
    state = source["state"].replace("_", " ")
    if state == "ok" and source["silences"]:
        state = silence_title(_read(Silence, source["silences"][0]))
    # Where no poller runs, nothing is starting.
    parts = [] if state == "starting" and not running else [state]
    # A stream answers nobody: the last poll has looked at what had come.
    parts.append(
        f"last {'answer' if source['stream'] is None else 'look'} {_when(source['last_success_at'], now)}"
    )
    if source["next_poll_at"]:
        parts.append(f"next poll {_when(source['next_poll_at'], now)}")
    return ", ".join(parts)


def _channels(source: dict[str, Any], now: datetime) -> Iterator[str]:
    """Login, quota and stream, a line each, where the source has them."""
    refused = login_refused(source["state"], [_read(Silence, raw) for raw in source["silences"]])
    if source["login_expires_at"] and refused:
        yield "  login: refused"
    elif source["login_expires_at"]:
        ends = parse_time(source["login_expires_at"])
        renew = f": renew it with `poller login {source['name']}`" if ends_soon(ends, now) else ""
        yield f"  login: good for {span(since(now, ends))}{renew}"
    if source["quota"]:
        quota: QuotaStatus = _read(QuotaStatus, source["quota"])
        yield "  " + "; ".join(f"{label}: {text}" for label, text in quota_lines(quota, now, _clock(now)))
    if source["stream"]:
        stream: StreamStatus = _read(StreamStatus, source["stream"])
        yield "  " + "; ".join(f"{label}: {text}" for label, text in stream_lines(stream, now, _clock(now)))


def _silences(source: dict[str, Any], report: dict[str, Any], now: datetime) -> Iterator[str]:
    """Why there is nothing new, unless it has been said at the top."""
    for raw in source["silences"]:
        silence: Silence = _read(Silence, raw)
        if not report["running"] or silence.condition == "car_quiet":
            yield f"  {silence_words(silence, now)}"
            if silence.hint:
                yield f"    → {silence.hint}"


def _trouble(station: dict[str, Any], report: dict[str, Any]) -> Iterator[str]:
    """What fails at a source or a sink, and the mend, unless it has been said at the top."""
    for _, text, hint in () if report["running"] else _failing(station):
        yield f"  {text}"
        if hint:
            yield f"    → {hint}"


def _sink(sink: dict[str, Any], now: datetime, *, running: bool) -> str:
    if sink["held"]:
        return f"HELD: {sink['held']}; {count(sink['backlog'], 'record')} waiting"
    if sink["live"]:
        return "live"
    text = f"{count(sink['backlog'], 'record')} waiting"
    if sink["last_success_at"]:
        text += f", last delivery {_when(sink['last_success_at'], now)}"
    elif running:
        text += ", nothing delivered since the start"
    return text + (f", {count(sink['dead_letters'], 'dead letter')}" if sink["dead_letters"] else "")


def _journal(journal: dict[str, Any], now: datetime) -> Iterator[str]:
    yield f"journal: {size(journal['size'])}, {size(journal['disk_free'])} free on its disk"
    if journal["quarantined"]:
        answers = count(journal["quarantined"], "answer")
        yield f"  {answers} could not be understood: `poller dead-letters list`"
        yield f"    → {QUARANTINED}"
    for name in journal["set_aside"]:
        file = shlex.quote(str(Path(journal["path"]).with_name(name)))
        yield f"  a damaged one was set aside: `poller salvage {file}`, then delete it"
    if journal.get("vanished_at"):  # a daemon that was started before an update tells nothing of it
        yield f"  the one before vanished under the running poller {_when(journal['vanished_at'], now)}"
        yield f"    → if you have it: {VANISHED}"
    for name, backlog in journal["orphans"]:
        left = f"sink {name} left the configuration with {count(backlog, 'record')}"
        yield f"  {left}: `poller sinks forget {name}`"


def _read(kind: type[Any], raw: dict[str, Any]) -> Any:
    """A part of the status from its JSON."""
    known = {field.name for field in dataclasses.fields(kind)}
    fields = {name: value for name, value in raw.items() if name in known}
    for name, value in fields.items():
        if value is not None and (name.endswith("_at") or name in ("at", "since")):
            fields[name] = parse_time(value)
        elif value is not None and name == "failure":
            fields[name] = _read(Failure, value)
    return kind(**fields)


def _clock(now: datetime) -> Callable[[datetime], str]:
    """Writes moments: a time of day alone would be taken for today's."""

    def write(moment: datetime) -> str:
        return f"{moment.astimezone():{'%H:%M' if abs(moment - now) < _SOON else '%Y-%m-%d %H:%M'}}"

    return write


def _when(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "never"
    then = parse_time(moment)
    if then <= now:
        return ago(then, now)
    # A time of day alone would be taken for today's: a source that is blocked is asked a day later.
    return f"at {then.astimezone():{'%H:%M:%S' if then - now < _SOON else '%Y-%m-%d %H:%M'}}"
