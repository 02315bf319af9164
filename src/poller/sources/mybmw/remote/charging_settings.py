"""Charging target and AC limit of a car."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poller.errors import ArgumentRefused
from poller.sources.mybmw.remote.arguments import Arguments
from poller.sources.mybmw.remote.car import Car, Json, part
from poller.sources.mybmw.remote.catalogue import AC_LIMIT, TARGET, not_told


@dataclass(frozen=True, slots=True)
class ChargingSettings:
    """What is to be set: percent and amperes; None leaves it as it is."""

    target_soc: int | None
    ac_limit: int | None

    @classmethod
    def read(cls, given: Json) -> ChargingSettings:
        """Raises ArgumentRefused."""
        arguments = Arguments(given, "target_soc", "ac_limit")
        arguments.any_of("target_soc", "ac_limit")
        target = arguments.whole("target_soc")
        if target is not None and (not 20 <= target <= 100 or target % 5):
            raise ArgumentRefused("target_soc must be 20 to 100 percent, in steps of 5")
        limit = arguments.whole("ac_limit")
        if limit is not None and limit <= 0:
            raise ArgumentRefused("ac_limit must be more than 0 amperes")
        return cls(target, limit)

    def check(self, car: Car, details: Json) -> None:
        """Raise CommandRefused for what this car does not have, by its charging `details`."""
        if self.target_soc is not None and not car.can(TARGET):
            raise not_told(f"its charging target cannot be set from afar ({TARGET})")
        if self.ac_limit is None:
            return
        limits = ac_limits(details)
        if not (car.can(AC_LIMIT) and limits):
            raise not_told(f"its AC limit cannot be set from afar ({AC_LIMIT})")
        if self.ac_limit not in limits:
            offered = ", ".join(map(str, limits))
            raise ArgumentRefused(
                "this car was not told: ac_limit is none that it offers", hint=f"amperes: {offered}"
            )

    def body(self) -> dict[str, Any]:
        """As BMW wants it: null leaves a setting as it is."""
        return {"chargingTarget": self.target_soc, "acLimitValue": self.ac_limit}


def ac_limits(details: Json) -> list[int]:
    """The AC limits that can be chosen, in amperes."""
    values = part(part(details, "chargingSettingsDetail"), "acLimit").get("values")
    return [value for value in values if isinstance(value, int)] if isinstance(values, list) else []
