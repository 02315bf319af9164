"""Tires: they lose pressure slowly, the cold takes some, and somebody pumps them up."""

from __future__ import annotations

from poller.simulator.life.spec import WHEELS, Body
from poller.simulator.life.state import Tire
from poller.simulator.life.timeline import DAY, dice

#: The check-control message.
TIRES_LOW = "tire_pressure"
_KPA_PER_DEGREE = 1.1
_GENEROUS_KPA = 8
_LOW = 0.83


def kpa(tire: Tire, at: float, celsius: float) -> float:
    """The pressure of one tire."""
    lost = tire.kpa_per_day * max(0.0, at - tire.pumped_at) / DAY
    return tire.kpa - lost + _KPA_PER_DEGREE * (celsius - 20)


def lowest_kpa(tires: tuple[Tire, ...], at: float, celsius: float) -> float:
    """The pressure of the softest."""
    return min(kpa(tire, at, celsius) for tire in tires)


def are_low(body: Body, tires: tuple[Tire, ...], at: float, celsius: float) -> bool:
    """Whether one is so soft that the car warns."""
    return any(
        kpa(tire, at, celsius) < _LOW * body.target_kpa[wheel]
        for wheel, tire in zip(WHEELS, tires, strict=True)
    )


def pumped(body: Body, tires: tuple[Tire, ...], at: int) -> tuple[Tire, ...]:
    """All of them at a little more than they should have; what leaks goes on leaking."""
    return tuple(
        Tire(body.target_kpa[wheel] + _GENEROUS_KPA, at, tire.kpa_per_day)
        for wheel, tire in zip(WHEELS, tires, strict=True)
    )


def mounted(body: Body, seed: int) -> tuple[Tire, ...]:
    """Four tires on the first day; one of them leaks more than the others."""
    chance = dice(seed, "tires", 0)
    leaks = [0.04 + 0.06 * chance.random() for _ in WHEELS]
    leaks[int(chance.random() * len(leaks))] += 0.1
    return tuple(
        Tire(body.target_kpa[wheel] + _GENEROUS_KPA, 0, leak)
        for wheel, leak in zip(WHEELS, leaks, strict=True)
    )
