"""Ctrl-C ends every command quietly, however early it comes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def start(*words: str, see: str = "") -> subprocess.Popen[str]:
    """The command, which tells of each import once that is done; back when it has told of `see`."""
    child = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "poller", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    while see and see not in (line := child.stderr.readline()):
        assert line, "it ended before"
    return child


def interrupt(child: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code, and what it said from then on, imports left out."""
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    return child.returncode, [line for line in said.splitlines() if not line.startswith("import time:")]


@pytest.mark.parametrize(("command", "code"), [("status", 130), ("run", 0)])
def test_while_it_is_loaded(command: str, code: int, tmp_path: Path) -> None:
    """Nothing is open yet. What runs until it is stopped has been stopped; the others were not done."""
    child = start(command, "--config", str(tmp_path / "none.toml"), see="typer")
    assert interrupt(child) == (code, [])


def test_while_it_works(tmp_path: Path) -> None:
    """A poll under way ends with the command, and what was open is closed."""
    config, begun = tmp_path / "config.toml", tmp_path / "begun"
    os.mkfifo(begun)
    told = os.open(begun, os.O_RDONLY | os.O_NONBLOCK)
    # More than a pipe holds: what comes behind it is done once the poller reads.
    script = f"head -c 200000 /dev/zero; echo begun > {begun}; sleep 60"
    config.write_text(
        f'data_dir = "data"\n[sources.loop]\ntype = "command"\ncommand = ["sh", "-c", "{script}"]\n'
    )
    config.chmod(0o600)
    child = start("once", "--config", str(config), see="poller.sources.command")
    assert select.select([told], [], [], 30)[0]
    os.close(told)
    code, said = interrupt(child)
    assert code == 130
    assert not any("Traceback" in line for line in said)
    assert not (tmp_path / "data" / "journal.db-wal").exists()
