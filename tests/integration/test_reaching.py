"""How commands find the daemon, and what they leave alone where there is none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from poller.cli.main import run
from poller.settings import data_dir_despite
from poller.web.control import SOCKET_NAME, ControlServer

DUMPS = '[sources.dumps]\ntype = "recorded"\ndirectory = "dumps"\n'
BAD = {
    "misspelt": 'data_dir = "data"\n[sources.dumps]\ntyp = "recorded"\n',
    "no TOML": 'data_dir = "data"\n[sources.dumps\ntype = "recorded"\n',
}


@pytest.fixture
def poller(tmp_path, monkeypatch, capsys) -> Callable[..., Awaitable[tuple[int, str]]]:
    """``poller ARGUMENTS`` in the test's folder: exit code, and all that it said."""
    monkeypatch.chdir(tmp_path)

    async def command(*arguments: str) -> tuple[int, str]:
        # In a thread, for the daemon that it may ask is in this loop.
        code = await asyncio.to_thread(run, arguments)
        said = capsys.readouterr()
        return code, said.err + said.out

    return command


@pytest.mark.parametrize(
    "command",
    [["status"], ["alerts"], ["vehicle", "status"], ["dead-letters", "list"], ["check"], ["privacy"]],
)
async def test_looking_makes_no_journal(tmp_path, poller, command) -> None:
    """An empty one, in a place that is not the poller's, would look as if all were lost."""
    (tmp_path / "config.toml").write_text('data_dir = "data"\n' + DUMPS)
    code, said = await poller(*command)
    if command not in (["check"], ["privacy"]):
        assert (code, said.splitlines()[0]) == (
            1,
            f"poller: no journal yet at {tmp_path}/data/journal.db: the poller has not run",
        )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b"noise" * 5000),
        lambda file: os.truncate(file, file.stat().st_size // 2),
        # Found only when it is read.
        lambda file: file.write_bytes(file.read_bytes()[:8192] + b"\xff" * (file.stat().st_size - 8192)),
    ],
    ids=["noise", "cut short", "broken behind its head"],
)
@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["alerts"],
        ["vehicle", "status"],
        ["dead-letters", "list"],
        ["descriptors"],
        ["status", "--json"],
    ],
)
async def test_looking_leaves_a_damaged_journal_where_it_is(tmp_path, poller, command, spoil) -> None:
    """It may be all that is left of years: to set it aside is for the poller, which says so loudly."""
    (tmp_path / "config.toml").write_text('data_dir = "data"\n' + DUMPS)
    (tmp_path / "dumps").mkdir()
    assert (await poller("once"))[0] == 0
    file = tmp_path / "data" / "journal.db"
    spoil(file)
    before = file.read_bytes(), sorted(path.name for path in file.parent.iterdir())
    code, said = await poller(*command)
    assert (code, "damaged" in said) == (1, True), said
    assert (file.read_bytes(), sorted(path.name for path in file.parent.iterdir())) == before


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("data_dir", [(), ("--data-dir", "data")])
async def test_a_bad_file_does_not_hide_the_running_daemon(tmp_path, poller, bad, data_dir) -> None:
    """What it was started with still runs, and its status says that the file was refused."""
    (tmp_path / "config.toml").write_text(bad if not data_dir else bad.partition("\n")[2])
    (tmp_path / "data").mkdir()

    async def status(_args: dict) -> dict:
        return {"reasons": [], "running": True, "told": "by the daemon"}

    control = ControlServer(tmp_path / "data" / SOCKET_NAME, {"status": status})
    await control.start()
    code, said = await poller("status", "--json", *data_dir)
    await control.stop()
    assert (code, "by the daemon" in said) == (0, True), said
    code, said = await poller("status", *data_dir)
    assert (code, "config.toml" in said) == (2, True), said


def test_a_data_directory_is_read_from_what_is_legible(tmp_path) -> None:
    config = tmp_path / "config.toml"
    environ = {"HOME": "/home/me", "TZ": "UTC"}

    def told(text: str, **more: str) -> Path | None:
        config.write_text(text)
        file, folder = data_dir_despite(config, {}, environ | more, tmp_path)
        assert file == config
        return folder

    usual = told("[broken")
    assert usual is not None
    assert told('data_dir = "d"  # here\n[broken') == tmp_path / "d"
    assert told("data_dir = broken\n") == usual
    assert told('[sources.a]\ndata_dir = "of something else"\n[broken') == usual
    assert told("[broken", POLLER_DATA_DIR="v") == tmp_path / "v"
    assert told("data_dir = 7\n") is None
