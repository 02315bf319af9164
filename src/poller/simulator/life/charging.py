"""A cable between car and charger: when energy flows, how much, and what it came to in the end."""

from __future__ import annotations

import math

from poller.simulator.life import energy
from poller.simulator.life.diary import local_midnight
from poller.simulator.life.living import Living
from poller.simulator.life.spec import Battery, Charger
from poller.simulator.life.state import Plug
from poller.simulator.life.timeline import DAY, time_at
from poller.simulator.life.truth import Charge
from poller.simulator.life.wishes import Wishes

_NEVER = 2**40
_ENOUGH = 1e-6  # kWh


def plug_in(
    life: Living, charger: Charger, until_percent: float, window: tuple[float, float] | None = None
) -> None:
    """Connects the cable now; energy flows up to a percentage, within a window of local hours if given."""
    state = life.state
    state.plug = Plug(charger, state.place, state.at, until_percent, window, state.soc)
    decide(life)
    life.note()


def decide(life: Living) -> None:
    """Whether energy flows from this second on, and how fast; what was told to stop stays so."""
    state, plug, battery = life.state, life.state.plug, life.spec.battery
    if plug is None or battery is None or plug.status == "stopped":
        return
    if _missing_kwh(life, plug) <= _ENOUGH:
        state.plug = plug._replace(status="done", kilowatts=0.0)
    elif plug.window is not None and not _is_open(life, plug.window):
        state.plug = plug._replace(status="waiting", kilowatts=0.0)
    else:
        charger = plug.charger.limited(state.wishes.amperes)
        power = energy.charging_kilowatts(battery, charger, state.soc, life.celsius())
        since = state.at if plug.flowed_from is None else plug.flowed_from
        state.plug = plug._replace(status="charging", kilowatts=power, flowed_from=since)


def resume(life: Living) -> None:
    """Lets energy flow on this cable, whatever its window says."""
    if life.state.plug is not None:
        life.state.plug = life.state.plug._replace(window=None, status="waiting")
        decide(life)


def pause(life: Living) -> None:
    """Lets none flow until it is resumed or plugged in anew."""
    plug = life.state.plug
    if plug is not None and plug.status != "done":
        life.state.plug = plug._replace(status="stopped", kilowatts=0.0)


def adjust(life: Living, wishes: Wishes) -> None:
    """Settings from now on, on this cable too: the target on alternating current, the window at home."""
    state = life.state
    state.wishes = state.wishes.changed(wishes)
    if wishes.target_percent is not None:
        state.target_percent = wishes.target_percent
    plug = state.plug
    if plug is not None and wishes.target_percent is not None and plug.charger.phases:
        plug = plug._replace(until_percent=wishes.target_percent)
    if plug is not None and wishes.plan is not None and plug.place == "home":
        plug = plug._replace(window=wishes.plan.hours)
    state.plug = plug
    decide(life)


def next_change(life: Living, plug: Plug) -> int:
    """The second at which to `decide` again, if nobody pulls the cable before."""
    if plug.status in ("done", "stopped"):
        return _NEVER
    edge = _NEVER if plug.window is None else life.state.at + _until_edge(life, plug.window)
    if plug.status == "waiting":
        return edge
    soc, capacity = life.state.soc, life.state.capacity_kwh
    ahead = (min(energy.band_end(plug.charger, soc), plug.until_percent) - soc) / 100 * capacity
    return min(edge, life.state.at + max(1, math.ceil(3600 * ahead / plug.kilowatts)))


def flow(life: Living, plug: Plug, seconds: int) -> None:
    """Energy into the battery for so long at the power decided on."""
    stored = min(plug.kilowatts * seconds / 3600, _missing_kwh(life, plug))
    life.state.energy_kwh += stored
    life.state.plug = plug._replace(
        battery_kwh=plug.battery_kwh + stored,
        wall_kwh=plug.wall_kwh + stored / energy.efficiency(plug.charger),
        flowed_until=life.state.at + seconds,
    )


def unplug(life: Living) -> None:
    """Pulls the cable now and writes the charge down."""
    state, plug = life.state, life.state.plug
    if plug is None:
        return
    life.records.append(
        Charge(
            start=time_at(plug.since),
            end=time_at(state.at),
            place=plug.place,
            current=plug.charger.current,
            phases=_phases(life.spec.battery, plug.charger),
            flowed_from=None if plug.flowed_from is None else time_at(plug.flowed_from),
            flowed_until=None if plug.flowed_until is None else time_at(plug.flowed_until),
            wall_kwh=plug.wall_kwh,
            battery_kwh=plug.battery_kwh,
            soc_before=plug.soc_before,
            soc_after=state.soc,
        )
    )
    state.plug = None


def _missing_kwh(life: Living, plug: Plug) -> float:
    return max(0.0, plug.until_percent / 100 * life.state.capacity_kwh - life.state.energy_kwh)


def _phases(battery: Battery | None, charger: Charger) -> int:
    return min(charger.phases, battery.ac_phases) if battery else 0


def _is_open(life: Living, window: tuple[float, float]) -> bool:
    opens, closes = (hour * 3600 for hour in window)
    now = _local_second(life)
    return opens <= now < closes if opens < closes else now >= opens or now < closes


def _until_edge(life: Living, window: tuple[float, float]) -> int:
    """Seconds until the window opens or closes."""
    now = _local_second(life)
    return min(round(hour * 3600 - now - 1) % DAY + 1 for hour in window)


def _local_second(life: Living) -> int:
    return (life.state.at - local_midnight(life.spec.habits.zone, life.day)) % DAY
