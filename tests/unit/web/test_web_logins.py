"""Logging in on the page: one at a time, a code to enter, and what became of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser

import httpx
import pytest

from poller.errors import LoginRequired, PollerError, SourceUnavailable
from poller.sources.device import log_in
from poller.testing.clock import ManualClock
from poller.web.guards import Guard
from poller.web.logins import Logins
from poller.web.page import Page
from poller.web.passwords import Password, Throttle
from poller.web.routes import Routes

ADDRESS = "https://login.example/link?user_code="


@dataclass
class Code:
    user_code: str
    expires_at: datetime
    url: str = "https://login.example/link"

    @property
    def url_complete(self) -> str:
        return ADDRESS + self.user_code


@dataclass
class Gate:
    """A source to which one logs in by device: `outcomes` are what comes of each code, in order."""

    clock: ManualClock
    outcomes: asyncio.Queue[str | Exception] = field(default_factory=asyncio.Queue)
    codes: int = 0
    closed: SourceUnavailable | None = None

    async def begin_login(self) -> Code:
        if self.closed is not None:
            raise self.closed
        self.codes += 1
        return Code(f"CODE{self.codes}", self.clock.now() + timedelta(minutes=5))

    async def finish_login(self, _code: Code) -> str:
        outcome = await self.outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Stage:
    """A page with a button, and the source behind it."""

    def __init__(self, stage) -> None:
        self.clock = ManualClock(stage.now)
        self.gate, self.other = Gate(self.clock), Gate(self.clock)
        missing = [
            stage.source(name=name, kind="cardata", state="login_required") for name in ("home", "second")
        ]
        self.daemon = stage.daemon(
            stage.status(sources=[*missing, stage.source()]),
            by_device={"home": self.gate, "second": self.other},
        )
        self.logins = Logins(self.daemon, self.clock)
        self.page = Page(stage.display, "/car")
        self.app = Routes(self.daemon, self.page, self.logins).app()

    def shown(self) -> str:
        return self.page.render(self.daemon, self.logins.shown())

    async def comes(self, outcome) -> None:
        await self.gate.outcomes.put(outcome)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def counter(stage):
    made = Stage(stage)
    yield made
    await made.logins.close()


def browser(app, **more):
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9877", **more)


class Forms(HTMLParser):
    """Where the page's forms lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.actions: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "form":
            named = dict(attrs)
            assert named["method"] == "post"
            self.actions.append(named["action"])


async def test_a_source_that_needs_it_has_a_button_and_another_has_none(counter):
    assert Forms(counter.shown()).actions == ["/car/login/home", "/car/login/second"]


async def test_the_button_leads_to_a_code_with_address_and_qr(counter):
    async with browser(counter.app) as client:
        answer = await client.post("/login/home")
    assert (answer.status_code, answer.headers["location"]) == (303, "/car/#login")
    page = counter.shown()
    assert "CODE1" in page
    assert f'href="{ADDRESS}CODE1"' in page
    assert '<svg viewBox="0 0' in page
    assert "another 5 min" in page
    assert 'data-every="3"' in page
    assert Forms(page).actions == ["/car/login/second"]


async def test_what_became_of_it_is_said_and_forgotten_after_a_while(counter):
    await counter.logins.begin("home")
    await counter.comes("Logged in: source home.\nBut the login lacks something: tick it.")
    page = counter.shown()
    assert "Logged in: source home." in page
    assert "CODE1" not in page
    assert 'data-every="10"' in page
    await counter.clock.advance(601)
    assert counter.logins.shown() is None


async def test_a_refusal_is_said_with_its_mend_and_can_be_tried_again(counter):
    await counter.logins.begin("home")
    await counter.comes(LoginRequired("the login was denied", hint="allow it", reason="login_denied"))
    page = counter.shown()
    assert "The login failed: the login was denied" in page
    assert "allow it" in page
    assert "/car/login/home" in Forms(page).actions
    await counter.logins.begin("home")
    assert "CODE2" in counter.shown()


@pytest.mark.parametrize("reason", ["login_expired", "login_spoiled"])
async def test_a_code_that_nobody_entered_is_replaced_once(counter, reason):
    await counter.logins.begin("home")
    await counter.comes(LoginRequired("not in time", reason=reason))
    assert "CODE2" in counter.shown()
    await counter.comes(LoginRequired("not in time", reason=reason))
    assert counter.gate.codes == 2
    assert "The login failed: not in time" in counter.shown()


async def test_one_at_a_time_and_a_second_press_shows_the_same(counter):
    await counter.logins.begin("home")
    await counter.logins.begin("home")
    assert counter.gate.codes == 1
    with pytest.raises(PollerError, match="a login to home is under way"):
        await counter.logins.begin("second")
    async with browser(counter.app) as client:
        assert (await client.post("/login/second")).status_code == 409
    assert counter.other.codes == 0


async def test_bmw_cannot_be_asked(counter):
    counter.gate.closed = SourceUnavailable("BMW could not be reached", hint="look at the network")
    await counter.logins.begin("home")
    assert "The login failed: BMW could not be reached" in counter.shown()


async def test_a_bug_or_a_reload_ends_it_with_a_word(counter):
    await counter.logins.begin("home")
    await counter.comes(RuntimeError("secret"))
    page = counter.shown()
    assert "a bug in this program: RuntimeError" in page
    assert "secret" not in page
    await counter.logins.begin("home")
    counter.daemon.by_device = {}
    await counter.comes(RuntimeError("the source is not open"))
    login = counter.logins.shown()
    assert login is not None
    assert login.text == "the configuration was loaded anew meanwhile"


async def test_the_end_of_the_web_ends_it(counter):
    await counter.logins.begin("home")
    await counter.logins.close()
    assert counter.logins.shown() is None
    await counter.logins.close()


@pytest.mark.parametrize("name", ["nobody", "bmw"])
async def test_who_takes_no_code_is_404(counter, name):
    async with browser(counter.app) as client:
        assert (await client.post(f"/login/{name}")).status_code == 404
        assert (await client.get("/login/home")).status_code == 405
    assert counter.gate.codes == 0


@pytest.mark.parametrize(
    ("headers", "password", "server", "status"),
    [
        ({"Origin": "http://127.0.0.1:9877"}, None, "127.0.0.1", 303),
        ({}, None, "127.0.0.1", 303),
        ({"Origin": "https://evil.example"}, None, "127.0.0.1", 403),
        ({"Origin": "null"}, None, "127.0.0.1", 403),
        ({"Sec-Fetch-Site": "cross-site"}, None, "127.0.0.1", 403),
        ({"Origin": "http://127.0.0.1:9877"}, None, "192.168.0.2", 403),
        ({"Origin": "http://127.0.0.1:9877"}, "hunter2", "192.168.0.2", 401),
    ],
)
async def test_who_may_press_the_button(counter, headers, password, server, status):
    """Our own page, on this machine or with the password; nobody else's page, and not the open network."""
    guard = Guard(
        counter.app,
        local=[("127.0.0.1", 9877)],
        hosts=["localhost"],
        password=Password(password) if password else None,
        throttle=Throttle(counter.clock),
    )

    async def app(scope, receive, send):
        await guard({**scope, "server": (server, 9877)}, receive, send)

    async with browser(app) as client:
        assert (await client.post("/login/home", headers=headers)).status_code == status
    assert counter.gate.codes == (status == 303)


async def test_codes_run_out():
    gate = Gate(ManualClock())
    shown = []
    for _ in range(3):
        gate.outcomes.put_nowait(LoginRequired("late", reason="login_expired"))
    with pytest.raises(LoginRequired, match="late"):
        await log_in(gate, lambda code, why: shown.append((code.user_code, why and why.message)), 3)
    assert shown == [("CODE1", None), ("CODE2", "late"), ("CODE3", "late")]
