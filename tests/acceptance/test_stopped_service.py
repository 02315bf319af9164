"""Beside a service that does not run: nothing of its owner's is made elsewhere, and nothing seems lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_group import GROUP, MEMBER, OTHERS, STRANGER, as_user

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv"))),
    reason="needs root, unshare and setpriv to be several users",
)

#: /etc/poller and /var/lib/poller as install-service and DynamicUser leave them.
SERVICE = f"""
set -e
umask 022
mount -t tmpfs tmpfs /etc -o mode=755
mount -t tmpfs tmpfs /var/lib -o mode=755
mkdir -m 700 /var/lib/private
mkdir -m 700 /var/lib/private/poller
ln -s private/poller /var/lib/poller
mkdir -m 750 /etc/poller
printf '[sources.a]\\ntype = "recorded"\\ndirectory = "/nowhere"\\n' > /etc/poller/config.toml
printf 'owners:x:{GROUP}:\\n' > /etc/group
chgrp -R {GROUP} /etc/poller
exec "$@"
"""


def poller(home: Path, user: int, group: int, *arguments: str) -> tuple[int, str]:
    """Runs ``poller ARGUMENTS`` as a user of a group; exit code, and what it said."""
    command = as_user(user, group, [sys.executable, "-m", "poller", *arguments])
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", SERVICE, "sh", *command],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TZ": "UTC"}, cwd="/",
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def home(tmp_path_factory):
    """A home that every user may fill, were there anything to put into it."""
    path = tmp_path_factory.mktemp("home")
    path.chmod(0o777)
    return path


@pytest.mark.parametrize("command", [["status"], ["once"], ["login", "a"]])
def test_a_member_of_its_group_is_told_to_start_it(home, command) -> None:
    code, said = poller(home, MEMBER, GROUP, *command)
    assert code == 1
    assert "/var/lib/poller" in said
    assert "run this with sudo, or start the service" in said
    assert list(home.iterdir()) == []


def test_a_strangers_lack_of_rights_is_not_called_a_lack_of_configuration(home) -> None:
    code, said = poller(home, STRANGER, OTHERS, "status")
    assert code == 2
    assert "/etc/poller/config.toml: cannot be read by uid" in said
    assert "`sudo usermod -aG owners $USER`" in said
    assert "poller init" not in said
    assert "chown" not in said


def test_before_its_first_run_there_is_no_journal_and_looking_makes_none(home) -> None:
    code, said = poller(home, 0, 0, "status")
    assert code == 1
    assert "no journal yet at /var/lib/poller/journal.db: the poller has not run" in said
