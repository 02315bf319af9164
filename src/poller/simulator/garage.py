"""The seam between a simulated cloud and what stands in its garage, and the garages of simulated cars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from poller.simulator import fleet
from poller.simulator.car import Car
from poller.simulator.life.spec import CarSpec
from poller.simulator.life.wishes import Command
from poller.simulator.mybmw_answers import MyBmwAnswers


class Garage(Protocol):
    """The vehicles of one account: answers as the cloud sends them, JSON in bytes.

    None where the garage does not know the vehicle, or knows no such answer of it.
    """

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        """The entries of the vehicle list of one brand: bmw, mini or toyota."""
        ...

    def profile(self, vin: str) -> bytes | None:
        """What the car is."""
        ...

    def state(self, vin: str, at: datetime) -> bytes | None:
        """How the car stands at that time, and what it is capable of."""
        ...

    def charging(self, vin: str, at: datetime) -> bytes | None:
        """Its charging settings; ``{}`` for a car that has none."""
        ...


@runtime_checkable
class LivingGarage(Garage, Protocol):
    """A garage whose cars do what they are told; in another, captured answers stay as they are."""

    def obey(self, vin: str, service: str, command: Command | None, at: datetime) -> str:
        """Have a car told at that time, which is not over: why it does not do it, "" if it does.

        `service` as the app names it; `command`: what becomes of it, None if nothing lasts. KeyError:
        there is no such car.
        """
        ...

    def location(self, vin: str, at: datetime) -> Mapping[str, Any]:
        """Where a car is then, as ``location`` stands in a state. KeyError: there is no such car."""
        ...


def mapping(vin: str) -> dict[str, Any]:
    """A list entry of a vehicle that is the user's own and connected."""
    return {
        "isAssociated": False,
        "isLmmEnabled": False,
        "isPrimaryUser": True,
        "mappingStatus": "CONFIRMED",
        "vehicleMappingType": "CONNECTED",
        "vin": vin,
    }


class CarGarage:
    """A garage of cars that move. `cars` lets tests look at what is true."""

    def __init__(self, cars: Sequence[Car]) -> None:
        self.cars: Mapping[str, Car] = {car.spec.vin: car for car in cars}
        self._answers = {vin: MyBmwAnswers(car) for vin, car in self.cars.items()}

    @property
    def vins(self) -> tuple[str, ...]:
        """The cars, in the order in which they came."""
        return tuple(self.cars)

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        """The cars of one brand."""
        return [mapping(vin) for vin, car in self.cars.items() if car.spec.brand == brand]

    def profile(self, vin: str) -> bytes | None:
        """What the car is."""
        answers = self._answers.get(vin)
        return None if answers is None else answers.profile()

    def state(self, vin: str, at: datetime) -> bytes | None:
        """What the car has reported by then."""
        answers = self._answers.get(vin)
        return None if answers is None else answers.state(at)

    def charging(self, vin: str, at: datetime) -> bytes | None:
        """Its charging settings as they stand then."""
        answers = self._answers.get(vin)
        return None if answers is None else answers.charging(at)

    def obey(self, vin: str, service: str, command: Command | None, at: datetime) -> str:
        """What the car does not offer, or cannot do as it stands, it does not do."""
        refusal = self._answers[vin].refusal(service, command)
        if refusal or command is None:
            return refusal
        return self.cars[vin].tell(at, command)

    def location(self, vin: str, at: datetime) -> Mapping[str, Any]:
        """Where the car truly is, whatever it has told."""
        return self._answers[vin].location(at)


def demo_garage(seed: int = 1) -> CarGarage:
    """An electric MINI that commutes (steered from the right), and a BMW plug-in hybrid on its rounds."""
    return _garage(fleet.DEMO, seed)


def cardata_cars(seed: int = 1) -> tuple[Car, ...]:
    """What the demo shows of CarData: the big electric car, as it is in `all_cars_garage`."""
    return (all_cars_garage(seed).cars[fleet.BEV_VIN],)


def all_cars_garage(seed: int = 1) -> CarGarage:
    """Those two, a petrol saloon, and a big electric car (steered from the left, three phases)."""
    return _garage(fleet.ALL, seed)


def _garage(specs: Sequence[CarSpec], seed: int) -> CarGarage:
    return CarGarage([Car(spec, seed + number) for number, spec in enumerate(specs)])
