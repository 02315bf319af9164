"""The last orders to a car in an owner's words, for page and `poller status`. Nothing here gives one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from poller.runtime.status import OrderStatus
from poller.vehicle.display import Display, ago, since, words
from poller.web.known import Tone

#: Seconds for which more than the very last one is shown.
_RECENT: Final = 86_400.0
_SERVICES: Final[Mapping[str, str]] = {
    "light_flash": "flash the lights",
    "horn": "sound the horn",
    "lock": "lock the doors",
    "unlock": "unlock the doors",
    "climate_start": "start the climate control",
    "climate_stop": "stop the climate control",
    "vehicle_finder": "say where it is",
    "charge_start": "start charging",
    "charge_stop": "stop charging",
    "charging_settings": "charging settings",
    "charging_profile": "charging profile",
    "send_poi": "a destination",
    "call": "call",
}
_ENDS: Final[Mapping[str, tuple[str, Tone]]] = {
    "executed": ("done", "good"),
    "ignored": ("nothing to do", ""),
    "error": ("failed", "warn"),
    "refused": ("not sent to the car", "warn"),
    "timed_out": ("sent, but no answer in time", "warn"),
}
_UNKNOWN: Final[tuple[str, Tone]] = ("nobody knows whether it was done", "warn")


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order as it is shown: `what` was told, how it `ended`, `when`, and `why` it ended so ("": plain)."""

    what: str
    ended: str
    tone: Tone
    when: str
    why: str


def shown_orders(orders: Sequence[OrderStatus], now: datetime, display: Display) -> Iterator[Ordered]:
    """The last one, whenever it was, and the others of a day; newest first, as they come."""
    for place, order in enumerate(orders):
        if not place or since(order.ordered_at, now) < _RECENT:
            ended, tone = end_words(order)
            when = f"{display.moment(order.ordered_at, now)} ({ago(order.ordered_at, now)})"
            yield Ordered(order_words(order), ended, tone, when, order.reason)


def order_words(order: OrderStatus) -> str:
    """``charging settings (target soc 80)``: what the car was told."""
    what = _SERVICES.get(order.service, words(order.service))
    given = ", ".join(f"{words(name)} {value}" for name, value in order.arguments.items())
    return f"{what} ({given})" if given else what


def end_words(order: OrderStatus) -> tuple[str, Tone]:
    """How it ended, or that it has not yet."""
    if order.under_way:
        return "under way", ""
    return _ENDS.get(order.state, _UNKNOWN)
