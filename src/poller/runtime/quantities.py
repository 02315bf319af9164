"""Types that settings of every room use: durations, sizes, file modes, closed tables."""

from __future__ import annotations

import re
from typing import Annotated, Any

import durationpy
from pydantic import BaseModel, BeforeValidator, ConfigDict

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:d|h|m|s|ms))+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


class StrictTable(BaseModel):
    """A table of the configuration: closed (no unknown keys) and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def seconds(value: Any) -> float:
    """Seconds from "90s", "5m", "1h30m", "730d" or a plain number. ValueError says how to write it."""
    if isinstance(value, bool):
        raise ValueError('expected a duration such as "5m" or a number of seconds')
    if isinstance(value, int | float) or (
        isinstance(value, str) and re.fullmatch(r"\d+(?:\.\d+)?", value.strip())
    ):
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


def size_in_bytes(value: Any) -> int:
    """Bytes from "2GiB", "500MB" or a plain number; "0" is no limit. ValueError says how to write it."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(float(match[1]) * _SIZE_UNITS[match[2]])
    raise ValueError('expected a size such as "500MiB", "2GiB" or a number of bytes')


def _file_mode(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"0?[0-7]{3}", value):
        return int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    raise ValueError('expected an octal file mode in quotes, such as "0640"')


Duration = Annotated[float, BeforeValidator(seconds)]
Size = Annotated[int, BeforeValidator(size_in_bytes)]
FileMode = Annotated[int, BeforeValidator(_file_mode)]
