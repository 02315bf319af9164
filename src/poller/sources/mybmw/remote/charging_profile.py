"""When a car charges: its whole present profile with a change or two, for nothing may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, Final

from poller.errors import ArgumentRefused, CommandRefused
from poller.sources.mybmw.remote.arguments import Arguments
from poller.sources.mybmw.remote.car import Json, part

#: The state's word → the one that is sent; any other word is NO_ACTION.
_MODES: Final[Mapping[str, str]] = {
    "IMMEDIATE_CHARGING": "CHARGING_IMMEDIATELY",
    "DELAYED_CHARGING": "TIME_SLOT",
    "NO_ACTION": "NO_ACTION",
}
#: A mode that is asked for → the preference that goes with it; with NO_ACTION the car keeps its own.
_PREFERENCES: Final[Mapping[str, str]] = {
    "IMMEDIATE_CHARGING": "NO_PRESELECTION",
    "DELAYED_CHARGING": "CHARGING_WINDOW",
}
_TIMERS: Final[Mapping[str, str]] = {
    "WEEKLY_PLANNER": "WEEKLY_DEPARTURE_TIMER",
    "TWO_TIMES_TIMER": "TWO_DEPARTURE_TIMER",
}


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """What is to be changed; None leaves it as it is. `mode`: one of the three words."""

    mode: str | None
    precondition_climate: bool | None

    @classmethod
    def read(cls, given: Json) -> ChargingProfile:
        """Raises ArgumentRefused."""
        arguments = Arguments(given, "charging_mode", "precondition_climate")
        arguments.any_of("charging_mode", "precondition_climate")
        mode = arguments.text("charging_mode")
        if mode is not None and mode.upper() not in _MODES:
            raise ArgumentRefused("charging_mode is none of " + ", ".join(_MODES))
        return cls(mode.upper() if mode else None, arguments.flag("precondition_climate"))

    def body(self, present: Json, service_pack: Any) -> dict[str, Any]:
        """The profile as BMW wants it: `present` as the state has it, changed.

        Raises CommandRefused if there is anything in `present` that would get lost.
        """
        mode = self.mode or _word(present, "chargingMode")
        preference = _PREFERENCES.get(self.mode or "") or _word(present, "chargingPreference")
        timer = _word(present, "chargingControlType")
        if timer not in _TIMERS:
            raise _unreadable("chargingControlType")
        window = part(present, "reductionOfChargeCurrent")
        climate = self.precondition_climate
        return {
            "chargingMode": {
                "chargingPreference": preference,
                "endTimeSlot": _time(window, "end"),
                "startTimeSlot": _time(window, "start"),
                "type": _MODES.get(mode, "NO_ACTION"),
                "timerChange": "NO_CHANGE",
            },
            "departureTimer": {"type": _TIMERS[timer], "weeklyTimers": _timers(present)},
            "isPreconditionForDepartureActive": (
                present.get("climatisationOn") is True if climate is None else climate
            ),
            "servicePack": service_pack,
        }


def _timers(present: Json) -> list[dict[str, Any]]:
    timers = present.get("departureTimes", [])
    if not (isinstance(timers, list) and all(isinstance(timer, dict) for timer in timers)):
        raise _unreadable("departureTimes")
    return [
        {
            "daysOfTheWeek": timer.get("timerWeekDays", []),
            "id": timer.get("id"),
            "time": _time(timer, "timeStamp"),
            "timerAction": timer.get("action"),
        }
        for timer in timers
    ]


def _time(whole: Json, name: str) -> str:
    """``{"hour": 18, "minute": 1}`` → ``0001-01-01T18:01:00.000``; midnight if there is none."""
    told = part(whole, name)
    try:
        moment = time(int(told["hour"]), int(told["minute"])) if told else time()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _unreadable(name) from None
    return f"0001-01-01T{moment:%H:%M}:00.000"


def _word(present: Json, name: str) -> str:
    word = present.get(name, "UNKNOWN")
    if not isinstance(word, str):
        raise _unreadable(name)
    return word.upper()


def _unreadable(name: str) -> CommandRefused:
    return CommandRefused(
        f"this car was not told: its present charging profile was not understood ({name}), and would be lost",
        hint="change it in BMW's own app",
    )
