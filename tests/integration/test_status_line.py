"""What `systemctl status` shows reads like the top of the page."""

from __future__ import annotations

import pytest

from poller.app import App
from poller.daemon import headline
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.web.page import headline as on_the_page

CONFIG = """
data_dir = "data"
[sources.dumps]
type = "recorded"
directory = "dumps"
"""


@pytest.fixture
async def app(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    made = App(load(tmp_path / "config.toml", environ={"TZ": "UTC"}), clock=ManualClock())
    await made.open()
    yield made
    await made.close()


async def test_it_starts_and_says_so(app):
    assert headline(app) == "Starting. Waiting for the first answers."


async def test_what_is_wrong_follows_the_verdict(app):
    await app.road.rounds["dumps"].round()  # the folder is not there
    verdict = on_the_page(app.status())
    assert verdict.text == "One thing is wrong"
    assert headline(app).startswith("One thing is wrong: source dumps: no answer yet")


async def test_all_is_well_says_since_when(app, tmp_path):
    (tmp_path / "dumps").mkdir()
    await app.road.rounds["dumps"].round()
    assert headline(app) == "All is well. Last answer just now."
