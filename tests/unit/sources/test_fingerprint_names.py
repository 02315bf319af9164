"""File names of fingerprints, as the library writes them, and CarData's."""

import pytest

from poller.sources.fingerprint import FingerprintName, cardata_name, file_name, read_name


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cardata-state_WBA00000000DEMO01.json", FingerprintName("cardata", "cardata", "WBA00000000DEMO01")),
        (
            "cardata-basicData_WBA00000000DEMO01.json",
            FingerprintName("cardata", "basicData", "WBA00000000DEMO01"),
        ),
        (
            "cardata-message-12_WBA00000000DEMO01.json",
            FingerprintName("cardata", None, "WBA00000000DEMO01"),
        ),
        ("cardata-mappings.json", FingerprintName("cardata", None, None)),
    ],
)
def test_cardatas_have_names_of_ours(name: str, expected: FingerprintName) -> None:
    assert read_name(name) == expected


@pytest.mark.parametrize("body", ["profile", "state", "charging_settings", "vehicle_finder"])
def test_what_is_named_is_read_as_it_was_meant(body: str) -> None:
    name = file_name("mini", body, "WMW00000000000001")
    assert read_name(name or "") == FingerprintName("mini", body, "WMW00000000000001")
    assert read_name(file_name("bmw", "list") or "") == FingerprintName("bmw", "list", None)
    assert file_name("bmw", "library") is None


@pytest.mark.parametrize("body", ["state", "cardata"])
def test_cardatas_state_has_one_name(body: str) -> None:
    assert cardata_name(body, "WBA00000000DEMO01") == "cardata-state_WBA00000000DEMO01.json"
