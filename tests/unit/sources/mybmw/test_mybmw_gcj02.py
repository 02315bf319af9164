"""Positions in China, against the vectors that the library gives."""

from __future__ import annotations

import random

import pytest

from poller.sources.mybmw.meaning.gcj02 import to_wgs84


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((39.83492, 116.23221), (39.83369819675141, 116.22616903935962)),
        ((31.2304, 121.4737), (31.232329239140196, 121.46916226346737)),
        ((22.5431, 114.0579), (22.545826497020524, 114.05279233428674)),
        ((25.033, 121.5654), (25.035927891878938, 121.5616197466931)),
        ((48.1, 11.5), (48.1, 11.5)),
        ((35.6895, 139.6917), (35.6895, 139.6917)),
        ((0, 0), (0, 0)),
    ],
)
def test_a_position_is_as_satellites_give_it(given, expected) -> None:
    assert to_wgs84(*given) == pytest.approx(expected, abs=1e-9)


def test_it_ends_everywhere_also_at_the_edge_of_the_box() -> None:
    """The library runs for ever at one in fifteen of these points."""
    rng = random.Random(3)
    for _ in range(2_000):
        edge = rng.choice([(0.8293, 90.0), (55.8271, 90.0), (30.0, 72.004), (30.0, 137.8347)])
        north, east = (value + rng.uniform(-0.01, 0.01) for value in edge)
        moved = to_wgs84(north, east)
        assert moved == pytest.approx((north, east), abs=0.05)
