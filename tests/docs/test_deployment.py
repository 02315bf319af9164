"""The deployment files agree with the code; the tools judge them where they are there."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from poller import health


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
    assert f"POLLER_WEB__LISTEN=0.0.0.0:{health.PORT}" in text
    assert text.count("--require-hashes") == 2


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
    assert "${GRAFANA_PASSWORD:?" in text
    services = text.count("\n    image: ")
    for hardening in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"):
        assert text.count(hardening) == services, hardening
    assert not re.search(r"image: \S+:latest", text)


def test_the_unit_leaves_a_wrong_configuration_alone_and_waits_for_the_grace(root) -> None:
    text = (root / "deploy/systemd/poller.service").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert settings["RestartPreventExitStatus"] == "2"
    assert settings["Type"] == "notify"
    assert int(settings["TimeoutStopSec"].removesuffix("s")) > 6


def test_grafana_finds_its_dashboards_and_its_first_page(root) -> None:
    compose = (root / "compose.yaml").read_text(encoding="utf-8")
    provider = (root / "deploy/grafana/provisioning/dashboards/poller.yaml").read_text(encoding="utf-8")
    [folder] = re.findall(r"- \./deploy/grafana/dashboards:([\w/]+):ro", compose)
    assert f"path: {folder}}}" in provider
    [home] = re.findall(r"HOME_DASHBOARD_PATH: (\S+)", compose)
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
