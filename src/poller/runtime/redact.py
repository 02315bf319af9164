"""One table of what never leaves unasked: for logs, page, bug reports and fingerprints.

A row says by which names, or by which look, a thing is known. Logs, page and reports put `MASK` in its
place; fingerprints (`poller.fingerprint`) put a word of the same kind, so that they can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

MASK = "…"

#: What it is → the names of values that are such, wherever they turn up (see `plain`).
EVERYWHERE: Final[Mapping[str, str]] = {
    "secret": "password passwd secret token accesstoken refreshtoken idtoken authorization hcaptchatoken "
    "captchatoken clientsecret code codeverifier cookie setcookie",
    "id": "gcid usid",
    "name": "username user",
    "email": "email",
    "latitude": "latitude lat latitudedegrees",
    "longitude": "longitude lon lng longitudedegrees",
    "heading": "heading headingdegrees",
    "address": "formatted formattedaddress address subtitle",
    "street": "street streetname streetaddress",
    "street number": "streetnumber housenumber",
    "city": "city",
    "postal code": "postalcode postcode zipcode",
    "phone": "phone phonenumber",
    "plate": "licenseplate licenceplate numberplate",
}
#: The same for names that mean something else in our own settings and logs: they count in vendors' answers.
IN_ANSWERS: Final[Mapping[str, str]] = {
    "vin": "vin vins bmwvin vehicleid vehicleidentificationnumber",
    "secret": "nonce verifier pin puk",
    "id": "correlationid activityid containerid clientid requestid interactionid verifyid entityid cid uuid "
    "exveerrorref guid imei iccid imsi iban rfid evcoid emaid customernumber contractnumber accountnumber "
    "cardnumber serialnumber",
    "name": "name salutation owner ssid bssid",
    "person": "person customer contact contacts accountholder birthday birthdate dateofbirth gender",
    "account": "account",
    "contract": "connecteddrivecontractlist",
    "dealer": "dealer dealership preferreddealer servicedealer servicepartner preferredservicepartner "
    "preferredsevicepartner workshop",
    "email": "mail",
    "phone": "telephone tel mobile mobilephone msisdn fax",
    "plate": "plate platenumber registrationnumber",
    "city": "town municipality",
    # Called Park or Centre, as other things are too.
    "district": "district suburb county province",
    "postal code": "zip",
    "altitude": "altitude",
    "heading": "bearing",
    "place": "coordinates coordinate coords geometry geo gps gpsposition latlng latlon places poi "
    "destination remoteserviceposition",
    # Of a door too: a place only where it holds coordinates.
    "spot": "pos point center centre",
}
#: Endings that say as much.
_ENDINGS: Final[Mapping[str, str]] = {
    "password": "secret",
    "secret": "secret",
    "token": "secret",
    "gcid": "id",
    "sessionid": "id",
    "eventid": "id",
    "userid": "id",
    "customerid": "id",
    "accountid": "id",
    "contractid": "id",
    "mappingid": "id",
    "deviceid": "id",
    "dealerid": "id",
    "partnerid": "id",
    "stationid": "id",
    "locationid": "id",
    "evseid": "id",
    "name": "name",
    "location": "place",
    "position": "spot",
    "latitude": "latitude",
    "longitude": "longitude",
    "address": "address",
    "phonenumber": "phone",
    "email": "email",
}
#: Names that have such an ending, and are the car's.
_FACTS: Final = frozenset(
    {
        "modelname", "brandname", "seriesname", "variantname", "colorname", "colourname", "paintname",
        "enginename", "servicename", "featurename", "packagename",
    }
)  # fmt: skip
_HIDDEN: Final = {name: what for what, names in EVERYWHERE.items() for name in names.split()}
_KNOWN: Final = {name: what for what, names in IN_ANSWERS.items() for name in names.split()} | _HIDDEN
#: Names that tell who or where, as `plain` spells them.
PERSONAL_KEYS: Final = frozenset(
    name for name, what in _HIDDEN.items() if what not in ("secret", "id", "name", "email")
)

#: What it is → how it looks in a text; the group ``it`` goes.
PATTERNS: Final = (
    ("secret", re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<it>[\w.~+/=-]{6,})")),
    ("secret", re.compile(r"\b(?:xaat|xapt)-(?P<it>[\w-]+)")),
    ("secret", re.compile(r"\b(?P<it>eyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?)")),
    ("email", re.compile(r"(?<![\w.+-])(?P<it>[\w.+-]+@[\w-]+\.[\w.-]+)")),
    ("secret", re.compile(r"https?://(?P<it>[^/\s:@]+:[^/\s@]+)@")),
    (
        "secret",
        re.compile(
            r"(?i)[\"']?\b(?:password|token|access_token|refresh_token|id_token|secret|client_secret|code|"
            r"code_verifier)[\"']?\s*[=:]\s*(?P<it>[\"']?[^\s\"'&,;}]+[\"']?)"
        ),
    ),
    ("place", re.compile(r"(?<![\d.])(?P<it>-?\d{1,3}\.\d{5,}\s*[,;/ ]\s*-?\d{1,3}\.\d{5,})")),
)
#: Looks that are too common to be taken for it in our own words.
PATTERNS_IN_ANSWERS: Final = (
    ("id", re.compile(r"(?i)(?<![\da-z])(?P<it>[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})(?![\da-z])")),
    ("id", re.compile(r"(?i)(?<![\w:])(?P<it>[\da-f]{2}(?:[:-][\da-f]{2}){5})(?![\w:])")),
    ("secret", re.compile(r"(?i)(?<![\w])(?P<it>[\da-f]{32,})(?!\w)")),
    (
        "secret",
        re.compile(r"(?<![\w/.-])(?P<it>(?=\w*?\d)(?=\w*?[a-z])(?=\w*?[A-Z])[\w-]{32,}={0,2})(?![\w/.])"),
    ),
    ("place", re.compile(r"(?<![\d.])(?P<it>-?\d{1,3}\.\d+\s*[,;/]\s*-?\d{1,3}\.\d+)(?![\d.])")),
    ("phone", re.compile(r"(?<![\w.])(?P<it>(?:\+|00)[1-9]\d{0,2}[ ()/.-]*\d(?:[ ()/.-]{0,2}\d){5,})")),
    (
        "phone",
        re.compile(r"(?<![\w.:+-])(?P<it>0[1-9]\d{1,4}[ /-]\d{3,}(?:[ -]?\d{2,})*|0[1-9]\d{8,12})(?![\w:])"),
    ),
)

#: Also between underscores, as in the name of a captured file.
VIN: Final = re.compile(
    r"(?<![a-z0-9])(?=[A-HJ-NPR-Z0-9]*\d)[A-HJ-NPR-Z0-9]{10}([A-HJ-NPR-Z0-9]{7})(?![a-z0-9])", re.IGNORECASE
)
_NOISE: Final = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name as the table has it: lower case, letters and digits alone."""
    return _NOISE.sub("", name.lower())


@lru_cache(maxsize=4096)
def meaning(name: str) -> str | None:
    """What a value of this name is in an answer, in the words of the table; None: nothing personal."""
    name = plain(name)
    if name in _FACTS:
        return None
    return _KNOWN.get(name) or next((what for end, what in _ENDINGS.items() if name.endswith(end)), None)


def redact(text: str) -> str:
    """`text` without tokens, passwords, addresses of mail, coordinates; a VIN keeps its last seven."""
    for _, pattern in PATTERNS:
        text = pattern.sub(lambda match: without(match, MASK), text)
    return VIN.sub(lambda match: MASK + match[1], text)


def without(match: re.Match[str], word: str) -> str:
    """What was matched, with `word` for its group ``it``."""
    begin, end = match.span("it")
    return match[0][: begin - match.start()] + word + match[0][end - match.start() :]


def redact_value(key: str, value: Any) -> Any:
    """A value fit for a log or a report, judged by its name and its text; containers are walked."""
    if plain(key) in _HIDDEN:
        return MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(k): redact_value(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(key, item) for item in value]
    return value
