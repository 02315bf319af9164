"""What stands in a fingerprint in the place of what: texts stay texts, numbers numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from poller.vehicle.signals import SIGNALS

#: In the words of the library's own fingerprints, where it has some (mybmw.md section 14).
TEXTS: Final[Mapping[str, str]] = {
    "secret": "some_token",
    "code": "some_token",
    "id": "some_id",
    "name": "some_name",
    "owner": "some_name",
    "called": "some_name",
    "holder": "some_name",
    "person": "some_text",
    "account": "some_text",
    "contract": "some_text",
    "dealer": "some_text",
    "email": "some_email",
    "phone": "some_phone",
    "plate": "some_license_plate",
    "address": "some_formatted_address",
    "street": "some_street",
    "street number": "999",
    "city": "some_city",
    "district": "some_city",
    "postal code": "some_postal_code",
    "place": "some_place",
    "spot": "some_place",
    "latitude": "12.3456",
    "longitude": "34.5678",
    "heading": "123",
    "altitude": "100",
}
#: What the poller's own names of a car's signals and states say, in lower case: Service, Open, Range.
OF_CARS: Final = frozenset(
    word
    for signal in SIGNALS
    for text in (signal.key, signal.label, *signal.states)
    for word in re.findall(r"[a-z]+", text.lower())
)
#: A position in one text.
PAIR: Final = "12.3456,34.5678"
_NUMBERS: Final[Mapping[str, float]] = {
    "latitude": 12.3456,
    "longitude": 34.5678,
    "place": 12.3456,
    "heading": 123,
    "altitude": 100,
}
#: What tells nobody anything, and a parser perhaps all: that there is nothing.
_NOTHING: Final = frozenset({"", "-na-", "null", "none", "invalid", "unknown", "asn_isunknown"})
#: Names that also mean something of a car: an error's number, a door's FRONT_LEFT.
_DOUBTFUL: Final = frozenset({"spot", "code"})
_NUMBER: Final = re.compile(r"\s*-?\d+(\.\d+)?(e[+-]?\d+)?\s*", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d[\d:.]*(Z|[+-]\d\d:?\d\d)?")
_PAIR: Final = re.compile(r"\s*[(\[]?\s*-?\d{1,3}(\.\d+)?\s*[,;/ ]\s*-?\d{1,3}(\.\d+)?\s*[)\]]?\s*")
#: A shorter one is part of too much.
_NAME: Final = re.compile(r"[^\W\d_][^\d_]{3,}")
_TOKEN_OF_MAKER: Final = re.compile(r"[A-Z][A-Z_]*")
_TOKEN: Final = re.compile(r"[A-Z][A-Z0-9_]*")


def number(literal: str, what: str) -> str:
    """The literal that takes the place of a number; whole ones stay whole; 0 and a heading of -1 are none."""
    nowhere = float(literal) == 0 or (what == "heading" and literal.startswith("-"))
    if nowhere or what in _DOUBTFUL:
        return literal
    word = _NUMBERS.get(what, 999)
    return str(int(word)) if re.fullmatch(r"-?\d+", literal) else str(float(word))


def text(value: str, what: str) -> str:
    """The text that takes the place of a text."""
    if says_nothing(value) or _TIME.fullmatch(value):
        return value
    if what in ("place", "spot") and _PAIR.fullmatch(value):
        return PAIR
    if what in _DOUBTFUL and _TOKEN_OF_MAKER.fullmatch(value):
        return value
    if what == "spot" and _NUMBER.fullmatch(value):
        return value
    if _NUMBER.fullmatch(value) and what in _NUMBERS:
        return number(value.strip(), what)
    return TEXTS[what]


def is_token(value: str) -> bool:
    """Whether a value may be one of the maker's words, which a parser must find again: NORMAL."""
    return _TOKEN.fullmatch(value) is not None


def says_nothing(value: str) -> bool:
    """Whether a text is one of the maker's ways to say that there is nothing."""
    return value.strip().lower() in _NOTHING


def names(value: str) -> Iterator[str]:
    """What of a person's name is looked for elsewhere: all of it in any case, each word only as it is spelt.

    What is spelt otherwise may be one of the maker's words: POWER, navigation.
    """
    words = value.split()
    if (len(words) > 1 and len(value) >= 6) or is_telling(value, "name"):
        yield value.lower()
    for word in words:
        if _NAME.fullmatch(bare := word.strip(".,;:()\"'")) and bare[0].isupper():
            yield bare


def full_names(value: str) -> Iterator[str]:
    """As `names` where there are several words: one alone may be what an account is called."""
    return names(value) if len(value.split()) > 1 else iter(())


def whole_names(value: str) -> Iterator[str]:
    """What of a town's or a house's name is looked for elsewhere: all of it or nothing.

    Several words in any case; one as it is spelt and in capitals, and if it is in these also as a name is.
    """
    if len(value.split()) > 1:
        if len(value) >= 6:
            yield value.lower()
    elif _NAME.fullmatch(value) and value[0].isupper():
        yield from {value, value.upper(), value.title() if value.isupper() else value}


def is_telling(value: str, what: str) -> bool:
    """Whether a text is long and odd enough to be looked for elsewhere, and no fact of the car too."""
    if value.isdigit() or re.search(r"[\d@]", value) is None:
        return len(value) >= 8 and (value.isdigit() or what in ("address", "street"))
    return len(value) >= 6
