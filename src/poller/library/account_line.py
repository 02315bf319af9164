"""An account's ways to BMW, one in each event loop, and how each gets its login."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from poller.errors import LoginRequired, RateLimited
from poller.runtime.clock import Until
from poller.sources.base import SourceContext
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.mybmw.source import MyBmwSource
from poller.vehicle.answer import Answer

#: What the account's source is called, in log lines.
_NAME: Final = "account"


@dataclass(frozen=True, slots=True)
class Given:
    """What a new login is to be made of."""

    captcha_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    gcid: str | None = field(default=None, repr=False)
    session_id: str | None = field(default=None, repr=False)
    takeover: Path | None = None

    @property
    def replaces(self) -> bool:
        """Whether it counts although a login is stored."""
        return bool(self.refresh_token or self.takeover)


@dataclass(slots=True)
class Line:
    """The way to BMW in one event loop, and how many use it now."""

    source: MyBmwSource
    users: int = 0


class Lines:
    """No loop ever touches another's line; the tasks of one share theirs.

    `given`: for the next login; it is spent with it.
    """

    def __init__(self, settings: MyBmwSettings, context: SourceContext, given: Given) -> None:
        self.given = given
        #: Those that are in use.
        self.held: dict[asyncio.AbstractEventLoop, Line] = {}
        self._settings = settings
        self._context = context
        #: The last wait that BMW asked for, and when it ends.
        self._told: tuple[RateLimited, Until] | None = None

    def enter(self) -> Line:
        """The running loop's line, not opened yet if it is new."""
        loop = asyncio.get_running_loop()
        if loop not in self.held:
            self.held[loop] = Line(MyBmwSource(_NAME, self._settings, self._context))
        return self.held[loop]

    @asynccontextmanager
    async def line(self) -> AsyncIterator[MyBmwSource]:
        """The source, open and logged in; whoever leaves last closes it. Raises SourceError.

        Where BMW has told us to wait, nobody is asked before that time.
        """
        self._respect_wait()
        line = self.enter()
        line.users += 1
        try:
            await line.source.open()
            await self._log_in(line.source)
            yield line.source
        except RateLimited as error:
            self.heed(error)
            raise
        except LoginRequired as error:
            error.hint = _how_to_log_in(line.source.captcha_page)
            error.add_note(error.hint)
            raise
        finally:
            if (told := line.source.told_to_wait) is not None:
                self.heed(told)
            line.users -= 1
            if not line.users:
                await self.hang_up(line)

    def heed(self, error: RateLimited) -> None:
        """Note a wait that BMW asks for: it holds for all calls of the account."""
        clock = self._context.clock
        self._told = error, Until.told(error.until, clock)

    def _respect_wait(self) -> None:
        clock = self._context.clock
        if self._told is not None and not self._told[1].reached(clock):
            told, ends = self._told
            raise type(told)(ends.at(clock), told.message, hint=told.hint, reason=told.reason)

    async def hang_up(self, line: Line) -> None:
        """Close a line, whoever uses it."""
        loop = asyncio.get_running_loop()
        if self.held.get(loop) is line:
            del self.held[loop]
        await line.source.close()

    async def _log_in(self, source: MyBmwSource) -> None:
        given = self.given
        if source.login_state().version and not given.replaces:
            return
        try:
            await source.login(
                captcha_token=given.captcha_token,
                refresh_token=given.refresh_token,
                gcid=given.gcid,
                session_id=given.session_id,
                takeover=given.takeover,
            )
        except LoginRequired:
            self.given = Given()  # BMW saw it: it is spent
            raise
        self.given = Given()


class BriefMemory:
    """The account's lists and profiles, for as long as it lives."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}

    async def recall(self, key: str) -> dict[str, Any] | None:
        """What was remembered last."""
        return self._values.get(key)

    async def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """In place of what was remembered before."""
        self._values[key] = dict(value)

    async def keep(self, _answer: Answer, key: str, value: Mapping[str, Any]) -> None:
        """As `remember`: there is no journal for the answer."""
        await self.remember(key, value)


def _how_to_log_in(captcha_page: str | None) -> str:
    first = "give the password"
    if captcha_page is not None:
        first += f" and, within minutes, the captcha_token that {captcha_page} gives; each counts once"
    return f"{first}; or use set_refresh_token or take_over"
