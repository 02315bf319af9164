"""Strings are laid over the document's own names, and remembered by where they came from."""

from __future__ import annotations

import pytest

from poller.settings.layers import Layers
from poller.settings.variables import Variables

DOCUMENT = {"poll": {"interval": "5m"}, "sources": {"my-car": {"type": "mybmw"}, "other_car": {}}}


def test_a_variable_reaches_a_name_with_a_dash() -> None:
    layers = Layers(DOCUMENT)
    layers.lay(("sources", "my_car", "username"), "x", "the variable V")
    assert layers.tree["sources"]["my-car"] == {"type": "mybmw", "username": "x"}
    assert layers.origin(("sources", "my-car", "username")) == "the variable V"


def test_a_table_that_the_document_lacks_is_made() -> None:
    layers = Layers(DOCUMENT)
    layers.lay(("sinks", "my_files", "type"), "json_files", "the variable V")
    assert layers.tree["sinks"] == {"my_files": {"type": "json_files"}}


def test_the_document_itself_stays_as_it_was() -> None:
    layers = Layers(DOCUMENT)
    layers.lay(("poll", "interval"), "10m", "the variable V")
    assert layers.tree["poll"]["interval"] == "10m"
    assert layers.document["poll"]["interval"] == "5m"


def test_the_later_layer_wins_and_is_named() -> None:
    layers = Layers({})
    layers.lay(("poll", "interval"), "10m", "the secret file F")
    layers.lay(("poll", "interval"), "20m", "the variable V")
    assert layers.value(("poll", "interval")) == "20m"
    assert layers.origin(("poll", "interval")) == "the variable V"


@pytest.mark.parametrize("spelling", [("poll",), ("sources", "my_car"), ("poll", "interval", "x")])
def test_tables_and_values_are_not_mixed_up(spelling) -> None:
    layers = Layers(DOCUMENT)
    layers.lay(spelling, "secret", "the variable V")
    assert layers.tree == DOCUMENT
    assert len(layers.problems) == 1
    assert "secret" not in layers.problems[0].text


def test_the_origin_of_a_table_is_all_that_lies_below() -> None:
    layers = Layers(DOCUMENT)
    layers.lay(("log", "level"), "debug", "the variable A")
    layers.lay(("log", "format"), "json", "the variable B")
    assert layers.origin(("log",)) == "the variable A and the variable B"
    assert layers.origin(("poll", "interval")) is None


def test_only_variables_of_ours_are_taken() -> None:
    environ = {
        "POLLER_LOG__LEVEL": "debug", "poller_log__format": "json", "POLLERX": "x", "XPOLLER_Y": "x",
        "POLLER_CONFIG": "x", "POLLER_SERVICE_HOST": "x", "POLLER_PORT": "x", "POLLER_PORT_9877_TCP": "x",
    }  # fmt: skip
    given = Variables(environ).given
    assert [(each.spelling, each.text) for each in given] == [
        (("log", "level"), "debug"),
        (("log", "format"), "json"),
    ]


def test_a_secret_is_not_in_the_repr_of_what_was_given() -> None:
    assert "hunter2" not in repr(Variables({"POLLER_WEB__PASSWORD": "hunter2"}).given)
    assert "hunter2" not in repr(Variables({"AXIOM_TOKEN": "hunter2"}).axiom_token)


def test_one_setting_in_two_variables_is_a_problem() -> None:
    variables = Variables({"POLLER_LOG__LEVEL": "debug", "poller_log__level": "info"})
    assert [problem.place for problem in variables.problems] == [("log", "level")]
