"""A car that is told something from afar: whether it can do it as it stands, and what it does."""

from __future__ import annotations

from poller.simulator.life import cabin, charging, closing
from poller.simulator.life.living import Living
from poller.simulator.life.state import Moment, Task
from poller.simulator.life.wishes import Command

#: Seconds for which a cabin is kept.
_CLIMATE = 1800


def objection(moment: Moment, command: Command) -> str:
    """Why a car that stands so does not obey; "" if it does."""
    if moment.driving:
        return "The vehicle is being driven."
    match command.verb:
        case "lock" if any(what.startswith("door.") for what in moment.open):
            return "A door is open."
        case "charge_start" | "charge_stop" if moment.plug is None:
            return "The vehicle is not plugged in."
    return ""


def obey(life: Living, command: Command) -> None:
    """Does it now, on a stand; what goes without saying is left as it is."""
    state = life.state
    match command.verb:
        case "lock":
            closing.lock(life)
        case "unlock":
            state.locked = False
        case "climate_start":
            cabin.keep(life, state.at + _CLIMATE)
            life.intend(Task(state.at + _CLIMATE, "end_climate"))
        case "climate_stop":
            cabin.stop(life)
        case "charge_start":
            charging.resume(life)
        case "charge_stop":
            charging.pause(life)
        case "set":
            charging.adjust(life, command.wishes)
