"""What an owner may call a vehicle."""

from __future__ import annotations


def goes_by(wanted: str, *, vin: str, slug: str, model: str) -> bool:
    """Whether that is its VIN, the last seven of it, our name (`slug`) or the maker's, in any case.

    `model` is "" where the maker has told none.
    """
    names = (vin, vin[-7:], slug, model)
    return wanted.strip().casefold() in {name.casefold() for name in names if name}
