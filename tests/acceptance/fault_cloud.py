"""The faults of the page's section "The maker's cloud": how each begins, and what ends it.

Whoever adds a row to the page adds a mishap of the same name here; the test sees to it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fault_drill import Mishap, Step, nothing
from fault_house import House
from fault_street import MINI, X1

from poller.simulator.faults import Fault

STATE = "/eadrax-vcs/v4/vehicles/state"
LIST = "/eadrax-vcs/v5/vehicle-list"
CHARGING = "/eadrax-crccs/v2/vehicles"
DATA = "/eadrax-"
#: A seed of `wrong_types` that makes the mileage of every car a text.
MILEAGE_AS_TEXT = 11
DAY = 86_400.0


def ordered(kind: str, path: str = STATE, **more: Any) -> Step:
    """Such a fault, until it is forgiven unless `more` says how often or for how long."""
    lasting = {} if more.keys() & {"count", "for"} else {"for": "ever"}

    async def begin(house: House) -> None:
        house.cloud.faults.add(Fault.model_validate({"kind": kind, "path": path, **lasting, **more}))

    return begin


async def end_the_login(house: House) -> None:
    house.cloud.faults.add(Fault(kind="login_refused"))


async def end_the_login_and_want_captchas(house: House) -> None:
    await end_the_login(house)
    house.cloud.faults.add(Fault(kind="captcha_demanded"))


async def sell_the_mini(house: House) -> None:
    house.yard.gone = {MINI}


async def sell_both(house: House) -> None:
    """And the lists, which are asked for once a day, are due again."""
    house.yard.gone = {MINI, X1}
    await house.passes(DAY, DAY / 2)


async def bring_them_back(house: House) -> None:
    house.yard.gone.clear()


async def report_late(house: House) -> None:
    house.yard.late = timedelta(hours=3)


async def report_again(house: House) -> None:
    house.yard.late = timedelta(minutes=1)


async def lose_a_list(house: House) -> None:
    """The lists are asked for once a day; when that is due, the first of them cannot be had."""
    await ordered("server_error", LIST)(house)
    await house.passes(DAY, DAY / 2)


CLOUD = {
    "The access token has ended (401)": Mishap(ordered("unauthorized", count=1)),
    "BMW ends the login": Mishap(end_the_login, nothing),
    "BMW wants a captcha": Mishap(end_the_login_and_want_captchas, nothing),
    "BMW refuses every token (401)": Mishap(ordered("unauthorized")),
    "BMW refuses the account (403)": Mishap(ordered("status", status=403)),
    "The day's calls are used up (403)": Mishap(ordered("quota", DATA, **{"for": "2h"}), nothing, wait=6900),
    "Too many requests (429), and until when": Mishap(
        ordered("rate_limit", DATA, retry_after=1800, **{"for": "30m"}), nothing, wait=1800
    ),
    "Too many requests (429), and no word more": Mishap(ordered("status", status=429), wait=300),
    "BMW blocks other clients (489)": Mishap(ordered("blocked", DATA), wait=DAY),
    "BMW has an error of its own (500)": Mishap(ordered("server_error")),
    "BMW is down for maintenance (503)": Mishap(ordered("maintenance", DATA)),
    "BMW is slow": Mishap(ordered("slow", seconds=5), patience=0.05),
    "Half an answer": Mishap(ordered("half_body")),
    "The connection is reset": Mishap(ordered("reset")),
    "Nobody listens": Mishap(ordered("unreachable", "/")),
    "Broken JSON": Mishap(ordered("broken_json")),
    "Wrong types": Mishap(ordered("wrong_types", seed=MILEAGE_AS_TEXT)),
    "One car fails": Mishap(ordered("server_error", vin=MINI)),
    "The charging settings fail": Mishap(ordered("server_error", CHARGING)),
    "A list of cars fails": Mishap(lose_a_list),
    "A car leaves the account": Mishap(sell_the_mini, nothing),
    "No car is left in the account": Mishap(sell_both, bring_them_back),
    "Older answers than before": Mishap(report_late, report_again),
}
