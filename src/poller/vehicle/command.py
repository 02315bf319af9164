"""What an owner orders a car to do, what came of it, and the record that tells of both.

An order is journalled before it is sent and amended once its outcome is known, so that a crash
between the two leaves a trace. Where a car is sent to, or was found, is in no such record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from poller.vehicle.records import Record, record_id, rfc3339

Service = Literal[
    "light_flash",
    "horn",
    "lock",
    "unlock",
    "climate_start",
    "climate_stop",
    "vehicle_finder",
    "charge_start",
    "charge_stop",
    "charging_settings",
    "charging_profile",
    "send_poi",
    "call",
]


class CommandState(StrEnum):
    """How far an order got: our own words first, then the maker's."""

    ORDERED = "ordered"  # journalled, about to be sent
    REFUSED = "refused"  # by us or by the maker, before any car heard of it
    TIMED_OUT = "timed_out"  # sent, and nothing final was said in time
    INITIATED = "initiated"
    PENDING = "pending"
    DELIVERED = "delivered"
    EXECUTED = "executed"
    ERROR = "error"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


#: The ends with which an owner may be content: it was done, or there was nothing to do.
GOOD: Final = frozenset({CommandState.EXECUTED, CommandState.IGNORED})
#: Seconds after the end of an order until the maker tells of what the car did, as its app waits.
SETTLED_AFTER: Final = 7.0


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to do. `arguments` are JSON-ready; which ones, says the service (`sources.remote`)."""

    vin: str = field(repr=False)
    service: Service
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Where the vehicle finder saw the car: WGS-84 degrees, heading 0–359, the maker's address text."""

    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    heading: int | None = None
    address: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order.

    `reason`: one sentence in plain words wherever `state` is not EXECUTED; beside that, a remark.
    TIMED_OUT and UNKNOWN: it was sent, and may or may not have been done. `stale` says that the car's
    state has probably changed, so that it is worth asking anew, `SETTLED_AFTER` from then.
    """

    state: CommandState
    reason: str = ""
    event_id: str = ""
    found: Found | None = None
    stale: bool = False


#: Arguments that say nothing of places or people, and so may stand in a record.
_TOLD: Final = frozenset({"target_soc", "ac_limit", "charging_mode", "precondition_climate", "path"})
#: In a path: the account's number.
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: What looks as VINs do; also another car's, by mistake.
_VIN: Final = re.compile(r"(?<![a-z0-9])(?=[a-z]*\d)[a-hj-npr-z0-9]{17}(?![a-z0-9])", re.IGNORECASE)


def _told(value: Any, vin: str) -> Any:
    """A path may name the vehicle and its owner; a record is read by those who may know neither."""
    if not isinstance(value, str):
        return value
    value = re.sub(re.escape(vin), "{vin}", value, flags=re.IGNORECASE)
    return _UUID.sub("{gcid}", _VIN.sub("…", value))


def command_record(
    order: Order, source: str, ordered_at: datetime, *, outcome: Outcome | None = None, at: datetime
) -> Record:
    """The record of an order (`outcome` None: before it is sent), written at `at`."""
    body: dict[str, Any] = {
        "service": order.service,
        "state": str(CommandState.ORDERED if outcome is None else outcome.state),
        "ordered_at": rfc3339(ordered_at),
        "arguments": {n: _told(value, order.vin) for n, value in order.arguments.items() if n in _TOLD},
    }
    if outcome is not None:
        body["ended_at"] = rfc3339(at)
        if outcome.reason:
            body["reason"] = outcome.reason
    return Record(
        id=record_id("command", source, order.vin, order.service, rfc3339(ordered_at)),
        kind="command",
        vin=order.vin,
        source=source,
        received_at=at,
        observed_at=None,
        body=body,
        revision=1 if outcome is None else 2,
    )
