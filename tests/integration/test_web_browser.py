"""The page in a real browser: nothing refused, nothing too wide for a phone, and a copy knows it is one."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime

import pytest

from poller.runtime.clock import SystemClock
from poller.runtime.status import AlertStatus, DaemonStatus, Failure, SinkStatus, SourceStatus
from poller.testing.daemon import StillDaemon
from poller.vehicle.display import Display
from poller.vehicle.fleet import Fleet
from poller.vehicle.snapshot import SnapshotBuilder
from poller.web.server import WebServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

LONG = "Unaussprechlich" * 7


def a_daemon():
    """Five cars with long names, and everything wrong that can be."""
    now = datetime.now(UTC)
    failure = Failure(now, "server", f"the server said {LONG}", f"see {LONG}")
    fleet = Fleet()
    for number in range(5):
        builder = SnapshotBuilder("bmw", f"WMW0000000000000{number}", now, now)
        builder.put("model", LONG)
        builder.put("soc_percent", 20 * number)
        builder.put("soc_target_percent", 80)
        builder.put("fuel_liters", 30)
        builder.put("locked", value=False)
        for position in ("front_left", "front_right", "rear_left", "rear_right"):
            builder.put("door_open", value=True, dimension=position)
            builder.put("tire_pressure_kpa", 230, dimension=position)
        builder.put("check_control", "high", dimension=LONG.lower()[:60])
        fleet.update(builder.build())
    source = SourceStatus(LONG, "mybmw", "login_required", 900, last_success_at=now, failure=failure)
    sink = SinkStatus(LONG, "axiom", live=False, held=LONG, failure=failure, dead_letters=3)
    alerts = [
        AlertStatus("", "no_fresh_data", LONG, "warning", now, f"{LONG}: no fresh data", f"`poller {LONG}`"),
        AlertStatus("0000001", "window_open", "", "critical", now, f"{LONG} is open", f"{LONG} is open"),
    ]
    status = DaemonStatus(
        "1.2.3",
        now,
        now,
        [source],
        [sink],
        recent_failures=[(LONG, failure)],
        simulated=True,
        alerts=alerts,
    )
    return StillDaemon(status, fleet=fleet)


def visit(url, width, scheme, stop):
    """What a browser finds wrong, and whether the page admits it when the poller has gone."""
    from playwright.sync_api import sync_playwright

    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.clock.install()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda answer: answer.status >= 400 and wrong.append(answer.url))
        page.goto(url)
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        wide = page.evaluate("document.documentElement.scrollWidth")
        with page.expect_response(url):
            page.clock.run_for(10_000)
        page.wait_for_function("document.querySelectorAll('details[open]').length === 5")
        assert not page.locator("#frozen").is_visible()
        assert (wrong, wide) == ([], width)
        stop()
        for _ in range(3):
            with page.expect_event("requestfailed"):
                page.clock.run_for(10_000)
        page.locator("#frozen").wait_for(state="visible", timeout=5000)
        told = page.locator("#frozen").inner_text()
        browser.close()
    return told


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_in_a_browser(width, scheme):
    pytest.importorskip("playwright")
    server = WebServer(
        a_daemon(), listen=[("127.0.0.1", 0)], display=Display("metric", UTC), clock=SystemClock()
    )
    server.bind()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    task = asyncio.create_task(server.run(stop))

    def stop_and_wait():
        loop.call_soon_threadsafe(stop.set)
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(asyncio.shield(task), 5), loop).result(6)

    told = await asyncio.to_thread(visit, server.urls[0], width, scheme, stop_and_wait)
    assert told.startswith("The poller does not answer. This page is a copy from ")
