"""What a command need not load; asked of a fresh interpreter, for here everything is loaded already."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
import poller.runtime.log
before = [name for name in sys.modules if name.partition(".")[0] == "rich"]
import rich
print(json.dumps([before, rich.__name__]))
"""

#: What a command has loaded before it knows what to do, and the daemon before it does it.
START = """
import json, sys
import poller.__main__

def loaded():
    return sorted(name for name, module in sys.modules.items() if module)

sys.argv[1:] = ["--version"]
try:
    poller.__main__.main()
except SystemExit:
    command = loaded()
import poller.daemon
print(json.dumps([command, loaded()]))
"""


@pytest.fixture(scope="module")
def loaded() -> tuple[set[str], set[str]]:
    """The modules and packages of a command, and of the daemon."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    command, daemon = json.loads(done.stdout.splitlines()[-1])
    return set(command), set(daemon)


def test_a_command_loads_no_part_of_the_daemon(loaded) -> None:
    """All of it would be a third of a short command's time."""
    command, _ = loaded
    daemons = {"apscheduler", "httpx", "jinja2", "prometheus_client", "rich", "sqlite3", "uvicorn"}
    assert command & daemons == set()


def test_the_daemon_loads_what_draws_pages_only_for_a_page(loaded) -> None:
    """Nor httpx's own command line, which brings rich and pygments; nor what makes fingerprints."""
    _, daemon = loaded
    assert {"apscheduler", "httpx", "prometheus_client", "sqlite3", "uvicorn"} < daemon
    assert daemon & {"jinja2", "pygments", "rich", "poller.fingerprint", "poller.simulator"} == set()


def test_logging_does_without_rich_and_leaves_it_to_others() -> None:
    """It would be an eighth of each start, and some megabytes of every daemon."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], "rich"]
