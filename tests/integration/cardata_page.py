"""What the tests of the page share: a CarData account in each of its five states, as it would stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from poller.runtime.status import (
    DaemonStatus,
    Failure,
    JournalStatus,
    QuotaStatus,
    Silence,
    SinkStatus,
    SourceStatus,
    StreamStatus,
)
from poller.testing.daemon import StillDaemon
from poller.vehicle.fleet import Fleet
from poller.vehicle.privacy import Rendering
from poller.vehicle.snapshot import SnapshotBuilder

VIN = "WBA00000000000001"
SHORT = "0000001"

#: Condition → what the source says, and what mends it.
SAID = {
    "refused": (
        "the login lacks the scope cardata:api:read: no REST call is allowed",
        "tick the subscription in the portal",
    ),
    "no_network": ("BMW CarData could not be reached (ConnectError)", "look at this machine's network"),
    "budget_spent": ("the 50 calls that BMW allows in 24 hours are spent", "nothing needs doing"),
    "stream_down": ("another program takes the stream's one connection", "share it: docs/sources/cardata.md"),
    "car_quiet": ("all works, and the car has sent nothing new since 06:12", "nothing needs doing"),
}
#: The state of the source that goes with a condition.
_STATES = {"refused": "login_required", "no_network": "backing_off"}


def account(condition: str | None, now: datetime) -> DaemonStatus:
    """How a daemon stands with one CarData source; None: all is well."""
    silences = []
    failure = None
    if condition is not None:
        message, hint = SAID[condition]
        whose = SHORT if condition == "car_quiet" else ""
        silences = [Silence(condition, message, hint, now - timedelta(hours=8), whose)]
        if condition in _STATES:
            failure = Failure(now - timedelta(minutes=1), condition, message, hint)
    streaming = condition in (None, "budget_spent", "car_quiet")
    heard = timedelta(hours=8) if condition == "car_quiet" else timedelta(minutes=12)
    spent = condition == "budget_spent"
    source = SourceStatus(
        name="home",
        kind="cardata",
        state=_STATES.get(condition, "ok"),
        allowed_age=900,
        vehicles=["i4"],
        last_success_at=now - timedelta(minutes=40 if condition == "no_network" else 2),
        next_poll_at=now + timedelta(minutes=3),
        failure=failure,
        login_expires_at=now + timedelta(days=13, hours=5),
        quota=QuotaStatus(
            50,
            0 if spent else 38,
            10,
            50 if spent else 12,
            8,
            now + timedelta(hours=1, minutes=20),
            {"polling": 6, "set-up": 2, "rest-only": 4},
        ),
        stream=StreamStatus(
            state="connected" if streaming else "kicked" if condition == "stream_down" else "no_network",
            since=now - timedelta(hours=9),
            last_message_at=now - heard,
            retry_at=None if streaming else now + timedelta(minutes=4),
        ),
        silences=silences,
    )
    sink = SinkStatus("files", "json_files", live=False, up=True, last_success_at=now)
    journal = JournalStatus("/data/journal.db", 2**20, 2**31, 2**34, now - timedelta(days=9), now)
    return DaemonStatus("1.2.3", now - timedelta(days=2), now, [source], [sink], journal)


def car(now: datetime) -> Fleet:
    """An electric car whose values are of very different ages."""
    fleet = Fleet()
    builder = SnapshotBuilder("home", VIN, now - timedelta(minutes=2), now - timedelta(minutes=12))
    for name, value, age in (
        ("model", "i4 eDrive40", None),
        ("brand", "bmw", None),
        ("soc_percent", 62, timedelta(minutes=12)),
        ("soc_target_percent", 80, timedelta(days=3)),
        ("range_electric_km", 301, timedelta(minutes=12)),
        ("odometer_km", 45123, timedelta(hours=2)),
        ("locked", True, timedelta(hours=5)),
        ("aux_battery_volts", 12.4, timedelta(days=23)),
        ("service_state.oil", "ok", timedelta(days=16)),
        ("door_open.front_left", False, timedelta(minutes=12)),
        ("door_open.rear_left", False, timedelta(minutes=12)),
        ("window_open.front_left", True, timedelta(days=2)),
        ("tire_pressure_kpa.front_left", 240, timedelta(days=6)),
        ("tire_pressure_kpa.rear_left", 250, timedelta(days=6)),
    ):
        key, _, dimension = name.partition(".")
        builder.put(key, value, dimension=dimension or None, observed_at=None if age is None else now - age)
    fleet.update(builder.build())
    return fleet


def daemon(condition: str | None, **more) -> StillDaemon:
    """A daemon in this state, with the car; `more` as StillDaemon takes it."""
    now = datetime.now(UTC)
    rendering = Rendering({VIN: "i4"}, location="none", vin="short")
    ways = {"home": {"soc_percent": "stream", "locked": "rest", "odometer_km": "stream"}}
    return StillDaemon(account(condition, now), fleet=car(now), rendering=rendering, origins=ways, **more)
