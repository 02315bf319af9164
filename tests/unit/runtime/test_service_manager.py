"""What the service manager is told, word for word (sd_notify(3))."""

from __future__ import annotations

import socket

import pytest

from poller.runtime.systemd import ServiceManager


@pytest.fixture
def manager(tmp_path):
    """A manager that listens, and what it hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(5)
        yield ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")}), lambda: ear.recv(4096).decode()


def test_a_long_start_asks_for_more_time(manager) -> None:
    """A journal of a gigabyte is copied before its schema changes: longer than a start may take else."""
    speaker, hear = manager
    speaker.starting("opening the journal", 30)
    assert hear() == "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=opening the journal"


def test_a_reload_begins_and_ends(manager) -> None:
    speaker, hear = manager
    speaker.reloading()
    begun = dict(line.split("=") for line in hear().splitlines())
    assert begun["RELOADING"] == "1"
    assert begun["MONOTONIC_USEC"].isdigit()
    speaker.ready("all\nwell")
    assert hear() == "READY=1\nSTATUS=all well"


def test_without_a_manager_nothing_is_said() -> None:
    ServiceManager({}).starting("opening the journal", 30)
