"""One table of what never leaves unasked: for logs, page, bug reports and captures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "…"

#: Names of values that are secret or personal, wherever they turn up (compared in lower case).
SECRET_KEYS = frozenset(
    [
        "password",
        "passwd",
        "secret",
        "token",
        "access_token",
        "refresh_token",
        "id_token",
        "authorization",
        "hcaptchatoken",
        "captcha_token",
        "client_secret",
        "clientsecret",
        "code",
        "code_verifier",
        "cookie",
        "gcid",
        "usid",
        "username",
        "user",
        "email",
    ]
)
PERSONAL_KEYS = frozenset(
    [
        "latitude",
        "longitude",
        "lat",
        "lon",
        "lng",
        "heading",
        "formatted",
        "address",
        "street",
        "streetnumber",
        "city",
        "postalcode",
        "phone",
        "licenseplate",
        "latitude_degrees",
        "longitude_degrees",
        "heading_degrees",
    ]
)

#: Also between underscores, as in the name of a captured file.
_VIN = re.compile(
    r"(?<![a-z0-9])(?=[A-HJ-NPR-Z0-9]*\d)[A-HJ-NPR-Z0-9]{10}([A-HJ-NPR-Z0-9]{7})(?![a-z0-9])", re.IGNORECASE
)
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 " + MASK),
    (re.compile(r"\b(xaat|xapt)-[\w-]+"), r"\1-" + MASK),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?"), MASK),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), MASK),
    (re.compile(r"(https?://)[^/\s:@]+:[^/\s@]+@"), r"\1" + MASK + "@"),
    (
        re.compile(
            r"(?i)([\"']?\b(?:password|token|access_token|refresh_token|id_token|secret|client_secret|code|"
            r"code_verifier)[\"']?\s*[=:]\s*)[\"']?[^\s\"'&,;}]+[\"']?"
        ),
        r"\1" + MASK,
    ),
    (re.compile(r"(?<![\d.])-?\d{1,3}\.\d{5,}\s*[,;/ ]\s*-?\d{1,3}\.\d{5,}"), MASK),
)


def redact(text: str) -> str:
    """`text` without tokens, passwords, addresses of mail, coordinates; a VIN keeps its last seven."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _VIN.sub(lambda match: MASK + match[1], text)


def redact_value(key: str, value: Any) -> Any:
    """A value fit for a log or a report, judged by its name and its text; containers are walked."""
    name = key.lower()
    if name in SECRET_KEYS or name in PERSONAL_KEYS:
        return MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(k): redact_value(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(key, item) for item in value]
    return value
