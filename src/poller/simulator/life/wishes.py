"""What an owner asks of a car from afar: words only, and what is left as the owner is used to it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verb = Literal["lock", "unlock", "climate_start", "climate_stop", "charge_start", "charge_stop", "set"]


class Timer(NamedTuple):
    """A departure; `minute` of the local day, None: it never had one; `days` as in "monday"."""

    number: int
    active: bool
    days: tuple[str, ...]
    minute: int | None


class Plan(NamedTuple):
    """When a car charges. `window`: minutes of the local day, kept while `mode` is another.

    `by_window`: what the owner prefers. `weekly`: timers by weekday, else two of them. Timers and
    `precondition` are kept and told, and nothing more: the owner leaves when the diary says so.
    """

    mode: Literal["immediate", "delayed", "none"]
    by_window: bool
    window: tuple[int, int] | None
    weekly: bool
    timers: tuple[Timer, ...]
    precondition: bool

    @property
    def hours(self) -> tuple[float, float] | None:
        """Local hours between which energy may flow; None: at once."""
        if self.mode != "delayed" or self.window is None:
            return None
        return self.window[0] / 60, self.window[1] / 60


class Wishes(NamedTuple):
    """Settings; None: as the owner is used to it, and in a command: as it is."""

    target_percent: int | None = None
    amperes: int | None = None
    plan: Plan | None = None

    def changed(self, to: Wishes) -> Wishes:
        """With all that `to` says."""
        return Wishes._make(mine if new is None else new for mine, new in zip(self, to, strict=True))


class Command(NamedTuple):
    """One thing that a car is to do; `wishes` belong to "set"."""

    verb: Verb
    wishes: Wishes = Wishes()
