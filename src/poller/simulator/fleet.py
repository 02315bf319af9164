"""The simulated cars there are: fictional, and all of them at sea."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from poller.simulator.life.spec import (
    WHEELS,
    Battery,
    Body,
    CarSpec,
    Charger,
    Drive,
    Habits,
    Place,
    Stop,
    Wheel,
)

MINI_VIN: Final = "WMW00000000000001"
BMW_VIN: Final = "WBA00000000000002"
ICE_VIN: Final = "WBA00000000000003"
BEV_VIN: Final = "WBA00000000000004"
#: What to call the cars of the demo that are no MINI.
OTHER_NAME: Final = "x1"
CARDATA_NAME: Final = "i4"

_ONE_PHASE = Charger(kilowatts=3.6, phases=1)
_THREE_PHASES = Charger(kilowatts=11.0, phases=3)


def _pressures(front: int, rear: int) -> Mapping[Wheel, int]:
    return MappingProxyType(dict(zip(WHEELS, (front, front, rear, rear), strict=True)))


def _there_and_back(leaves: float, place: str, returns: float) -> tuple[Stop, Stop]:
    """There and home again, at those hours."""
    return Stop(leaves, place), Stop(returns, "home")


#: Commutes over the Dogger Bank; charges at night.
MINI: Final = CarSpec(
    vin=MINI_VIN,
    brand="mini",
    model="mini_cooper_se",
    kind="electric",
    body=Body(steering="right", doors=2, sunroof=False, target_kpa=_pressures(230, 230)),
    drive=Drive(kwh_per_km=0.105, kwh_per_km_and_kmh2=0.9e-5),
    battery=Battery(
        kwh=28.9,
        ac_phases=3,
        kilowatts_per_phase=3.7,
        dc_curve=((0, 40), (10, 48), (60, 47), (80, 29), (100, 6)),
    ),
    fast_kilowatts=50,
    habits=Habits(
        zone="Europe/London",
        workday=_there_and_back(7.3, "work", 17.0),
        errand=_there_and_back(18.6, "shop", 19.3),
        outings=(
            _there_and_back(10.3, "shop", 12.2),
            _there_and_back(11.0, "beach", 16.0),
            (Stop(9.5, "shop"), Stop(10.6, "home"), Stop(14.0, "friends"), Stop(18.5, "home")),
        ),
        far=(Stop(10.5, "lighthouse"), Stop(16.5, "far")),
        charge_below=58,
        window=(0.5, 4.5),
        target_percent=80,
    ),
    places={
        "home": Place((54.72, 2.25), _ONE_PHASE),
        "work": Place((54.80, 2.41), _THREE_PHASES),
        "shop": Place((54.70, 2.31)),
        "beach": Place((54.60, 2.52)),
        "friends": Place((54.78, 2.18)),
        "workshop": Place((54.76, 2.33)),
        "far": Place((56.30, 3.10), _ONE_PHASE),
        "lighthouse": Place((56.38, 3.22)),
    },
    first_km=11_800,
    age_years=1.7,
)

#: On its rounds off the Wadden Sea; plugged in whenever it is home for the night.
X1: Final = CarSpec(
    vin=BMW_VIN,
    brand="bmw",
    model="bmw_x1_xdrive25e",
    kind="plugin_hybrid",
    body=Body(steering="left", doors=4, sunroof=True, target_kpa=_pressures(250, 270)),
    drive=Drive(
        kwh_per_km=0.135, kwh_per_km_and_kmh2=1.15e-5, liters_per_km=0.064, tank_liters=47
    ),
    battery=Battery(kwh=14.2, ac_phases=1, kilowatts_per_phase=7.4),
    habits=Habits(
        zone="Europe/Berlin",
        workday=(
            Stop(7.0, "north"), Stop(9.4, "east"), Stop(12.2, "quay"), Stop(14.9, "north"),
            Stop(17.5, "home"),
        ),
        outings=(
            _there_and_back(9.5, "quay", 11.2),
            _there_and_back(13.5, "east", 16.4),
            _there_and_back(10.0, "island", 17.0),
        ),
        far=(Stop(11.0, "harbour"), Stop(17.0, "far")),
        goes_out=0.7,
        errand_chance=0.0,
        journeys=3,
        charge_below=101,
    ),
    places={
        "home": Place((54.10, 6.40), _ONE_PHASE),
        "north": Place((54.16, 6.42)),
        "east": Place((54.11, 6.48), _ONE_PHASE),
        "quay": Place((54.07, 6.38)),
        "island": Place((54.22, 6.15)),
        "workshop": Place((54.05, 6.47)),
        "far": Place((56.10, 4.60)),
        "harbour": Place((56.02, 4.42)),
    },
    first_km=2_100,
)  # fmt: skip

#: No cable at all; in the Baltic, east of Gotland.
SALOON: Final = CarSpec(
    vin=ICE_VIN,
    brand="bmw",
    model="bmw_320i",
    kind="combustion",
    body=Body(steering="left", doors=4, sunroof=False, target_kpa=_pressures(230, 260)),
    drive=Drive(liters_per_km=0.058, tank_liters=59),
    habits=Habits(
        zone="Europe/Stockholm",
        workday=_there_and_back(7.6, "work", 16.6),
        errand=_there_and_back(18.0, "shop", 19.0),
        outings=(_there_and_back(10.0, "shop", 11.5), _there_and_back(9.0, "cottage", 19.0)),
        far=(Stop(11.0, "harbour"), Stop(15.0, "far")),
        preheats=0.0,
    ),
    places={
        "home": Place((57.10, 19.90)),
        "work": Place((57.22, 19.83)),
        "shop": Place((57.13, 19.94)),
        "cottage": Place((57.40, 20.10)),
        "workshop": Place((57.05, 19.85)),
        "far": Place((55.50, 18.20)),
        "harbour": Place((55.42, 18.05)),
    },
    first_km=28_500,
    age_years=3.2,
    mean_celsius=8.0,
)

#: Steered from the left, three phases, big battery; in the Ligurian Sea.
GRAN_COUPE: Final = CarSpec(
    vin=BEV_VIN,
    brand="bmw",
    model="bmw_i4_edrive40",
    kind="electric",
    body=Body(steering="left", doors=4, sunroof=False, target_kpa=_pressures(250, 280)),
    drive=Drive(kwh_per_km=0.11, kwh_per_km_and_kmh2=0.8e-5),
    battery=Battery(
        kwh=80.7,
        ac_phases=3,
        kilowatts_per_phase=3.7,
        dc_curve=((0, 150), (8, 200), (30, 180), (50, 120), (80, 60), (100, 15)),
        standby_watts=5,
    ),
    fast_kilowatts=150,
    habits=Habits(
        zone="Europe/Paris",
        workday=_there_and_back(8.1, "work", 18.2),
        errand=_there_and_back(19.2, "shop", 20.1),
        outings=(_there_and_back(10.0, "shop", 11.5), _there_and_back(9.5, "bay", 18.0)),
        far=(Stop(11.0, "harbour"), Stop(18.0, "far")),
        works=0.7,
        journeys=6,
        preheats=0.3,
        charge_below=50,
        target_percent=80,
    ),
    places={
        "home": Place((43.30, 7.90), _THREE_PHASES),
        "work": Place((43.42, 8.10)),
        "shop": Place((43.27, 7.94), _THREE_PHASES),
        "bay": Place((43.05, 8.20)),
        "workshop": Place((43.35, 7.80)),
        "far": Place((41.40, 5.60), _THREE_PHASES),
        "harbour": Place((41.32, 5.45)),
    },
    first_km=1_200,
    mean_celsius=16.0,
)

#: What the demo shows in the app's cloud.
DEMO: Final = (MINI, X1)
#: Every kind of drive and steering there is.
ALL: Final = (*DEMO, SALOON, GRAN_COUPE)
