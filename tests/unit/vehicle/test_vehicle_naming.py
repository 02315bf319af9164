"""What an owner may call a vehicle."""

from __future__ import annotations

import pytest

from poller.vehicle.naming import goes_by

VIN = "WMW00000000000001"


@pytest.mark.parametrize("name", [VIN, VIN.lower(), "0000001", "mini", "MINI", " mini ", "cooper se"])
def test_it_goes_by_vin_and_names_in_any_case(name) -> None:
    assert goes_by(name, vin=VIN, slug="mini", model="Cooper SE")


@pytest.mark.parametrize("name", ["", "  ", "min", "000001", "cooper", VIN[:10]])
def test_a_part_of_a_name_is_no_name(name) -> None:
    assert not goes_by(name, vin=VIN, slug="mini", model="Cooper SE")
    assert not goes_by(name, vin=VIN, slug="mini", model="")
