"""A CarData account on the page in a real browser: each of its five states, and the login by the button."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

import pytest
from cardata_house import START, VEHICLES, HandFeed, car_data, house
from cardata_page import SAID, daemon
from starlette.applications import Starlette

from poller.app import App
from poller.runtime.clock import SystemClock
from poller.settings import load
from poller.simulator.cardata.login import CLIENT_ID, Login
from poller.simulator.server import serve
from poller.sources.cardata.source import CarDataSource
from poller.vehicle.display import Display
from poller.web.channels import condition_words
from poller.web.server import WebServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (360, 1280)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

CONFIG = f"""
data_dir = "data"
[sources.home]
type = "cardata"
client_id = "{CLIENT_ID}"
auth_url = "AUTH"
api_url = "API"
stream_url = "mqtt://127.0.0.1:1883"
quota_per_day = QUOTA
reserve = 2
"""


@asynccontextmanager
async def shown(made) -> AsyncIterator[str]:
    """The address of the page of a daemon."""
    server = WebServer(made, listen=[("127.0.0.1", 0)], display=Display("metric", UTC), clock=SystemClock())
    server.bind()
    stop = asyncio.Event()
    task = asyncio.create_task(server.run(stop))
    try:
        yield server.urls[0]
    finally:
        stop.set()
        await task


def visit(url, look):
    """`look` at the page in each width, dark and light; the browser itself must find nothing wrong."""
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width, scheme in zip(WIDTHS, ("dark", "light"), strict=True):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.on("console", lambda message: wrong.append(message.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("response", lambda answer: answer.status >= 400 and wrong.append(answer.url))
            page.goto(url)
            look(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            page.close()
        browser.close()
    assert wrong == []


def sees(condition, message):
    """Looks for a silence at its source: sign and name in sight, its words there or in the verdict."""

    def look(page):
        block = page.locator(f"[data-condition={condition}]")
        block.scroll_into_view_if_needed()
        assert block.is_visible()
        assert block.locator("strong").inner_text().startswith(condition_words(condition))
        above = "said at the top" in block.inner_text()
        assert message in (page.locator(".headline") if above else block).inner_text()
        assert block.locator("svg").is_visible()

    return look


@pytest.mark.parametrize("condition", SAID)
async def test_each_state_fits_on_the_page(condition):
    """With all that can stand around it."""
    pytest.importorskip("playwright")
    async with shown(daemon(condition)) as url:
        await asyncio.to_thread(visit, url, sees(condition, SAID[condition][0]))


# --- provoked ---------------------------------------------------------------------------------


@asynccontextmanager
async def account(folder, *, logged_in=True, quota=50, reachable=True, data=car_data):
    """An app over a real source whose BMW is on loopback and whose stream is in the test's hand."""
    feeds: list[HandFeed] = []

    def build(name, settings, context):
        def feed(*arguments, **more):
            feeds.append(HandFeed(*arguments, **more))
            return feeds[-1]

        return CarDataSource(name, settings, context, feed=feed)

    (folder / "data").mkdir()
    async with house(folder / "data", VEHICLES[:1], data=data, logged_in=logged_in) as road:
        api = road.url if reachable else "http://127.0.0.1:9"
        path = folder / "config.toml"
        path.write_text(CONFIG.replace("AUTH", road.url).replace("API", api).replace("QUOTA", str(quota)))
        loaded = load(path, environ={"TZ": "UTC"})
        app = App(loaded, clock=road.clock, source_builders={"cardata": build})
        await app.open()
        stop = asyncio.Event()
        attending = asyncio.create_task(app.road.sources["home"].attend(stop))
        await road.clock.settle()
        try:
            yield app, road, feeds[-1]
        finally:
            stop.set()
            await attending
            await app.close()


def parked(vin, descriptors, _at):
    """A car that has not moved since the day before."""
    return car_data(vin, descriptors, START - timedelta(hours=20))


async def polled(app):
    await app.road.rounds["home"].round()
    await app.refresh()


@pytest.mark.parametrize(
    ("condition", "message", "ready"),
    [
        ("refused", "no login is stored", False),
        ("no_network", "", False),
        ("budget_spent", "calls that BMW allows in 24 hours are spent", True),
        ("stream_down", "the stream is gone", True),
        ("car_quiet", "the car has sent nothing new since", True),
    ],
)
async def test_each_state_provoked_is_seen(tmp_path, condition, message, ready):
    pytest.importorskip("playwright")
    more = {
        "refused": {"logged_in": False},
        "no_network": {"reachable": False},
        "budget_spent": {"quota": 6},
        "car_quiet": {"data": parked},
    }.get(condition, {})
    async with account(tmp_path, **more) as (app, road, feed):
        if condition == "no_network":
            feed.cut("no_network", "the name of BMW's stream cannot be resolved", "dns")
        elif condition != "refused":
            feed.connect()
        await polled(app)
        if condition == "stream_down":
            feed.cut()
            await road.clock.advance(300)
            await polled(app)
        # Nobody beats the daemon's pulse here, which is another reason.
        assert any(reason.startswith("source home") for reason in app.status().reasons) is not ready
        async with shown(app) as url:
            await asyncio.to_thread(visit, url, sees(condition, message))


# --- logging in -------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["allow", "deny"])
async def test_the_button_logs_in(tmp_path, answer):
    """From the button over BMW's code to what became of it, without a reload by hand."""
    pytest.importorskip("playwright")
    login = Login(SystemClock(), interval=0.2)
    async with serve(Starlette(routes=login.routes())) as bmw:
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.replace("AUTH", bmw).replace("API", bmw).replace("QUOTA", "50"))
        app = App(load(path, environ={"TZ": "UTC"}))
        await app.open()
        await polled(app)

        def look(page):
            page.click("#login button")
            page.wait_for_selector("#login [data-state=waiting]")
            assert page.url.endswith("/#login")
            code = page.locator("#login .code").inner_text().split()[-1]
            assert page.locator("#login a").get_attribute("href").endswith(f"user_code={code}")
            box = page.locator("#login .qr svg").bounding_box()
            assert box["width"] == box["height"] >= 150
            assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
            assert login.answer(code, answer)
            state = "done" if answer == "allow" else "failed"
            page.wait_for_selector(f"#login [data-state={state}]", timeout=10_000)
            told = page.locator("#login").inner_text()
            assert ("Logged in: source home." if answer == "allow" else "the login was denied") in told

        try:
            async with shown(app) as url:
                if answer == "allow":
                    # The second visit finds the outcome, and no button.
                    await asyncio.to_thread(visit_once, url, look)
                else:
                    await asyncio.to_thread(visit, url, look)
            stored = bool(app.road.sources["home"].login_state().version)
            assert stored is (answer == "allow")
        finally:
            await app.close()


def visit_once(url, look):
    """As `visit`, on a phone only."""

    def look_on_a_phone(page):
        if page.viewport_size["width"] == WIDTHS[0]:
            look(page)

    visit(url, look_on_a_phone)
