"""Where a simulator may listen: on this machine, and nowhere else."""

import pytest

from poller.simulator.server import split_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("8080", ("127.0.0.1", 8080)),
        (":8080", ("127.0.0.1", 8080)),
        ("localhost:1", ("127.0.0.1", 1)),
        ("[::1]:9000", ("::1", 9000)),
        ("127.9.9.9:65535", ("127.9.9.9", 65535)),
    ],
)
def test_loopback_is_taken(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "example.com:80", "127.0.0.1", "127.0.0.1:65536", "x:y"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        split_address(text)
