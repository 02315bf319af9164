"""What driving takes, and what a battery gives and takes."""

from __future__ import annotations

import math
from itertools import pairwise

from poller.simulator.life.spec import Battery, Charger, Drive

_AC_EFFICIENCY = 0.89
_DC_EFFICIENCY = 0.95
#: On DC the power changes with every band of percent; on AC only near the end.
_BAND = 5.0
_NEARLY_FULL = 95.0


def kwh_per_km(drive: Drive, kmh: float, celsius: float) -> float:
    """Traction only: rolling, air and, when it is cold, stiff everything."""
    return (drive.kwh_per_km + drive.kwh_per_km_and_kmh2 * kmh * kmh) * _stiffness(celsius)


def liters_per_km(drive: Drive, kmh: float, celsius: float) -> float:
    """Least at a steady 75 km/h; the heater is free."""
    return drive.liters_per_km * (1 + ((kmh - 75) / 90) ** 2) * _stiffness(celsius)


def climate_kilowatts(celsius: float) -> float:
    """What the cabin takes from the battery."""
    return min(3.0, 0.11 * max(0.0, 17 - celsius) + 0.12 * max(0.0, celsius - 22))


def capacity_kwh(battery: Battery, years: float, km: float) -> float:
    """What is left of a battery: fast at first, then slower; and a little for every kilometre."""
    return battery.kwh * (1 - 0.02 * math.sqrt(years) - 0.00025 * km / 1000)


def efficiency(charger: Charger) -> float:
    """The share of what the grid gives that reaches the battery."""
    return _AC_EFFICIENCY if charger.phases else _DC_EFFICIENCY


def charging_kilowatts(battery: Battery, charger: Charger, percent: float, celsius: float) -> float:
    """What reaches the battery in the band that begins at `percent`; a cold or a full one takes less."""
    grid = charger.kilowatts
    if charger.phases:
        phases = min(charger.phases, battery.ac_phases)
        grid = phases * min(charger.kilowatts / charger.phases, battery.kilowatts_per_phase)
        return grid * _AC_EFFICIENCY * (0.5 if percent >= _NEARLY_FULL else 1.0)
    warmth = min(1.0, max(0.45, 0.6 + celsius / 40))
    return min(grid * _DC_EFFICIENCY, _on_curve(battery.dc_curve, percent) * warmth)


def band_end(charger: Charger, percent: float) -> float:
    """Where the power changes next."""
    if charger.phases:
        return _NEARLY_FULL if percent < _NEARLY_FULL else 100.0
    return min(100.0, _BAND * (math.floor(percent / _BAND + 1e-6) + 1))


def _stiffness(celsius: float) -> float:
    return 1 + 0.007 * max(0.0, 18 - celsius)


def _on_curve(curve: tuple[tuple[float, float], ...], percent: float) -> float:
    for (low, before), (high, after) in pairwise(curve):
        if percent < high:
            return before + (after - before) * max(0.0, percent - low) / (high - low)
    return curve[-1][1]
