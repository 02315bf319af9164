"""When something is worth telling: one table for Prometheus' rules, Axiom's monitors and our own alerts.

Every number stands here once, in the unit of the record (`signals`), durations in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class CarThresholds:
    """About one car. What is named ``…_for`` must be true for so long before it is told.

    A car is parked if it does not say that it moves and its odometer has stood still for `parked_after`.
    """

    parked_after: float = 10 * MINUTE
    open_for: float = 10 * MINUTE
    #: Locked with something open: somebody has walked away.
    open_locked_for: float = 2 * MINUTE
    unlocked_for: float = 15 * MINUTE
    soc_percent: float = 15
    soc_for: float = 30 * MINUTE
    #: Of the target: a tyre that cools down overnight loses some 5 %.
    tire_pressure_percent: float = 85
    #: Likewise: one that is warm from the motorway has some 20 % more.
    tire_pressure_high_percent: float = 130
    tire_pressure_for: float = 30 * MINUTE
    #: The first stage is a note, the second a warning.
    service_days: tuple[float, float] = (30, 7)
    service_km: tuple[float, float] = (1500, 300)
    service_for: float = HOUR
    message_for: float = 15 * MINUTE
    #: At rest: a lead battery with a quarter of its charge.
    aux_battery_volts: float = 12.0
    aux_battery_for: float = HOUR
    #: Without any report of its own.
    quiet_for: float = 2 * DAY


@dataclass(frozen=True, slots=True)
class DaemonThresholds:
    """About the poller itself. `recent`: how far back a count of things that happened once reaches."""

    down_for: float = 5 * MINUTE
    not_ready_for: float = 15 * MINUTE
    #: A human must act: soon. What may pass by itself: later.
    refused_for: float = 5 * MINUTE
    no_network_for: float = 30 * MINUTE
    stream_down_for: float = 30 * MINUTE
    budget_spent_for: float = 30 * MINUTE
    #: On top of the age that a source is allowed, which follows from its interval.
    not_answering_for: float = 5 * MINUTE
    #: How old the oldest record is that waits for a sink.
    sink_backlog_age: float = HOUR
    sink_backlog_for: float = 10 * MINUTE
    recent: float = HOUR
    task_restarts: float = 3
    #: Of a day's calls; routine polls leave the reserve alone, so this is below it.
    quota_percent: float = 10
    quota_for: float = 10 * MINUTE
    #: Ten daily refreshes have failed by then; a weekend is not all that is left.
    login_days: float = 4
    disk_free_bytes: float = 1e9
    disk_for: float = 10 * MINUTE


@dataclass(frozen=True, slots=True)
class TellingThresholds:
    """What only our own alerts have: how they clear, remind, and believe.

    What is named ``…_clear`` ends an alert that its namesake began: in between nothing changes.
    """

    #: A reading older than this raises nothing new, and reminds of nothing.
    believed_for: float = 12 * HOUR
    #: A snapshot that comes by so much too late is passed over; by more, and the clock was set back.
    late: float = 15 * MINUTE
    reminders: tuple[float, ...] = (HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
    #: When those are used up.
    reminder_at_last: float = DAY
    soc_clear: float = 5  # percent points above
    tire_pressure_clear_percent: float = 5  # of the target, beyond
    tire_flat_percent: float = 65
    service_km_clear: float = 100
    aux_battery_clear_volts: float = 0.3
    charging_interrupted_for: float = 10 * MINUTE
    not_charging_for: float = 30 * MINUTE
    #: Where the car does not say up to where it charges.
    soc_target_percent: float = 80
    home_radius_m: float = 200
    #: A week of quiet parking is no news.
    car_quiet_for: float = 10 * DAY
    #: Two good polls: one alone may be luck.
    fresh_again_for: float = 10 * MINUTE
    quota_clear_percent: float = 5
    disk_clear: float = 1.2
    #: What is gone leaves no file that could be cleared away.
    journal_vanished_for: float = 7 * DAY
    heartbeat_every: float = 5 * MINUTE


CAR: Final = CarThresholds()
DAEMON: Final = DaemonThresholds()
TELLING: Final = TellingThresholds()
