"""Rules over the whole tree: they speak of what they are about, and pass over what is of the wrong type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.settings.problems import Problem, dotted, nearest, variable
from poller.settings.rules import problems_in

BMW = {"type": "mybmw", "username": "x"}
CARDATA = {"type": "cardata", "client_id": "x"}
HERE = {"auth_url": "http://127.0.0.1:1", "api_url": "http://localhost:2"}


def places(tree) -> list[str]:
    return [dotted(problem.place) for problem in problems_in(tree, ())]


@pytest.mark.parametrize(
    ("poll", "source", "expected"),
    [
        ("60s", BMW, []),
        ("59s", BMW, ["poll.interval"]),
        ("59s", BMW | {"interval": ""}, ["poll.interval"]),
        ("59s", BMW | {"interval": "60s"}, []),
        ("60s", BMW | {"interval": "59s"}, ["sources.a.interval"]),
        ("1s", BMW | {"base_url": "http://127.0.0.1:1"}, []),
        ("1s", BMW | {"base_url": "http://localhost"}, []),
        ("1s", BMW | {"base_url": "http://127.0.0.1.example.org"}, ["poll.interval"]),
        ("1s", BMW | {"base_url": "http://["}, ["poll.interval"]),
        ("59s", CARDATA, ["poll.interval"]),
        ("60s", CARDATA | {"interval": "1s"}, ["sources.a.interval"]),
        ("60s", CARDATA, []),
        ("1s", CARDATA | HERE | {"stream_url": "mqtt://[::1]:1883"}, []),
        ("1s", CARDATA | HERE | {"stream_url": ""}, []),
        ("1s", CARDATA | HERE, ["poll.interval"]),
        ("1s", CARDATA | HERE | {"stream_url": "", "auth_url": "https://example.org"}, ["poll.interval"]),
        ("1s", CARDATA | HERE | {"stream_url": "", "api_url": ""}, ["poll.interval"]),
        ("1s", CARDATA | HERE | {"stream_url": "mqtt://broker.example.org"}, ["poll.interval"]),
        ("1s", CARDATA | HERE | {"stream_url": 5}, ["poll.interval"]),
        ("1s", {"type": ["cardata"]}, []),
        ("10s", {"type": "command"}, []),
        ("9s", {"type": "command"}, ["poll.interval"]),
        ("1s", {"type": "recorded"}, []),
        ("nonsense", BMW, []),
    ],
)
def test_the_makers_hosts_are_left_in_peace(poll, source, expected) -> None:
    assert places({"poll": {"interval": poll}, "sources": {"a": source}}) == expected


@pytest.mark.parametrize("name", ["a", "1", "my-car", "my_car", "a-1_b-2", "0000001"])
def test_legal_names(name) -> None:
    assert places({"sources": {name: {}}}) == []


@pytest.mark.parametrize("name", ["", "A", "a--b", "a__b", "-a", "a_", "a.b", "ä", "a b", "a\n"])
def test_illegal_names(name) -> None:
    assert len(places({"sources": {name: {}}})) == 1


def test_one_cardata_client_has_one_table() -> None:
    """Two would spend the same calls, kick each other off the stream and take each other's login."""
    one = {"type": "cardata", "client_id": "0000000A-0000-4000-8000-00000000c11e"}
    again = {"type": "cardata", "client_id": " '0000000a-0000-4000-8000-00000000C11E' "}
    other = {"type": "cardata", "client_id": "00000000-0000-4000-8000-00000000c11f"}
    assert places({"sources": {"a": one, "b": other, "c": BMW | {"client_id": one["client_id"]}}}) == []
    problems = list(problems_in({"sources": {"a": one, "b": other, "c": again}}, ()))
    assert [dotted(problem.place) for problem in problems] == ["sources.c.client_id"]
    assert "[sources.a]" in problems[0].text
    assert "0000000" not in problems[0].text


def test_live_sinks_and_folders() -> None:
    sinks = {
        "a": {"type": "prometheus"},
        "b": {"type": "prometheus"},
        "c": {"type": "json_files"},
        "d": {"type": "json_files", "directory": "x/../snapshots"},
        "e": {"type": "json_files", "directory": "e"},
    }
    assert places({"sources": {"a": {}}, "sinks": sinks}) == ["sinks.b.type", "sinks.d.directory"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_TABLE = st.dictionaries(st.sampled_from(["type", "vin", "interval", "directory", "base_url"]), _JSON)


@given(
    st.dictionaries(
        st.sampled_from(["poll", "sources", "vehicles", "sinks"]),
        _JSON | _TABLE | st.dictionaries(st.text(), _TABLE),
    )
)
def test_no_rule_stumbles_over_what_is_wrong_elsewhere(tree) -> None:
    for problem in problems_in(tree, ()):
        assert problem.render("file")


def test_a_problem_names_file_path_mend_and_origin() -> None:
    problem = Problem(("sources", "My Car", "vins[0]"), "is wrong: mend it", "the variable V")
    assert (
        problem.render("/etc/c.toml")
        == '/etc/c.toml: sources."My Car".vins[0]: is wrong: mend it (from the variable V)'
    )


def test_names_as_variables_spell_them() -> None:
    assert variable(("sources", "my-car", "password")) == "POLLER_SOURCES__MY_CAR__PASSWORD"


@pytest.mark.parametrize(
    ("name", "near"), [("usernmae", "username"), ("Password", "password"), ("xyz", None)]
)
def test_the_nearest_name(name, near) -> None:
    assert nearest(name, ["username", "password", "region"]) == near
