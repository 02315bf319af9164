"""Durations, sizes, addresses: what is read, what is refused, and that what is written is read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from poller.runtime.quantities import (
    Count,
    FileMode,
    Outside,
    Vin,
    WebAddress,
    is_loopback,
    seconds,
    size_in_bytes,
    written_duration,
    written_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1d12h", 129_600), ("1.5h", 5400),
     ("250ms", 0.25), ("300", 300), (300, 300), (0.5, 0.5), ("0", 0), (" 5m ", 300)],
)  # fmt: skip
def test_durations(text, expected) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "5mm",
        "5 m",
        "m5",
        "",
        "5M",
        "-5m",
        -1,
        True,
        None,
        [],
        "1h-30m",
        "101000d",
        float("nan"),
        "1e3",
        "5m5m",
        "5s1h",
        " ",
    ],
)
def test_what_is_no_duration(text) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


@given(st.integers(0, 100 * 366 * 86_400_000))
def test_a_written_duration_is_read_back(milliseconds) -> None:
    number = milliseconds / 1000
    assert seconds(written_duration(number)) == pytest.approx(number, abs=1e-6)


@given(st.integers(0, 2**60))
def test_a_written_size_is_read_back(number) -> None:
    assert size_in_bytes(written_size(number)) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2GiB", 2**31), ("500MB", 500_000_000), ("1.5 KiB", 1536), ("17", 17), (0, 0)],
)
def test_sizes(text, expected) -> None:
    assert size_in_bytes(text) == expected


@pytest.mark.parametrize("text", ["2gb", "GiB", "-1", -1, True, 1.5, None])
def test_what_is_no_size(text) -> None:
    with pytest.raises(ValueError, match="size"):
        size_in_bytes(text)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine(host) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "localhost.example.org", "example.org", ""])  # noqa: S104 - is refused
def test_other_machines(host) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (WebAddress, "https://host:8443/path/", "https://host:8443/path"),
        (WebAddress, "http://[::1]:80", "http://[::1]:80"),
        (Vin, "wmw00000000000001", "WMW00000000000001"),
        (Count, Outside("500"), 500),
        (FileMode, "0640", 0o640),
        (FileMode, 0o600, 0o600),
    ],
)
def test_values_that_are_taken(kind, value, expected) -> None:
    assert TypeAdapter(kind).validate_python(value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((WebAddress, text) for text in ("host", "ftp://host", "https://", "https://a b", "https://h?x=1", "http://h:0")),
        *((WebAddress, text) for text in ("https://me@host", "https://:pw@host", "https://h:99999")),
        *((Vin, text) for text in ("", "WMW0000000000001", "WMW000000000000011", "WMW-0000000000001")),
        *((Count, value) for value in (True, 1.0, "500", Outside("5x"), Outside("-5"))),
        *((FileMode, value) for value in ("640x", "0999", 0o1000, True)),
    ],
)  # fmt: skip
def test_values_that_are_refused(kind, value) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)
