"""Types that settings of every room use: durations, sizes, file modes, addresses, lists, closed tables."""

from __future__ import annotations

import ipaddress
import re
from fractions import Fraction
from typing import Annotated, Any
from urllib.parse import urlsplit

import durationpy
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

_NUMBER = r"\d+(?:\.\d+)?"
#: Each unit once, the larger first: "5m5m" and "5s1h" are slips.
_DURATION = re.compile("(?=.)" + "".join(f"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m", "s", "ms")))
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_VIN = re.compile(r"[A-Z0-9]{17}")


class StrictTable(BaseModel):
    """A table of the configuration: closed (no unknown keys) and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Outside(str):
    """Text from a variable, a secret file or the command line: a list in it is comma-separated."""

    __slots__ = ()


def seconds(value: Any) -> float:
    """Seconds from "90s", "5m", "1h30m", "730d" or a plain number. ValueError says how to write it."""
    if isinstance(value, bool):
        raise ValueError('expected a duration such as "5m" or a number of seconds')
    if isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(_NUMBER, value.strip())):
        number = float(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        number = _written_seconds(value.strip())
    else:
        raise ValueError('expected a duration such as "90s", "5m", "1h30m" or "2d"')
    if not 0 <= number <= 100 * 366 * 86400:
        raise ValueError("a duration lies between 0 and 100 years")
    return number


def _written_seconds(text: str) -> float:
    # durationpy knows "d" only as a whole number of days in front; days are taken off first.
    days = re.match(r"(\d+(?:\.\d+)?)d", text)
    rest = text[days.end() :] if days else text
    total = float(days.group(1)) * 86400 if days else 0.0
    try:
        return total + (durationpy.from_str(rest).total_seconds() if rest else 0.0)
    except durationpy.DurationError as error:
        raise ValueError(f'cannot read {text!r}: write "90s", "5m", "1h30m" or "2d"') from error


def written_duration(number: float) -> str:
    """The shortest way to write `number` seconds that `seconds` reads back: "5m", "1h30m", "0"."""
    rest, parts = round(number * 1000), ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0"


def size_in_bytes(value: Any) -> int:
    """Bytes from "2GiB", "500MB" or a plain number; "0" is no limit. ValueError says how to write it."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(Fraction(match[1]) * _SIZE_UNITS[match[2]])
    raise ValueError('expected a size such as "500MiB", "2GiB" or a number of bytes')


def written_size(number: int) -> str:
    """`number` bytes in the largest unit that gives a whole number: "500MiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if number and number % _SIZE_UNITS[unit] == 0:
            return f"{number // _SIZE_UNITS[unit]}{unit}"
    return str(number)


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, is this machine and nobody else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _file_mode(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"0?[0-7]{3}", value):
        return int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    raise ValueError('expected an octal file mode in quotes, such as "0640"')


def _items(value: Any) -> Any:
    if isinstance(value, Outside):
        return [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(value, str):
        raise ValueError('expected a list in square brackets, such as ["one", "two"]')
    return value


def _count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Outside) and re.fullmatch(r"\d{1,9}", value):
        return int(value)
    raise ValueError("expected a whole number without quotes")


def _vin(value: str) -> str:
    # Letters I, O and Q are in no real VIN, but in captured answers with masked ones.
    if not _VIN.fullmatch(value.upper()):
        raise ValueError("expected a vehicle identification number: 17 letters and digits")
    return value.upper()


def _web_address(value: str) -> str:
    wrong = ValueError('expected an address such as "https://host" or "https://host:8443/path"')
    try:
        url = urlsplit(value)
        good = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        raise wrong from None
    if not good or re.search(r"\s", value) or url.query or url.fragment:
        raise wrong
    if url.username is not None or url.password is not None:
        raise ValueError("an address holds no user name or password")
    return value.rstrip("/")


def _unless_empty(value: Any) -> Any:
    return None if value == "" else value


Duration = Annotated[float, BeforeValidator(seconds), PlainSerializer(written_duration, when_used="json")]
PositiveDuration = Annotated[Duration, Field(gt=0)]
Size = Annotated[int, BeforeValidator(size_in_bytes), PlainSerializer(written_size, when_used="json")]
FileMode = Annotated[
    int, BeforeValidator(_file_mode), PlainSerializer(lambda m: f"{m:04o}", when_used="json")
]
Count = Annotated[int, BeforeValidator(_count)]
Vin = Annotated[str, AfterValidator(_vin)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
#: Beside an optional type: "" means none, as in a variable that is there but empty.
EmptyIsNone = BeforeValidator(_unless_empty)
#: Beside a tuple's type: ``Annotated[tuple[str, ...], Items]``.
Items = BeforeValidator(_items)
