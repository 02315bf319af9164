"""A warped daemon never starts where an address leads off this machine."""

import asyncio

import pytest

from poller.daemon import run_daemon
from poller.errors import PollerError
from poller.settings import load

CONFIG = """
data_dir = "data"
[web]
listen = ""
[sources.bmw]
type     = "mybmw"
username = "owner@example.com"
"""


async def test_the_makers_own_hosts_are_not_asked_by_a_warped_clock(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    loaded = load(tmp_path / "config.toml", environ={})
    with pytest.raises(PollerError, match=r"sources\.bmw"):
        await asyncio.wait_for(run_daemon(loaded, speed=60), 5)
    assert not (tmp_path / "data").exists(), "refused before anything is opened"
