"""Write docs/signals.md from the catalogue (`make docs`); a test holds the page fresh."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from poller.vehicle.signals import CLOSED_DIMENSIONS, GROUPS, POSITIONS, SIGNALS, Kind, Signal

PAGE = Path(__file__).resolve().parents[1] / "docs" / "signals.md"

_HEAD = """\
# Signals

<!-- Written by `make docs` from src/poller/vehicle/signals.py; not by hand. -->

Every measured thing has one name, one unit and one type, whichever source it comes from. The **key**
stands in [records](records.md), in files and at HTTP sinks; the **metric** at `/metrics`, in Prometheus' base
units (meters, seconds, ratios from 0 to 1, …), every series with the label `vehicle`.

- A signal with a dimension is written `key.dimension` in records (`door_open.front_left`) and has a label in
  the metric (`vehicle_door_open{position="front_left"}`). Positions: POSITIONS.
  Services and messages: the vendor's word in lower case (`brake_fluid`, `tire_pressure`).
- **Absent is absent**: what the car did not say is left out; no null, no 0 and no empty text stands for it.
- Times are RFC 3339 in UTC in records, Unix seconds in metrics. Booleans are true or false, 1 or 0.
- An enumeration is a lower-case word in records and a state set in metrics: one series per state, exactly one
  of them 1, the state in a label named like the metric. A word of the vendor that we do not know becomes
  `unknown` and is counted in `poller_unknown_tokens_total`.
- A number outside its bounds is treated as absent.
- **private**: position; it leaves only where the sink's `location` allows.
"""


def page() -> str:
    """The whole page."""
    positions = ", ".join(f"`{word}`" for word in sorted(CLOSED_DIMENSIONS["position"], key=_as_driven))
    return "\n".join([_HEAD.replace("POSITIONS", positions), *_sections()]) + "\n"


def _as_driven(position: str) -> int:
    return POSITIONS.index(position) if position in POSITIONS else len(POSITIONS)


def _sections() -> Iterator[str]:
    for group, signals in groupby(SIGNALS, key=lambda signal: signal.group):
        yield f"## {GROUPS[group]}\n"
        yield "| key | what | type | metric |"
        yield "|---|---|---|---|"
        for signal in signals:
            yield f"| {_key(signal)} | {signal.label} | {_type(signal)} | {_metric(signal)} |"
        yield ""


def _key(signal: Signal) -> str:
    return f"`{signal.key}.{signal.dimension.upper()}`" if signal.dimension else f"`{signal.key}`"


def _type(signal: Signal) -> str:
    match signal.kind:
        case Kind.NUMBER:
            low, high = signal.bounds or (0, 0)
            text = f"{signal.unit}, {low:,.10g} to {high:,.10g}" if signal.bounds else f"{signal.unit}"
        case Kind.ENUM:
            text = ", ".join(signal.states)
        case _:
            text = {Kind.BOOL: "true or false", Kind.TIME: "time", Kind.TEXT: "text"}[signal.kind]
    return text + (", **private**" if signal.private else "")


def _metric(signal: Signal) -> str:
    if signal.kind is Kind.TEXT:
        return f"label `{signal.key}` of `vehicle_info`"
    if signal.metric is None:
        return "–"
    labels = f"{{{signal.dimension}}}" if signal.dimension else ""
    return f"`vehicle_{signal.metric}{labels}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name}: {len(SIGNALS)} signals")
