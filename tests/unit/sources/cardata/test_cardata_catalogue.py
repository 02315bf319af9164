"""The catalogue of descriptors: complete, and agreed with by everything that names one."""

from __future__ import annotations

from poller.sources.cardata.meaning.catalogue import CATALOGUE, DEFAULT_CONTAINER, OWN_ENDPOINT
from poller.sources.cardata.meaning.table import RULES, needs
from poller.sources.cardata.meaning.values import unit
from poller.vehicle.signals import BY_KEY


def test_all_294_descriptors_are_known() -> None:
    assert len(CATALOGUE) == 294
    assert all(name == descriptor.name for name, descriptor in CATALOGUE.items())
    assert all(name.startswith("vehicle.") and name.isascii() for name in CATALOGUE)


def test_49_come_by_rest_alone() -> None:
    assert sum(not descriptor.streamable for descriptor in CATALOGUE.values()) == 49
    assert not CATALOGUE["vehicle.cabin.door.lock.status"].streamable
    assert CATALOGUE["vehicle.vehicle.travelledDistance"].streamable


def test_the_default_container_has_44_that_the_api_gives() -> None:
    assert len(DEFAULT_CONTAINER) == len(set(DEFAULT_CONTAINER)) == 42
    assert OWN_ENDPOINT - CATALOGUE.keys() == set()
    assert not OWN_ENDPOINT & set(DEFAULT_CONTAINER)


def test_every_unit_is_spelled_as_the_reader_of_values_spells_it() -> None:
    """Otherwise a value without a unit would be in one that no converter knows."""
    units = {descriptor.unit for descriptor in CATALOGUE.values()} - {None}
    assert {name for name in units if unit(name) != name} == set()


def test_every_rule_reads_descriptors_of_the_catalogue_into_signals_of_ours() -> None:
    assert needs().keys() <= BY_KEY.keys()
    assert {name for names in needs().values() for name in names} <= CATALOGUE.keys()


def test_the_default_container_feeds_only_signals() -> None:
    """Each of its keys is a call's worth of something that an owner sees."""
    read = {name for names in needs().values() for name in names}
    assert set(DEFAULT_CONTAINER) - read == set()


def test_what_a_signal_needs_is_named_best_first() -> None:
    assert needs()["soc_percent"][0] == "vehicle.drivetrain.batteryManagement.header"
    assert set(needs()["door_open"]) == {
        f"vehicle.cabin.door.row{row}.{side}.isOpen" for row in (1, 2) for side in ("driver", "passenger")
    }


def test_no_signal_has_two_rules_for_one_position() -> None:
    keys = [(rule.key, getattr(rule, "position", None)) for rule in RULES]
    assert len(set(keys)) == len(keys)


def test_what_cardata_has_not_is_known() -> None:
    """The charging window's times are only in the charging settings; the rest is MyBMW's alone."""
    assert set(BY_KEY) - {rule.key for rule in RULES} == {
        "charging_start_at",
        "climate_end_at",
        "tire_season",
        "idrive_version",
    }
