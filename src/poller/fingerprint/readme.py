"""What lies beside a fingerprint's files for whoever sends it, and whoever gets it."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from poller import __version__
from poller.fingerprint.words import TEXTS

NAME: Final = "README.txt"
_MANY: Final[Mapping[str, str]] = {
    "vin": "VINs",
    "secret": "tokens and secrets",
    "code": "codes",
    "id": "ids",
    "name": "names",
    "owner": "names",
    "called": "names",
    "holder": "names",
    "person": "texts about persons",
    "account": "texts about accounts",
    "contract": "texts about contracts",
    "dealer": "texts about dealers",
    "email": "mail addresses",
    "phone": "phone numbers",
    "plate": "number plates",
    "address": "addresses",
    "street": "streets",
    "street number": "street numbers",
    "city": "towns",
    "district": "towns",
    "postal code": "postal codes",
    "place": "positions",
    "spot": "positions",
    "latitude": "latitudes",
    "longitude": "longitudes",
    "heading": "headings",
    "altitude": "altitudes",
}
_ABOUT: Final = """\
These are answers of BMW's servers about the cars of one account, without what tells who and where.
Look through them before you send them: the poller knows a person's things by their names and by their
look, and can miss one. What it is unsure of, it replaced.

Left as they are: model, equipment, mileage, charge, doors, times and everything else that the car says of
itself. Who knows the car can know it again.

To look at them: `poller vehicle status --answers` and this folder; to have a cloud that answers like this:
`poller simulate --answers` and this folder. Put into tests/cases/fingerprints of the project's source code
the folder is a test.
"""


def readme(replaced: Mapping[str, int], problems: Mapping[str, str], left_out: Sequence[str]) -> str:
    """The whole text."""
    return "\n".join(_lines(replaced, problems, left_out)) + "\n"


def summary(replaced: Mapping[str, int]) -> str:
    """What was replaced, in one line; ``nothing`` if nothing was."""
    counts: dict[str, int] = {}
    for what, count in replaced.items():
        if count:
            name = _MANY[what]
            counts[name] = counts.get(name, 0) + count
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} ({count})" for name, count in ordered) or "nothing"


def _lines(
    replaced: Mapping[str, int], problems: Mapping[str, str], left_out: Sequence[str]
) -> Iterator[str]:
    yield f"Vehicle fingerprint, made by poller {__version__}, Python {platform.python_version()}"
    yield ""
    for paragraph in _ABOUT.split("\n\n"):
        yield textwrap.fill(paragraph, 80, break_long_words=False, break_on_hyphens=False)
        yield ""
    yield textwrap.fill(f"Replaced: {summary(replaced)}.", 80)
    words = sorted({*TEXTS.values(), "…0FINGERPRINT01"})
    yield textwrap.fill(f"In their places: {', '.join(words)}.", 80)
    if problems:
        yield "\nCould not be understood (in quarantine):"
        yield from (f"  {path}\n    {why}" for path, why in problems.items())
    if left_out:
        yield "\nLeft out:"
        yield from (f"  {one}" for one in left_out)
