"""Where configuration, secrets and data are found on a real disk, and which of them wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poller.errors import ConfigError
from poller.settings import load
from poller.settings.layers import Layers
from poller.settings.places import default_data_dir, find_file, secret_folders, system_zone
from poller.settings.variables import Variables

DUMPS = '[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n'
BMW = '[sources.bmw]\ntype = "mybmw"\nusername = "owner@example.com"\n'
AXIOM = '[sinks.axiom]\ntype = "axiom"\ndataset = "cars"\n'


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's folder, only its owner may read it."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return written


@pytest.fixture
def environ(tmp_path):
    return {"HOME": str(tmp_path / "home"), "TZ": "UTC", "POLLER_DATA_DIR": str(tmp_path / "data")}


def secret(settings) -> str | None:
    password = settings.sources["bmw"].password
    return password.get_secret_value() if password else None


def test_files_are_searched_in_order(write, environ, tmp_path) -> None:
    home = write("home/.config/poller/config.toml", DUMPS)
    here = write("here/config.toml", DUMPS)
    named = write("named.toml", DUMPS)
    given = write("given.toml", DUMPS)
    cwd = tmp_path / "here"
    assert load(given, environ=environ | {"POLLER_CONFIG": str(named)}, cwd=cwd).path == given
    assert load(environ=environ | {"POLLER_CONFIG": str(named)}, cwd=cwd).path == named
    assert load(environ=environ | {"POLLER_CONFIG": "../named.toml"}, cwd=cwd).path.samefile(named)
    assert load(environ=environ | {"POLLER_CONFIG": ""}, cwd=cwd).path == here
    here.unlink()
    assert load(environ=environ, cwd=cwd).path == home
    home.unlink()
    assert find_file(None, environ, cwd).looked[-1] == Path("/etc/poller/config.toml")


def test_a_config_of_somebody_else_is_passed_over_and_named(write, environ, tmp_path) -> None:
    home = write("home/.config/poller/config.toml", DUMPS)
    other = write("here/config.toml", '[server]\nport = 80\n# [sources]\nname = "sources"\n')
    loaded = load(environ=environ, cwd=tmp_path / "here")
    assert loaded.path == home
    assert [warning for warning in loaded.warnings if str(other) in warning]


@pytest.mark.parametrize(
    "text", ["[sources.a]\ntype =", "sources.a.type = 'x'\nbroken", "  [ sources . a ]\n["]
)
def test_a_broken_config_of_ours_is_not_passed_over(write, environ, tmp_path, text) -> None:
    write("home/.config/poller/config.toml", DUMPS)
    here = write("here/config.toml", text)
    with pytest.raises(ConfigError, match="not valid TOML") as caught:
        load(environ=environ, cwd=tmp_path / "here")
    assert caught.value.problems[0].startswith(f"{here}: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "not UTF-8"),
        ("folder", "Is a directory"),
        (b"x = " + b"[" * 50_000, "deep"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, environ, content, reason) -> None:
    path = tmp_path / "config.toml"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        load(path, environ=environ, cwd=tmp_path)
    assert str(path) in caught.value.problems[0]


def test_without_any_file_the_problem_says_where_was_looked(environ, tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ=environ, cwd=tmp_path)
    (line,) = caught.value.problems
    assert line.startswith("(no configuration file): sources: ")
    assert str(tmp_path / "config.toml") in line
    assert "poller demo" in line


def test_variables_alone_will_do(environ, tmp_path) -> None:
    environ |= {"POLLER_SOURCES__A__TYPE": "recorded", "POLLER_SOURCES__A__DIRECTORY": "x"}
    loaded = load(environ=environ, cwd=tmp_path)
    assert (loaded.path, loaded.base) == (None, tmp_path)


def test_every_layer_wins_over_the_next(write, environ, tmp_path) -> None:
    path = write("config.toml", DUMPS + '[poll]\ninterval = "1h"\n')
    layers = {
        "POLLER_POLL__INTERVAL_FILE": str(write("anywhere", "3h\n")),
        "POLLER_POLL__INTERVAL": "4h",
    }
    credentials = {"CREDENTIALS_DIRECTORY": str(write("secrets/poller_poll__interval", "2h\n").parent)}

    def hours(environ, **overrides: str) -> float:
        settings = load(path, environ=environ, cwd=tmp_path, overrides=overrides).settings
        return settings.poll.interval / 3600

    assert hours(environ) == 1
    environ |= credentials
    assert hours(environ) == 2
    for expected, (name, value) in enumerate(layers.items(), start=3):
        environ[name] = value
        assert hours(environ) == expected
    assert hours(environ, **{"poll.interval": "5h"}) == 5


def test_the_command_line_is_named_as_the_origin(write, environ, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"log\.level: expected one of .* \(from the command line\)"):
        load(write("config.toml", DUMPS), environ=environ, cwd=tmp_path, overrides={"log.level": "loud"})


def test_a_credential_wins_over_a_containers_secret(tmp_path) -> None:
    assert secret_folders({"CREDENTIALS_DIRECTORY": "/c"}) == [Path("/run/secrets"), Path("/c")]
    layers = Layers({})
    for folder, level in (("run", "info"), ("credentials", "debug")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "poller_log__level").write_text(level)
    for given in Variables({}, [tmp_path / "run", tmp_path / "credentials"]).given:
        layers.lay(given.spelling, given.text, given.origin)
    assert layers.value(("log", "level")) == "debug"


def test_only_regular_files_with_our_prefix_are_secrets(tmp_path) -> None:
    """Kubernetes mounts links to links, and folders beside them."""
    real = tmp_path / "..data"
    real.mkdir()
    (real / "poller_web__password").write_text("hunter2\n\n")
    (tmp_path / "poller_web__password").symlink_to(real / "poller_web__password")
    (tmp_path / "poller_folder").mkdir()
    (tmp_path / "poller_gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "axiom_token").write_text("x")
    variables = Variables({}, [tmp_path, tmp_path / "missing"])
    assert [(given.spelling, given.text) for given in variables.given] == [(("web", "password"), "hunter2\n")]
    assert variables.problems == []


@pytest.mark.parametrize("name", ["poller_config", "poller_config.toml"])
def test_the_configuration_itself_may_lie_among_the_secrets(write, environ, tmp_path, name) -> None:
    path = write(f"secrets/{name}", DUMPS)
    environ |= {"CREDENTIALS_DIRECTORY": str(path.parent), "POLLER_CONFIG": str(path)}
    assert load(environ=environ, cwd=tmp_path).path == path


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_file_loses_its_last_newline_and_no_more(write, environ, tmp_path, end) -> None:
    secret_file = write("pw", "")
    secret_file.write_bytes(f" hunter2 {end}".encode())
    environ["POLLER_SOURCES__BMW__PASSWORD_FILE"] = str(secret_file)
    assert secret(load(write("config.toml", BMW), environ=environ, cwd=tmp_path).settings) == " hunter2 "


def test_axiom_token_serves_every_axiom_sink_but_the_one_with_a_variable_of_its_own(
    write, environ, tmp_path
) -> None:
    text = (
        DUMPS
        + AXIOM
        + AXIOM.replace("axiom]", "b]")
        + 'token = "in-the-file"\n'
        + AXIOM.replace("axiom]", "c]")
    )
    environ |= {"AXIOM_TOKEN": "common", "POLLER_SINKS__C__TOKEN": "own"}
    loaded = load(write("config.toml", text), environ=environ, cwd=tmp_path)
    tokens = {name: sink.token.get_secret_value() for name, sink in loaded.settings.sinks.items()}
    assert tokens == {"axiom": "common", "b": "common", "c": "own"}
    (warning,) = loaded.warnings
    assert "sinks.b.token: the variable AXIOM_TOKEN is used instead" in warning


@pytest.mark.parametrize(
    ("mode", "text", "warned"),
    [
        (0o644, BMW + 'password = "hunter2"', "sources.bmw.password"),
        (0o604, DUMPS + AXIOM + 'token = "hunter2"', "sinks.axiom.token"),
        (
            0o644,
            '[sources.a]\ntype = "command"\ncommand = ["bmw", "me@example.com", "hunter2"]',
            "sources.a.command",
        ),
        (0o640, BMW + 'password = "hunter2"', None),
        (0o644, BMW, None),
    ],
)
def test_a_readable_file_with_secrets_is_warned_of(write, environ, tmp_path, mode, text, warned) -> None:
    path = write("config.toml", text)
    path.chmod(mode)
    warnings = load(path, environ=environ, cwd=tmp_path).warnings
    assert [warned in warning and f"chmod 600 {path}" in warning for warning in warnings] == [True] * bool(
        warned
    )
    assert "hunter2" not in str(warnings)


def test_a_secret_from_outside_needs_no_warning(write, environ, tmp_path) -> None:
    path = write("config.toml", BMW + 'password = ""')
    path.chmod(0o644)
    environ["POLLER_SOURCES__BMW__PASSWORD"] = "hunter2"
    assert load(path, environ=environ, cwd=tmp_path).warnings == ()


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('[web]\nlisten = ["127.0.0.1:1", "0.0.0.0:2"]\n', "0.0.0.0 can be reached by others"),
        ('[web]\nlisten = ""\n[sinks.p]\ntype = "prometheus"\n', "nothing serves /metrics"),
    ],
)
def test_other_warnings(write, environ, tmp_path, text, fragment) -> None:
    (warning,) = load(write("config.toml", DUMPS + text), environ=environ, cwd=tmp_path).warnings
    assert fragment in warning


def test_the_default_data_directory() -> None:
    home = {"HOME": "/home/me"}
    assert default_data_dir({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, system=True) == Path("/var/lib/a")
    assert default_data_dir(home, system=True) == Path("/var/lib/poller")
    assert default_data_dir(home | {"XDG_DATA_HOME": "/x"}, system=False) == Path("/x/poller")
    below_home = Path("/home/me/.local/share/poller")
    assert default_data_dir(home | {"XDG_DATA_HOME": "x"}, system=False) == below_home
    assert default_data_dir({}, system=False) is None


def test_relative_paths_count_from_the_file_and_on_the_command_line_from_here(
    write, environ, tmp_path
) -> None:
    del environ["POLLER_DATA_DIR"]
    path = write("etc/config.toml", 'data_dir = "data"\n' + DUMPS)
    cwd = tmp_path / "elsewhere"
    loaded = load(path, environ=environ, cwd=cwd)
    assert (loaded.settings.data_dir, loaded.base) == (tmp_path / "etc/data", tmp_path / "etc")
    assert (
        load(path, environ=environ | {"POLLER_DATA_DIR": "b"}, cwd=cwd).settings.data_dir
        == tmp_path / "etc/b"
    )
    assert load(path, environ=environ, cwd=cwd, overrides={"data_dir": "c"}).settings.data_dir == cwd / "c"
    assert (
        load(path, environ=environ | {"POLLER_DATA_DIR": "~/d"}, cwd=cwd).settings.data_dir
        == tmp_path / "home/d"
    )


def test_an_empty_data_directory_is_the_default(write, environ, tmp_path) -> None:
    path = write("config.toml", 'data_dir = ""\n' + DUMPS)
    environ |= {"POLLER_DATA_DIR": "", "STATE_DIRECTORY": "/var/lib/here"}
    assert load(path, environ=environ, cwd=tmp_path).settings.data_dir == Path("/var/lib/here")


def test_the_systems_time_zone(tmp_path) -> None:
    assert system_zone({}, tmp_path) == ""
    (tmp_path / "timezone").write_text("Europe/Berlin\n")
    assert system_zone({}, tmp_path) == "Europe/Berlin"
    (tmp_path / "localtime").symlink_to("../usr/share/zoneinfo/Europe/Paris")
    assert system_zone({}, tmp_path) == "Europe/Paris"
    assert system_zone({"TZ": ":Europe/London"}, tmp_path) == "Europe/London"
    assert system_zone({"TZ": "nonsense"}, tmp_path) == "Europe/Paris"


def test_the_systems_time_zone_is_in_force_unless_one_is_set(write, environ, tmp_path) -> None:
    environ["TZ"] = "Europe/London"
    path = write("config.toml", DUMPS + '[display]\nunits = "uk"\n')
    assert load(path, environ=environ, cwd=tmp_path).settings.display.timezone == "Europe/London"
    environ["POLLER_DISPLAY__TIMEZONE"] = "Europe/Dublin"
    assert load(path, environ=environ, cwd=tmp_path).settings.display.timezone == "Europe/Dublin"


def test_the_same_input_gives_equal_settings(write, environ, tmp_path) -> None:
    """A reload can tell whether anything changed."""
    path = write("config.toml", BMW + 'password = "hunter2"')
    first, second = (load(path, environ=environ, cwd=tmp_path).settings for _ in range(2))
    assert first == second


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's data lie with the service's")
def test_root_with_a_file_of_his_own_is_told_where_its_data_go(write, environ, tmp_path) -> None:
    del environ["POLLER_DATA_DIR"]
    path = write("config.toml", DUMPS)
    loaded = load(path, environ=environ, cwd=tmp_path)
    assert loaded.settings.data_dir == Path("/var/lib/poller")
    assert loaded.warnings == (
        f"{path}: root's data are in /var/lib/poller, as the service's: for others set data_dir",
    )
    elsewhere = environ | {"POLLER_DATA_DIR": "data"}
    assert load(path, environ=elsewhere, cwd=tmp_path).warnings == ()
    service = environ | {"STATE_DIRECTORY": "/var/lib/poller"}
    assert load(path, environ=service, cwd=tmp_path).warnings == ()
