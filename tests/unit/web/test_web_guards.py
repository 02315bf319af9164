"""Who may ask what. The application behind the guard answers everything with 200."""

from __future__ import annotations

import base64

import httpx
import pytest
from starlette.responses import PlainTextResponse

from poller.testing.clock import ManualClock
from poller.web.guards import BasePath, Guard
from poller.web.passwords import Password, Throttle, hash_password

LOCAL = ("127.0.0.1", 9877)
OPEN = ["/metrics", "/healthz", "/readyz"]
CLOSED = ["/", "/api/v1/status", "/static/style.css", "/metrics/", "/healthz/x", "//metrics"]


async def echo(scope, receive, send):
    await PlainTextResponse(scope["path"])(scope, receive, send)


def guarded(password=None, prefix="", clock=None, hosts=("localhost", "cars.example.org")):
    guard = Guard(
        echo,
        local=[LOCAL, ("::1", 9877)],
        hosts=hosts,
        trusted_origins=["cars.example.org"],
        password=Password(password) if password else None,
        throttle=Throttle(clock or ManualClock()),
    )
    return BasePath(guard, prefix)


def browser(app, address="http://127.0.0.1:9877", client="127.0.0.1"):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(client, 5)), base_url=address)


def basic(password, user="anybody"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", [*OPEN, *CLOSED])
@pytest.mark.parametrize("address", ["http://127.0.0.1:9877", "http://[::1]:9877"])
async def test_this_machine_sees_everything(path, address):
    async with browser(guarded(), address) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://192.168.1.5:9877", "another listener"),
        ("http://127.0.0.1:9878", "a wildcard listener, reached over loopback"),
        ("http://[fd00::5]:9877", "another listener"),
    ],
)
async def test_the_network_sees_only_what_monitoring_needs(address, why):
    async with browser(guarded(), address) as client:
        assert {(await client.get(path)).status_code for path in OPEN} == {200}
        for path in CLOSED:
            refused = await client.get(path)
            assert refused.status_code == 403, why
            assert "POLLER_WEB__PASSWORD" in refused.text


async def test_a_password_opens_the_page_to_the_network_and_closes_it_at_home():
    app = guarded("sesame")
    for address in ("http://192.168.1.5:9877", "http://127.0.0.1:9877"):
        async with browser(app, address) as client:
            assert {(await client.get(path)).status_code for path in OPEN} == {200}
            challenge = await client.get("/")
            assert challenge.status_code == 401
            assert challenge.headers["www-authenticate"].startswith("Basic")
            assert (await client.get("/", headers=basic("wrong"))).status_code == 401
            assert (await client.get("/", headers=basic("sesame"))).status_code == 200
            assert (await client.get("/api/v1/status", headers=basic("sesame"))).status_code == 200


async def test_a_hashed_password_and_colons_work():
    async with browser(guarded(hash_password("a:b:ü"))) as client:
        assert (await client.get("/", headers=basic("a:b:ü"))).status_code == 200
        assert (await client.get("/", headers=basic("a"))).status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic /w==", "Bearer sesame", "Basic c2VzYW1l"])
async def test_a_broken_authorization_is_no_password(header):
    async with browser(guarded("sesame")) as client:
        assert (await client.get("/", headers={"Authorization": header})).status_code == 401


async def test_guessing_is_slowed_down_but_who_was_in_stays_in():
    clock = ManualClock()
    app = guarded("sesame", clock=clock)
    async with browser(app, client="10.0.0.9") as guesser, browser(app, client="10.0.0.2") as owner:
        for number in range(10):
            assert (await guesser.get("/", headers=basic(str(number)))).status_code == 401
        closed = await guesser.get("/", headers=basic("11"))
        assert closed.status_code == 429
        assert int(closed.headers["retry-after"]) == 60
        assert (await owner.get("/", headers=basic("sesame"))).status_code == 200
        # The same household behind one address: who knows the password is not locked out.
        assert (await guesser.get("/", headers=basic("sesame"))).status_code == 200
        await clock.advance(60)
        assert (await guesser.get("/", headers=basic("no"))).status_code == 401


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:9877", "localhost", "LOCALHOST:9877", "localhost.", "[::1]:9877", "192.168.1.7",
     "cars.example.org"],
)  # fmt: skip
async def test_our_own_names_and_addresses_are_answered(host):
    async with browser(guarded()) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil", ""]
)
@pytest.mark.parametrize("path", ["/", "/api/v1/status"])
async def test_a_foreign_name_is_refused(host, path):
    """DNS rebinding: a page of evil.example whose name points at us must not read us."""
    async with browser(guarded()) as client:
        refused = await client.get(path, headers={"Host": host})
        assert refused.status_code == 403
        assert "allowed_hosts" in refused.text


async def test_a_scraper_inside_a_container_network_may_use_the_service_name():
    async with browser(guarded()) as client:
        assert (await client.get("/metrics", headers={"Host": "poller:9877"})).status_code == 200
        assert (await client.get("/metrics", headers={"Host": "poller.evil.example"})).status_code == 403


async def test_the_refused_name_is_not_echoed_as_it_came():
    async with browser(guarded()) as client:
        refused = await client.get("/", headers={"Host": "<script>.example"})
        assert "<" not in refused.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:9877"}, 200),
        ({"Origin": "https://cars.example.org"}, 200),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_what_changes_something_must_come_from_our_own_page(method, headers, status):
    async with browser(guarded()) as client:
        assert (await client.request(method, "/api/v1/anything", headers=headers)).status_code == status


async def test_reading_from_elsewhere_is_answered_but_never_shared():
    """No CORS: the browser keeps the answer from the foreign page."""
    async with browser(guarded()) as client:
        answer = await client.get("/", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("path", "host"), [("/", "localhost"), ("/", "evil.example"), ("/metrics", "localhost")]
)
async def test_every_answer_is_hardened_refusals_too(path, host):
    async with browser(guarded()) as client:
        headers = (await client.get(path, headers={"Host": host})).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


async def test_the_api_is_refused_in_json():
    async with browser(guarded(), "http://192.168.1.5:9877") as client:
        assert set((await client.get("/api/v1/status")).json()) == {"error", "hint"}


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("/cars", "/"), ("/cars/", "/"), ("/cars/api/v1/status", "/api/v1/status"), ("/healthz", "/healthz"),
        ("/carsick", "/carsick"), ("/", "/"),
    ],
)  # fmt: skip
async def test_the_proxys_path_is_taken_off_where_it_is_there(asked, served):
    async with browser(guarded(prefix="/cars")) as client:
        assert (await client.get(asked)).text == served


async def test_the_proxys_path_does_not_go_around_the_guard():
    async with browser(guarded(prefix="/cars"), "http://192.168.1.5:9877") as client:
        assert (await client.get("/cars/metrics")).status_code == 200
        assert (await client.get("/cars/cars/metrics")).status_code == 403
        assert (await client.get("/cars/")).status_code == 403
