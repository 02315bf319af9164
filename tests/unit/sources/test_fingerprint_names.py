"""File names of fingerprints, as the library writes them."""

import pytest

from poller.sources.fingerprint import FingerprintName, read_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mini-eadrax-vcs_v5_vehicle-list.json", FingerprintName("mini", "list", None)),
        (
            "bmw-eadrax-vcs_v4_vehicles_state_WBA00000000DEMO01.json",
            FingerprintName("bmw", "state", "WBA00000000DEMO01"),
        ),
        (
            "toyota-eadrax-vcs_v5_vehicle-data_profile_WZ100000000000J29.json",
            FingerprintName("toyota", "profile", "WZ100000000000J29"),
        ),
        (
            "bmw-eadrax-crccs_v2_vehicles_WBA00000000000002.json.gz",
            FingerprintName("bmw", "charging_settings", "WBA00000000000002"),
        ),
        (
            "bmw-eadrax-ics_v5_presentation_vehicles_images_WBA00000000000002.json",
            FingerprintName("bmw", None, "WBA00000000000002"),
        ),
        ("20230903T191438.json", None),
        ("bmw-eadrax-vcs_v4_vehicles_state_WBA00000000000002.txt", None),
        ("x-bmw-eadrax-vcs_v5_vehicle-list.json", None),
    ],
)
def test_a_name_says_brand_answer_and_vehicle(name: str, expected: FingerprintName | None) -> None:
    assert read_name(name) == expected
