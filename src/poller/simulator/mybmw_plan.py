"""A charging plan in the words of BMW's app cloud: those of a state, and those of the charging settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from poller.simulator.life.wishes import Plan

#: Our mode → as it stands in a state, and in the charging settings.
MODES: Final = {
    "immediate": ("IMMEDIATE_CHARGING", "CHARGING_IMMEDIATELY"),
    "delayed": ("DELAYED_CHARGING", "TIME_SLOT"),
    "none": ("NO_ACTION", "NO_ACTION"),
}
#: Whether by window.
PREFERENCES: Final = {False: "NO_PRESELECTION", True: "CHARGING_WINDOW"}
#: Whether by weekday → as it stands in a state, and in the charging settings.
TIMERS: Final = {
    True: ("WEEKLY_PLANNER", "WEEKLY_DEPARTURE_TIMER"),
    False: ("TWO_TIMES_TIMER", "TWO_DEPARTURE_TIMER"),
}
#: Whether active.
ACTIONS: Final = {True: "ACTIVATE", False: "DEACTIVATE"}


def in_state(plan: Plan, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The ``chargingProfile`` of a state; `fixed`: what the plan says nothing of."""
    profile = {
        **fixed,
        "chargingMode": MODES[plan.mode][0],
        "chargingPreference": PREFERENCES[plan.by_window],
        "chargingControlType": TIMERS[plan.weekly][0],
        "climatisationOn": plan.precondition,
        "departureTimes": [
            {
                "action": ACTIONS[timer.active],
                "id": timer.number,
                "timerWeekDays": [day.upper() for day in timer.days],
                **({} if timer.minute is None else {"timeStamp": _face(timer.minute)}),
            }
            for timer in plan.timers
        ],
    }
    profile.pop("reductionOfChargeCurrent", None)
    if plan.window is not None:
        start, end = plan.window
        profile["reductionOfChargeCurrent"] = {"start": _face(start), "end": _face(end)}
    return profile


def in_settings(plan: Plan) -> dict[str, Any]:
    """The ``chargeAndClimateTimerDetail`` of the charging settings."""
    start, end = plan.window or (0, 0)
    return {
        "chargingMode": {
            "chargingPreference": PREFERENCES[plan.by_window],
            "endTimeSlot": _slot(end),
            "startTimeSlot": _slot(start),
            "type": MODES[plan.mode][1],
        },
        "departureTimer": {
            "type": TIMERS[plan.weekly][1],
            "weeklyTimers": [
                {
                    "daysOfTheWeek": [day.upper() for day in timer.days],
                    "id": timer.number,
                    "time": _slot(timer.minute or 0),
                    "timerAction": ACTIONS[timer.active],
                }
                for timer in plan.timers
            ],
        },
        "isPreconditionForDepartureActive": plan.precondition,
    }


def _face(minute: int) -> dict[str, int]:
    hour, rest = divmod(minute, 60)
    return {"hour": hour, "minute": rest}


def _slot(minute: int) -> str:
    hour, rest = divmod(minute, 60)
    return f"0001-01-01T{hour:02}:{rest:02}:00"
