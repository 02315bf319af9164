"""What is served where."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from poller.runtime.metrics import Metrics, exposition
from poller.testing.clock import ManualClock
from poller.web.assets import files
from poller.web.logins import Logins
from poller.web.page import Page
from poller.web.routes import Routes

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def client(daemon, stage):
    routes = Routes(daemon, Page(stage.display), Logins(daemon, ManualClock(stage.now)))
    transport = httpx.ASGITransport(routes.app())
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9877")


class Collector:
    def __init__(self, collect):
        self.collect = collect

    def describe(self):
        return ()


def registry(*collectors):
    made = CollectorRegistry()
    for collect in collectors:
        made.register(Collector(collect))
    return made


def good(name="vehicle_soc_ratio"):
    return lambda: [GaugeMetricFamily(name, "Help.", value=0.5)]


def broken():
    yield GaugeMetricFamily("before_meters", "Help.", value=1)
    raise RuntimeError("WMW00000000000001 is secret")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", "application/json"),
        ("/readyz", "application/json"),
        ("/api/v1/status", "application/json"),
        ("/api/v1/vehicles", "application/json"),
        ("/api/v1/vehicles/mini", "application/json"),
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/static/refresh.js", "text/javascript; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
async def test_every_address_answers_get_and_head(stage, path, kind):
    stage.car(soc_percent=62)
    async with client(stage.daemon(), stage) as browser:
        got = await browser.get(path)
        assert (got.status_code, got.headers["content-type"]) == (200, kind)
        head = await browser.head(path)
        assert (head.status_code, head.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize("path", ["/api", "/api/v1/nothing", "/api/v1/vehicles/nobody", "/api/v2/status"])
async def test_what_is_not_there_is_404_and_json_under_api(stage, path):
    async with client(stage.daemon(), stage) as browser:
        missing = await browser.get(path)
    assert missing.status_code == 404
    assert missing.json()["error"]


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/static/../routes.py", "/static/none.css"])
async def test_what_is_not_there_is_404_and_text_elsewhere(stage, path):
    async with client(stage.daemon(), stage) as browser:
        missing = await browser.get(path)
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/vehicles/mini", "/metrics", "/"])
async def test_other_methods_are_405(stage, path):
    async with client(stage.daemon(), stage) as browser:
        refused = await browser.post(path)
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]


async def test_health_is_progress_and_says_why_not(stage):
    async with client(stage.daemon(), stage) as browser:
        assert (await browser.get("/healthz")).json() == {"status": "ok", "reasons": []}
    async with client(stage.daemon(stage.status(progressing=False)), stage) as browser:
        failing = await browser.get("/healthz")
    assert failing.status_code == 503
    assert failing.json()["reasons"]


async def test_an_unready_poller_is_still_healthy(stage):
    """A login that a person must renew is no reason to restart the process."""
    async with client(stage.daemon(stage.status(sources=[stage.source(state="blocked")])), stage) as browser:
        assert (await browser.get("/healthz")).status_code == 200
        unready = await browser.get("/readyz")
    assert unready.status_code == 503
    assert unready.json() == {
        "status": "not ready", "reasons": ["source bmw: the maker refuses third-party clients"], "notes": [],
    }  # fmt: skip


async def test_ready_has_no_reasons(stage):
    async with client(stage.daemon(), stage) as browser:
        answer = await browser.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "reasons": [], "notes": []})


async def test_a_vehicle_is_found_by_its_name(stage):
    stage.car(soc_percent=62)
    stage.car(vin="WBY00000000000002", soc_percent=70)
    async with client(stage.daemon(), stage) as browser:
        names = [line["vehicle"] for line in (await browser.get("/api/v1/vehicles")).json()["vehicles"]]
        assert sorted(names) == ["0000002", "mini"]
        assert (await browser.get("/api/v1/vehicles/0000002")).json()["readings"] == {"soc_percent": 70}


async def test_a_scrape_holds_all_registries_once(stage):
    metrics = Metrics()
    metrics.declare_source("bmw")
    daemon = stage.daemon(registries=[metrics.registry, registry(good())])
    async with client(daemon, stage) as browser:
        text = (await browser.get("/metrics")).text
    names = [family.name for family in text_string_to_metric_families(text)]
    assert "poller_polls" in names
    assert names[-1] == "vehicle_soc_ratio"
    assert len(names) == len(set(names))
    assert "_created" not in text


async def test_a_scraper_that_likes_openmetrics_gets_it(stage):
    daemon = stage.daemon(registries=[registry(good()), registry(good("vehicle_odometer_meters"))])
    async with client(daemon, stage) as browser:
        answer = await browser.get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.count("# EOF\n") == 1
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("accept", ["", OPENMETRICS, "text/plain", "*/*", ";;;,,=q"])
def test_one_failing_collector_does_not_cost_the_scrape(accept):
    scrape = exposition([registry(broken), registry(good())], accept)
    assert b"before_meters 1.0" in scrape.body
    assert b"vehicle_soc_ratio 0.5" in scrape.body
    assert scrape.failures == ("collector: RuntimeError",)


def test_a_family_that_cannot_be_written_costs_itself_only():
    def unwritable():
        yield GaugeMetricFamily("bad_meters", "Help.", value=None, labels=["x"])
        family = GaugeMetricFamily("worse_meters", "Help.", labels=["x"])
        family.add_metric(["y"], "no number")
        yield family
        yield from good()()

    scrape = exposition([registry(unwritable)], "")
    assert b"vehicle_soc_ratio 0.5" in scrape.body
    assert b"worse_meters{" not in scrape.body
    assert scrape.failures == ("worse_meters: ValueError",)


def test_openmetrics_of_a_counter_keeps_its_name():
    made = CollectorRegistry()
    Counter("poller_polls_total", "Polls.", registry=made).inc()
    assert b"poller_polls_total 1.0" in exposition([made], OPENMETRICS).body


async def test_a_bug_is_500_without_its_trace_and_the_next_request_is_served(stage, capsys):
    daemon = stage.daemon()
    sound, daemon.status = daemon.status, lambda: 1 / 0
    async with client(daemon, stage) as browser:
        broken_answer = await browser.get("/api/v1/status")
        assert broken_answer.status_code == 500
        assert broken_answer.json()["error"]
        assert "ZeroDivision" not in broken_answer.text
        daemon.status = sound
        assert (await browser.get("/api/v1/status")).status_code == 200


async def test_long_answers_are_compressed_for_who_likes_it(stage):
    async with client(stage.daemon(), stage) as browser:
        packed = await browser.get("/", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        plain = await browser.get("/", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert packed.text == plain.text


async def test_static_files_are_kept_only_under_their_version(stage):
    version = files()["style.css"].version
    async with client(stage.daemon(), stage) as browser:
        kept = await browser.get(f"/static/style.css?v={version}")
        assert "immutable" in kept.headers["cache-control"]
        for query in ("", "?v=older", "?v="):
            other = await browser.get("/static/style.css" + query)
            assert other.headers["cache-control"] == "no-cache"
