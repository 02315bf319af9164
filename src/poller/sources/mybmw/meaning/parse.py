"""What an answer means: bodies in, a snapshot out, by the table; no I/O and no state."""

from __future__ import annotations

import json
from datetime import tzinfo
from typing import Any

from poller.errors import MalformedAnswer
from poller.sources.base import Answer
from poller.sources.mybmw.finder import found_in
from poller.sources.mybmw.meaning.table import RULES
from poller.sources.mybmw.meaning.values import heading, latitude, longitude
from poller.sources.texts import moment
from poller.vehicle.snapshot import Snapshot, SnapshotBuilder


def parse(answer: Answer, zone: tzinfo, *, china: bool = False) -> Snapshot:
    """The snapshot of one answer; `zone` is where the car's times of day belong.

    `china`: the account is there, and positions are in the coordinates that are used there.

    `observed_at` is the state's ``lastUpdatedAt``, the car's own time; ``lastFetched`` is the
    server's and changes with every poll. A value that makes no sense costs its own signals only.
    Raises MalformedAnswer, and only if there is no state object at all.
    """
    state = _state(answer)
    tree = {
        "state": state,
        "profile": _read(answer, "profile"),
        "charging_settings": _read(answer, "charging_settings"),
        "answer": {"received_at": answer.received_at, "timezone": zone, "china": china},
    }
    builder = SnapshotBuilder(
        source=answer.source,
        vin=answer.vin,
        received_at=answer.received_at,
        observed_at=moment(state.get("lastUpdatedAt")),
    )
    for rule in RULES:
        value = rule.value(tree)
        if rule.spread:
            for dimension, item in value.items():
                builder.put(rule.key, item, dimension=dimension)
        else:
            builder.put(rule.key, value, dimension=rule.dimension)
    if (found := found_in(answer.bodies, state)) is not None:
        place = found.latitude, found.longitude, china
        builder.put("latitude_degrees", latitude(*place), observed_at=found.at)
        builder.put("longitude_degrees", longitude(*place), observed_at=found.at)
        builder.put("heading_degrees", heading(found.heading), observed_at=found.at)
    return builder.build()


def _state(answer: Answer) -> dict[str, Any]:
    if "state" not in answer.bodies:
        raise MalformedAnswer("the answer has no state body")
    body = _read(answer, "state")
    if not isinstance(body, dict):
        raise MalformedAnswer(f"the state is no JSON object ({len(answer.bodies['state'])} bytes)")
    state = body.get("state")
    if not isinstance(state, dict):
        raise MalformedAnswer("the state answer has no state object")
    return state


def _read(answer: Answer, name: str) -> Any:
    """A body as JSON; None if it is not there or not JSON."""
    if name not in answer.bodies:
        return None
    try:
        return json.loads(answer.bodies[name], parse_int=whole)
    except (ValueError, RecursionError):
        return None


def whole(digits: str) -> int | float:
    """No car has a number of 20 digits; at 4,301 Python would refuse the whole answer."""
    return int(digits) if len(digits) < 20 else float(digits)
