"""Quiet hours, where the owner lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from typing import Self


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `begin` until `end`, local time, over midnight if `end` is the earlier; equal: never."""

    begin: time
    end: time
    zone: tzinfo

    @classmethod
    def of(cls, text: str, zone: tzinfo) -> Self:
        """From ``22:00-07:00``; "" is never."""
        begin, _, end = (text or "00:00-00:00").partition("-")
        return cls(time.fromisoformat(begin), time.fromisoformat(end), zone)

    def at(self, moment: datetime) -> bool:
        """Whether it is quiet then."""
        now = moment.astimezone(self.zone).time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end
