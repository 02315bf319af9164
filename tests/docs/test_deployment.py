"""The deployment files agree with the code; the tools judge them where they are there."""

from __future__ import annotations

import configparser
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from poller import __version__, health


def _promtool(root: Path, *arguments: str) -> str:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [promtool, *arguments],
        cwd=root / "deploy/prometheus",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOGC": "off"},  # it ends before its memory matters
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_alert_rules_do_what_their_tests_say(root) -> None:
    assert "SUCCESS" in _promtool(root, "test", "rules", "rules_test.yml")


def test_prometheus_takes_the_configuration(root) -> None:
    assert "SUCCESS" in _promtool(root, "check", "config", "prometheus.yml")


def test_the_image_runs_as_nobody_special_and_asks_its_own_health(root) -> None:
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    assert "# syntax" not in text
    assert "USER 1000:1000" in text
    assert '"-m", "poller.health"' in text
    assert '"-m", "poller.container"' in text
    assert f"POLLER_WEB__LISTEN=0.0.0.0:{health.PORT}" in text
    assert text.count("--require-hashes") == 2
    assert not re.search(r"amd64|x86|aarch64|arm|--platform|TARGETARCH", text), "the same for every machine"
    assert f'ARG VERSION="{__version__}"' in text


def test_a_process_that_hangs_is_unhealthy_within_three_intervals(root) -> None:
    """The failures that it takes, and the time that each takes to fail, are counted in."""
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    told = dict(re.findall(r"--(interval|timeout|retries)=(\d+)", text))
    interval, timeout, retries = (int(told[name]) for name in ("interval", "timeout", "retries"))
    assert interval == 60
    assert timeout > health.TIMEOUT
    assert retries * (interval + timeout) < 3 * interval


def test_the_image_is_built_from_source_and_locks_alone(root) -> None:
    """A configuration with a password, or a journal, must never get into a layer."""
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in ignored
    sources = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (root / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    wanted = {name.removeprefix("./") for line in sources for name in line.split()}
    assert wanted == {line[1:] for line in ignored if line.startswith("!")}


def test_compose_publishes_on_this_machine_only_and_has_no_password_of_its_own(root) -> None:
    text = (root / "compose.yaml").read_text(encoding="utf-8")
    ports = re.findall(r"ports: \[(.+)\]", text)
    assert ports
    assert all(port.startswith('"127.0.0.1:') for port in ports)
    services = text.count("\n    image: ")
    hardening = (
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        "mem_limit: ",
        "    logging: ",
    )
    for line in hardening:
        assert text.count(line) == services, line
    assert not re.search(r"image: \S+:latest", text)
    assert "--storage.tsdb.retention.time=5y" in text
    assert "- ./config:/config:ro" in text, "the folder: an atomic save takes the file's name"
    assert not re.search(r"(?i)password\S*: +[^\"\s]", text)


def test_docker_run_is_given_whole_paths(root, pages) -> None:
    """A relative one is a volume's name to Docker before 23, and no name at that."""
    texts = [*(page.text for page in pages.values()), (root / "Dockerfile").read_text(encoding="utf-8")]
    assert [found for text in texts for found in re.findall(r"-v \"?\.\S*", text)] == []


def test_grafana_has_no_admin_unless_a_password_is_given(root) -> None:
    """An empty variable leaves what the file says; a password turns each of its settings round."""
    compose = (root / "compose.yaml").read_text(encoding="utf-8")
    told = dict(re.findall(r'^ +GF_(\w+): "\$\{GRAFANA_PASSWORD:(\S+)\}"$', compose, re.MULTILINE))
    assert told.pop("SECURITY_ADMIN_PASSWORD") == "-"
    assert set(told.values()) == {"+false"}
    ini = configparser.ConfigParser(comment_prefixes=";")
    ini.read(root / "deploy/grafana/grafana.ini", encoding="utf-8")
    switched = {
        f"{section}_{name}".upper().replace(".", "_")
        for section in ini.sections()
        for name, value in ini[section].items()
        if value == "true"
    }
    assert switched == set(told)
    assert ini["auth.anonymous"]["org_role"] == "Viewer"


def test_grafana_finds_its_dashboards_and_its_first_page(root) -> None:
    compose = (root / "compose.yaml").read_text(encoding="utf-8")
    provider = (root / "deploy/grafana/provisioning/dashboards/poller.yaml").read_text(encoding="utf-8")
    [folder] = re.findall(r"- \./deploy/grafana/dashboards:([\w/]+):ro", compose)
    assert f"path: {folder}}}" in provider
    ini = (root / "deploy/grafana/grafana.ini").read_text(encoding="utf-8")
    [home] = re.findall(r"default_home_dashboard_path = (\S+)", ini)
    assert (root / "deploy/grafana/dashboards" / home.removeprefix(folder + "/")).is_file()
    source = (root / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    [uid] = re.findall(r"uid: (\w+)", source)
    for path in (root / "deploy/grafana/dashboards").glob("*.json"):
        asked = set(re.findall(r'"type": "prometheus",\s+"uid": "(\w+)"', path.read_text(encoding="utf-8")))
        assert asked == {uid}, path.name


def test_the_locks_belong_to_the_declared_dependencies_and_name_no_address(root) -> None:
    assert list(runpy.run_path(str(root / "tools/lock.py"))["problems"](root)) == []


def test_a_changed_dependency_makes_the_locks_stale(root, tmp_path) -> None:
    locks = sorted(root.glob("requirements*.txt"))
    for path in (root / "pyproject.toml", *locks):
        shutil.copy(path, tmp_path / path.name)
    project = tmp_path / "pyproject.toml"
    project.write_text(
        project.read_text(encoding="utf-8").replace('"tenacity>=', '"tenacity>=0.'), encoding="utf-8"
    )
    found = list(runpy.run_path(str(root / "tools/lock.py"))["problems"](tmp_path))
    assert len(found) == len(locks) > 2
    assert all("make lock" in problem for problem in found)
