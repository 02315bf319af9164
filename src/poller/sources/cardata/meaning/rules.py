"""How one signal is read from a car: the kinds of rules that the table is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from poller.sources.cardata.meaning import meanings as m
from poller.sources.cardata.meaning.car import BASIC_DATA, Car, Found, Names
from poller.vehicle.signals import BY_KEY

#: Dimension and finding.
Each = Iterator[tuple[str | None, Found]]


class Rule(Protocol):
    """How one signal is read."""

    @property
    def key(self) -> str:
        """The signal."""
        ...

    @property
    def reads(self) -> Names:
        """The descriptors that it may use."""
        ...

    def found(self, car: Car) -> Each:
        """Dimension and finding; a later one replaces an earlier one of the same dimension."""
        ...


@dataclass(frozen=True, slots=True)
class Chain:
    """One signal (at one position) from the first descriptor that says it; `only`: for which cars."""

    key: str
    reads: Names
    convert: m.Convert
    position: str | None = None
    only: Literal["battery", "tank"] | None = None

    def found(self, car: Car) -> Each:
        """See `Rule`."""
        if (self.only == "battery" and not car.has_battery) or (self.only == "tank" and not car.has_tank):
            return
        for found in car.chain(self.reads, self.convert, BY_KEY[self.key].bounds):
            yield self.position, found


@dataclass(frozen=True, slots=True)
class Computed:
    """One signal from several descriptors together."""

    key: str
    reads: Names
    compute: Callable[[Car], Iterable[Found]]

    def found(self, car: Car) -> Each:
        """See `Rule`."""
        return ((None, found) for found in self.compute(car))


@dataclass(frozen=True, slots=True)
class Spread:
    """One signal for each member of a list, the member's kind being the dimension."""

    key: str
    reads: Names
    each: Callable[[Car], Each]

    def found(self, car: Car) -> Each:
        """See `Rule`."""
        return self.each(car)


@dataclass(frozen=True, slots=True)
class Fact:
    """What basicData says the car is: the first member that says it."""

    key: str
    members: tuple[str, ...]
    convert: Callable[[object], object] = m.label
    reads: Names = ()

    def found(self, car: Car) -> Each:
        """See `Rule`."""
        values = (self.convert(car.basic.get(member)) for member in self.members)
        value = next((value for value in values if value is not None), None)
        if value is not None:
            yield None, Found(value, None, BASIC_DATA, BASIC_DATA)
