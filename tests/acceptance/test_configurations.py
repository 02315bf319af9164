"""Broken configurations: exit 2, every problem named with file and path, no secret shown. Odd ones: good.

Every secret in the tables contains `SECRET`, so that a look at the output is enough.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from poller.cli.main import run

SECRET = "hunter2"
CARDATA = """
[sources.one]
type = "cardata"
client_id = "00000000-0000-4000-8000-00000000c11e"
"""
BMW = f"""
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
password = "{SECRET}"
"""
DUMPS = """
[sources.dumps]
type = "recorded"
directory = "dumps"
"""
AXIOM = f"""
[sinks.axiom]
type = "axiom"
dataset = "cars"
token = "xaat-{SECRET}"
"""
SUMMED_UP = """
[sources.dumps]
type = "recorded"
directory = "dumps"
interval = 90
[vehicles.mini]
vin = "wmw00000000000001"
[web]
listen = "0.0.0.0:9877"
base_path = "/car"
"""
NO_PASSWORD = (
    "web.listen: 0.0.0.0 can be reached by others: "
    "without web.password page and API are not served, only /metrics, /healthz and /readyz"
)


@dataclass(frozen=True)
class Broken:
    """`problems`: path → what its line must say; `files`: secret files by name, beside the configuration."""

    name: str
    text: str
    problems: dict[str, tuple[str, ...]]
    environ: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


BROKEN = [
    Broken("an empty file", "", {"sources": ("poller demo", "poller init")}),
    Broken("no source", AXIOM, {"sources": ("poller demo",)}),
    Broken("a misspelt key", BMW + 'usernmae = "x"', {"sources.bmw.usernmae": ('"username"',)}),
    Broken(
        "a misspelt secret's key",
        BMW.replace("password", "pasword"),
        {"sources.bmw.pasword": ('is "password" meant',)},
    ),
    Broken("a misspelt table", f'[sinsk.a]\ntype = "axiom"{DUMPS}', {"sinsk": ('"sinks"',)}),
    Broken("a setting outside its table", 'interval = "5m"' + DUMPS, {"interval": ("[poll]",)}),
    Broken("what no name is near to", "[wxyz]\nquux = 1" + DUMPS, {"wxyz": ("here may stand data_dir",)}),
    Broken(
        "a misspelt variable",
        DUMPS,
        {"poll.intervall": ("POLLER_POLL__INTERVAL ", "POLLER_POLL__INTERVALL")},
        {"POLLER_POLL__INTERVALL": "5m"},
    ),
    Broken(
        "a variable with one underscore for two",
        DUMPS,
        {"poll_interval": ("POLLER_POLL__INTERVAL ", "Two underscores")},
        {"POLLER_POLL_INTERVAL": "5m"},
    ),
    Broken(
        "a misspelt variable of no table",
        DUMPS,
        {"pol": ("POLLER_POLL__JITTER", "POLLER_POL__JITTER")},
        {"POLLER_POL__JITTER": "1s"},
    ),
    Broken(
        "a secret in a variable for a table that is spelt otherwise",
        BMW,
        {"sources.bwm.type": ("POLLER_SOURCES__BWM__PASSWORD", "POLLER_SOURCES__BMW__", "mybmw | command")},
        {"POLLER_SOURCES__BWM__PASSWORD": SECRET},
    ),
    Broken(
        "a table in one variable, as JSON",
        DUMPS,
        {"sources.dumps": ("POLLER_SOURCES__DUMPS__KEY", "from the variable POLLER_SOURCES__DUMPS")},
        {"POLLER_SOURCES__DUMPS": json.dumps({"type": "mybmw", "password": SECRET})},
    ),
    Broken(
        "a table in one variable, which the file does not have",
        DUMPS,
        {"web": ("POLLER_WEB__KEY",)},
        {"POLLER_WEB": SECRET},
    ),
    Broken(
        "a variable below a value",
        "[poll]\ninterval = '5m'" + DUMPS,
        {"poll.interval": ("no table", "POLLER_POLL__INTERVAL__X")},
        {"POLLER_POLL__INTERVAL__X": SECRET},
    ),
    Broken("a duration in words", '[poll]\ninterval = "five minutes"' + DUMPS, {"poll.interval": ('"5m"',)}),
    Broken("a duration with two units", '[poll]\ninterval = "5mm"' + DUMPS, {"poll.interval": ('"5m"',)}),
    Broken("a negative duration", "[poll]\njitter = -5" + DUMPS, {"poll.jitter": ("between 0 and",)}),
    Broken("no interval at all", "[poll]\ninterval = 0" + DUMPS, {"poll.interval": ("greater than 0",)}),
    Broken(
        "an interval that the maker's hosts would not like",
        '[poll]\ninterval = "59s"' + BMW,
        {"poll.interval": ("60s at least", "[sources.bmw]")},
    ),
    Broken(
        "the same in a variable, through a proxy, for one source",
        BMW + 'base_url = "https://proxy.example.org"',
        {"sources.bmw.interval": ("60s at least", "POLLER_SOURCES__BMW__INTERVAL")},
        {"POLLER_SOURCES__BMW__INTERVAL": "10"},
    ),
    Broken(
        "the same with CarData, whose stream is BMW's if nothing is said of it",
        CARDATA + 'interval = "1s"\nauth_url = "http://127.0.0.1:1"\napi_url = "http://127.0.0.1:2"',
        {"sources.one.interval": ("60s at least",)},
    ),
    Broken(
        "a program started too often",
        '[sources.loop]\ntype = "command"\ncommand = ["x"]\ninterval = "5s"',
        {"sources.loop.interval": ("10s at least",)},
    ),
    Broken(
        "a program as one text",
        f'[sources.loop]\ntype = "command"\ncommand = "x {SECRET}"',
        {"sources.loop.command": ("square brackets",)},
    ),
    Broken("a size in words", '[journal]\nmax_size = "big"' + DUMPS, {"journal.max_size": ('"2GiB"',)}),
    Broken(
        "a choice that is none",
        '[journal]\nwhen_full = "explode"\n[log]\nlevel = "INFO"' + DUMPS,
        {"journal.when_full": ('"drop_oldest"', '"stop_collecting"'), "log.level": ('"info"',)},
    ),
    Broken(
        "addresses that are none",
        '[web]\nlisten = ["9877", "::1:80", "127.0.0.1:70000"]' + DUMPS,
        {
            "web.listen[0]": ('"host:port"',),
            "web.listen[1]": ('"[v6]:port"',),
            "web.listen[2]": ("between 0 and 65535",),
        },
    ),
    Broken("an address without a host", '[web]\nlisten = ":9877"' + DUMPS, {"web.listen": ('"host:port"',)}),
    Broken(
        "the second car in a variable",
        BMW,
        {"sources.bmw.vins[1]": ("17 letters and digits", "POLLER_SOURCES__BMW__VINS")},
        {"POLLER_SOURCES__BMW__VINS": f"WMW00000000000001,{SECRET}"},
    ),
    Broken("a port as a number", "[web]\nlisten = 9877" + DUMPS, {"web.listen": ('"127.0.0.1:9877"',)}),
    Broken(
        "a password that is a number",
        "[web]\npassword = 123456" + DUMPS,
        {"web.password": ("text in quotes",)},
    ),
    Broken(
        "half a hash",
        f'[web]\npassword = "scrypt${SECRET}"' + DUMPS,
        {"web.password": ("poller.web.passwords",)},
    ),
    Broken(
        "base path and host with too much in them",
        '[web]\nbase_path = "poller"\nallowed_hosts = ["https://car.example.org/"]' + DUMPS,
        {"web.base_path": ('"/poller"',), "web.allowed_hosts[0]": ("without port or path",)},
    ),
    Broken(
        "a time zone and a currency that are none",
        '[display]\ntimezone = "Europe/Lodnon"\ncurrency = "pounds"' + DUMPS,
        {"display.timezone": ("Europe/London",), "display.currency": ("three capital letters",)},
    ),
    Broken(
        "a folder of time zones", '[display]\ntimezone = "Europe"' + DUMPS, {"display.timezone": ("no such",)}
    ),
    Broken("a long grace", 'shutdown_grace = "6s"' + DUMPS, {"shutdown_grace": ("less than or equal to 5",)}),
    Broken(
        "an unknown type",
        BMW.replace('"mybmw"', '"mybmv"'),
        {"sources.bmw.type": ("cardata | mybmw | command | recorded", 'is "mybmw" meant')},
    ),
    Broken(
        "no type",
        BMW.replace('type = "mybmw"', ""),
        {"sources.bmw.type": ("is missing", "known: cardata | mybmw")},
    ),
    Broken(
        "CarData without a client id, and one client twice",
        f'[sources.home]\ntype = "cardata"\nclient_id = "{SECRET}"\n{CARDATA}{CARDATA.replace("one", "two")}',
        {"sources.home.client_id": ("36 characters",), "sources.two.client_id": ("client of [sources.one]",)},
    ),
    Broken(
        "a source without a name of its own",
        f'[sources]\ntype = "mybmw"\npassword = "{SECRET}"',
        {"sources.type": ("[sources.NAME]",), "sources.password": ("[sources.NAME]",)},
    ),
    Broken(
        "sources as a list of tables",
        BMW.replace("[sources.bmw]", "[[sources]]"),
        {"sources": ("[sources.NAME]",)},
    ),
    Broken(
        "what must be there",
        '[sources.bmw]\ntype = "mybmw"\n[sinks.axiom]\ntype = "axiom"',
        {
            "sources.bmw.username": ("is missing", "POLLER_SOURCES__BMW__USERNAME"),
            "sinks.axiom.dataset": ("is missing",),
            "sinks.axiom.token": ("is missing", "AXIOM_TOKEN"),
        },
    ),
    Broken(
        "an empty name", BMW.replace("owner@example.com", ""), {"sources.bmw.username": ("not be empty",)}
    ),
    Broken(
        "names that are none",
        DUMPS.replace("dumps]", '"My Dumps"]')
        + '[sinks.a__b]\ntype = "json_files"\n[vehicles.Mini]\nvin = "WMW00000000000001"',
        {
            'sources."My Dumps"': ("lower-case letters",),
            "sinks.a__b": ("lower-case letters",),
            "vehicles.Mini": ("lower-case letters",),
        },
    ),
    Broken(
        "names that spell alike",
        DUMPS + DUMPS.replace("dumps]", "du-mps]") + DUMPS.replace("dumps]", "du_mps]"),
        {"sources.du_mps": ("sources.du-mps", "rename")},
    ),
    Broken(
        "one car under two names",
        '[vehicles.a]\nvin = "WMW00000000000001"\n[vehicles.b]\nvin = "wmw00000000000001"' + DUMPS,
        {"vehicles.b.vin": ("[vehicles.a]",)},
    ),
    Broken(
        "a car that is none",
        f'[vehicles.a]\nvin = "{SECRET}"\nsteering = "middle"\nname = "Mini"' + DUMPS,
        {
            "vehicles.a.vin": ("17 letters and digits",),
            "vehicles.a.steering": ('"left"',),
            "vehicles.a.name": ("here may stand vin, steering",),
        },
    ),
    Broken(
        "two prometheus sinks",
        '[sinks.a]\ntype = "prometheus"\n[sinks.b]\ntype = "prometheus"' + DUMPS,
        {"sinks.b.type": ("one prometheus sink at most", "[sinks.a]")},
    ),
    Broken(
        "two sinks in one folder",
        '[sinks.a]\ntype = "json_files"\n[sinks.b]\ntype = "json_files"\ndirectory = "./snapshots/"' + DUMPS,
        {"sinks.b.directory": ("[sinks.a]",)},
    ),
    Broken(
        "a sink's numbers",
        AXIOM
        + 'batch_size = true\nkinds = ["snapshots"]\n[sinks.f]\ntype = "json_files"\nmode = "rw"\nkeep = "9x"'
        + DUMPS,
        {
            "sinks.axiom.batch_size": ("whole number",),
            "sinks.axiom.kinds[0]": ('"snapshot"',),
            "sinks.f.mode": ('"0640"',),
            "sinks.f.keep": ("duration",),
        },
    ),
    Broken(
        "a password in an address",
        AXIOM + f'url = "https://me:{SECRET}@axiom.example.org"' + BMW + 'base_url = "axiom.example.org"',
        {"sinks.axiom.url": ("no user name or password",), "sources.bmw.base_url": ('"https://host"',)},
    ),
    Broken("no TOML", f'[web]\npassword = "{SECRET}\n' + DUMPS, {"": ("not valid TOML", "line 2")}),
    Broken(
        "text without quotes", f"[web]\npassword = {SECRET}\n" + DUMPS, {"": ("not valid TOML", "quotes")}
    ),
    Broken(
        "a secret file that is not there, its name being the password",
        BMW,
        {"sources.bmw.password": ("no such regular file", "POLLER_SOURCES__BMW__PASSWORD_FILE")},
        {"POLLER_SOURCES__BMW__PASSWORD_FILE": SECRET},
    ),
    Broken(
        "a secret file that is no text",
        BMW,
        {"sources.bmw.password": ("not UTF-8", "/poller_sources__bmw__password")},
        files={"poller_sources__bmw__password": f"{SECRET}\udcff"},
    ),
    Broken(
        "a misspelt secret file",
        BMW,
        {"sources.bmw.pasword": ("POLLER_SOURCES__BMW__PASSWORD ", "poller_sources__bmw__pasword")},
        files={"poller_sources__bmw__pasword": SECRET},
    ),
    Broken(
        "a secret file in two spellings",
        BMW,
        {"sources.bmw.password": ("given twice",)},
        files={"poller_sources__bmw__password": SECRET, "POLLER_SOURCES__BMW__PASSWORD": SECRET},
    ),
    Broken(
        "everything at once",
        'data_dir = 5\n[poll]\ninterval = "1s"\njitter = "x"'
        + BMW
        + "vins = 17"
        + AXIOM
        + "org = 1\n[vehicles]\nx = 1",
        {
            "data_dir": ("quotes",),
            "poll.interval": ("60s at least",),
            "poll.jitter": ("duration",),
            "sources.bmw.vins": ("square brackets",),
            "vehicles.x": ("[vehicles.NAME]",),
            "sinks.axiom.org": ('"org_id"',),
            "web.listen": ("POLLER_WEB__LISTEN", '"host:port"'),
        },
        {"POLLER_WEB__LISTEN": "nowhere"},
    ),
]


@dataclass(frozen=True)
class Good:
    """`shown`: paths into `poller check --json`'s settings → value."""

    name: str
    text: str
    environ: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    shown: dict[str, object] = field(default_factory=dict)


GOOD = [
    Good(
        "a name with a dash",
        DUMPS.replace("dumps]", "my-dumps-2]"),
        shown={"sources.my-dumps-2.type": "recorded"},
    ),
    Good(
        "a dashed table from a variable",
        DUMPS.replace("dumps]", "my-dumps]"),
        {"POLLER_SOURCES__MY_DUMPS__DIRECTORY": "elsewhere"},
        shown={"sources.my-dumps.directory": "elsewhere"},
    ),
    Good("a name of digits", DUMPS.replace("dumps]", "330]"), shown={"sources.330.directory": "dumps"}),
    Good(
        "a whole source in variables",
        "[poll]\ninterval = 600",
        {"POLLER_SOURCES__MY_BMW__TYPE": "mybmw", "POLLER_SOURCES__MY_BMW__USERNAME": "a@example.com"},
        shown={"sources.my_bmw.type": "mybmw", "poll.interval": "10m"},
    ),
    Good(
        "a list in a variable, VINs in any case",
        BMW,
        {"POLLER_SOURCES__BMW__VINS": "wba00000000demo01, WBY00000000REXI01"},
        shown={"sources.bmw.vins": ["…0DEMO01", "…0REXI01"]},
    ),
    Good(
        "what looks like JSON stays text",
        DUMPS,
        {"POLLER_SOURCES__DUMPS__DIRECTORY": '["a"]'},
        shown={"sources.dumps.directory": '["a"]'},
    ),
    Good(
        "what a container platform sets",
        DUMPS,
        {
            "POLLER_SERVICE_HOST": "10.0.0.1",
            "POLLER_PORT": "tcp://10.0.0.1:9877",
            "POLLER_PORT_9877_TCP": "x",
        },
    ),
    Good("a variable in small letters", DUMPS, {"poller_log__level": "debug"}, shown={"log.level": "debug"}),
    Good(
        "dotted keys and inline tables",
        'poll.interval = "1h30m"\nsources = { a = { type = "recorded", directory = "x" } }',
        shown={"poll.interval": "1h30m"},
    ),
    Good("a byte-order mark and Windows' line ends", "\ufeff" + DUMPS.replace("\n", "\r\n")),
    Good("a fast interval against this machine", BMW + 'base_url = "http://[::1]:8080"\ninterval = "1s"'),
    Good(
        "a fast interval against CarData on this machine",
        CARDATA + 'auth_url = "http://[::1]:1"\napi_url = "http://[::1]:2"\nstream_url = ""\ninterval = "1s"',
    ),
    Good("no page", '[web]\nlisten = ""' + DUMPS, shown={"web.listen": ""}),
    Good(
        "no page by a variable that is there but empty",
        '[web]\npassword = "x"' + DUMPS,
        {"POLLER_WEB__LISTEN": "", "POLLER_WEB__PASSWORD": ""},
        shown={"web.listen": "", "web.password": None},
    ),
    Good(
        "several addresses",
        '[web]\nlisten = ["[::1]:0", "localhost:80", "127.0.0.1:9877"]' + DUMPS,
        shown={"web.listen": ["[::1]:0", "localhost:80", "127.0.0.1:9877"]},
    ),
    Good(
        "plain numbers",
        '[poll]\ninterval = 300\njitter = 0\n[journal]\nmax_size = 0\nmax_age = "730d"\nkeep_free = "1 GB"'
        + DUMPS,
        shown={"poll.jitter": "0", "journal.max_size": "0", "journal.max_age": "730d"},
    ),
    Good(
        "AXIOM_TOKEN",
        BMW + '[sinks.my-axiom]\ntype = "axiom"\ndataset = "cars"',
        {"AXIOM_TOKEN": f"xaat-{SECRET}"},
        shown={"sinks.my-axiom.token": "…"},
    ),
    Good(
        "AXIOM_TOKEN with nobody to need it, and empty",
        DUMPS + AXIOM,
        {"AXIOM_TOKEN": ""},
        shown={"sinks.axiom.token": "…"},
    ),
    Good(
        "secret files in any case",
        BMW,
        files={"Poller_Sources__BMW__Password": f"{SECRET}\n", "unrelated": "x"},
        shown={"sources.bmw.password": "…"},
    ),
    Good(
        "a variable wins over a file, a file over TOML",
        "[log]\nlevel = 'error'\nformat = 'json'" + DUMPS,
        {"POLLER_LOG__LEVEL": "debug"},
        {"poller_log__level": "warning", "poller_log__format": "console"},
        shown={"log.level": "debug", "log.format": "console"},
    ),
    Good("the time zone database's odder names", "[display]\ntimezone = 'Etc/GMT+5'" + DUMPS),
    Good("values with spaces, quotes and signs", BMW.replace(SECRET, f"{SECRET} =#'\\\\\\\"ü€")),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a configuration, secret files, and an environment that knows of nothing else."""

    def placed(case: Broken | Good) -> tuple[str, dict[str, str]]:
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        for name, text in case.files.items():
            (secrets / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        path = tmp_path / "config.toml"
        path.write_bytes(case.text.encode())
        path.chmod(0o600)
        environ = {"HOME": str(tmp_path), "TZ": "UTC", "CREDENTIALS_DIRECTORY": str(secrets), **case.environ}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return str(path), environ

    return placed


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_every_problem_is_named_and_no_secret_shown(case, place, capsys) -> None:
    path, _ = place(case)
    assert run(["check", "--config", path]) == 2
    shown = capsys.readouterr()
    judge(case, path, shown.err.removeprefix("poller: ").splitlines())
    assert run(["check", "--json", "--config", path]) == 2
    as_json = capsys.readouterr()
    judge(case, path, json.loads(as_json.out)["problems"])
    assert shown.out == ""
    assert SECRET not in shown.err + as_json.out + as_json.err


def judge(case: Broken, path: str, lines: list[str]) -> None:
    """One line for each expected problem, and none besides."""
    for place, fragments in case.problems.items():
        start = f"{path}: {place}: " if place else f"{path}: "
        mine = [line for line in lines if line.startswith(start)]
        assert len(mine) == 1, (start, lines)
        assert [fragment for fragment in fragments if fragment not in mine[0]] == [], mine[0]
    assert len(lines) == len(case.problems), lines


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_odd_but_legal_configurations_pass(case, place, capsys) -> None:
    path, _ = place(case)
    assert run(["check", "--json", "--config", path]) == 0
    out = capsys.readouterr().out
    settings = json.loads(out)["settings"]
    for dotted, value in case.shown.items():
        found = settings
        for part in dotted.split("."):
            found = found[part]
        assert found == value, dotted
    assert run(["check", "--config", path]) == 0
    assert run(["check", "--show", "--config", path]) == 0
    assert SECRET not in out + capsys.readouterr().out


def test_the_summary_names_all_that_would_run(place, capsys) -> None:
    path, environ = place(Good("", BMW + AXIOM + SUMMED_UP))
    assert run(["check", "--config", path, "--data-dir", f"{environ['HOME']}/d"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: good",
        f"data     {environ['HOME']}/d",
        "page     http://0.0.0.0:9877/car/",
        "source   bmw: mybmw, every 5m",
        "source   dumps: recorded, every 1m30s",
        "vehicle  mini: …0000001",
        "sink     axiom: axiom, location rounded, VIN full",
        f"warning  {path}: {NO_PASSWORD}",
    ]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 25
    assert len(GOOD) >= 10


@pytest.mark.parametrize("name", ["everything at once", "a table in one variable, as JSON", "an empty file"])
def test_the_installed_command_refuses(name, place, tmp_path) -> None:
    case = next(case for case in BROKEN if case.name == name)
    path, environ = place(case)
    done = _command(["check", "--config", path], environ, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    judge(case, path, done.stderr.removeprefix("poller: ").splitlines())
    assert SECRET not in done.stderr


def test_the_daemon_refuses_too_and_shows_no_secret(place, tmp_path) -> None:
    case = next(case for case in BROKEN if case.name == "everything at once")
    path, environ = place(case)
    done = _command(["run", "--config", path], environ, tmp_path)
    assert done.returncode == 2
    judge(case, path, done.stderr.removeprefix("poller: ").splitlines())
    assert SECRET not in done.stderr + done.stdout


def test_the_installed_command_finds_the_file_and_sums_up(place, tmp_path) -> None:
    case = next(case for case in GOOD if case.name == "secret files in any case")
    path, environ = place(case)
    done = _command(["check"], environ, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"{path}: good"
    assert "source   bmw: mybmw, every 5m" in done.stdout


def _command(arguments: list[str], environ: dict[str, str], cwd) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(
        [sys.executable, "-m", "poller", *arguments],
        env=environ, cwd=cwd, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
