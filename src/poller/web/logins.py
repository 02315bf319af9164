"""The login that a human begins on the page: one at a time, shown until something came of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from poller.errors import LoginRequired, PollerError
from poller.runtime import log
from poller.runtime.clock import Clock
from poller.sources.device import ByDevice, Code, log_in
from poller.web.base import Daemon

#: Codes shown for one press of the button: BMW's gateway may spoil one, nobody may be there to enter it.
_CODES = 2
#: Real seconds that the answer to the press waits for the code, so that the page has it at once.
_PATIENCE = 5.0
#: Seconds for which the outcome stays on the page.
_OUTCOME = 600.0


@dataclass(frozen=True, slots=True)
class Login:
    """How a login stands. `code`: while it waits for the human; `text` and `hint`: what became of it."""

    source: str
    state: Literal["asking", "waiting", "done", "failed"]
    at: datetime
    code: Code | None = None
    text: str = ""
    hint: str = ""

    @property
    def under_way(self) -> bool:
        """Whether another one has to wait."""
        return self.state in ("asking", "waiting")


class Logins:
    """Runs what the page's button asks for."""

    def __init__(self, daemon: Daemon, clock: Clock) -> None:
        self._daemon = daemon
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._shown: Login | None = None
        self._code_shown = asyncio.Event()
        self._logger = log.get("web")

    def shown(self) -> Login | None:
        """What the page should say, None if there is nothing."""
        shown = self._shown
        if shown is None or shown.under_way:
            return shown
        return shown if abs((self._clock.now() - shown.at).total_seconds()) < _OUTCOME else None

    async def begin(self, name: str) -> None:
        """Begin one, unless this source's is under way; back when there is a code, or in a moment.

        Raises LookupError if there is no such source, PollerError if another one's is under way.
        """
        source = self._daemon.to_log_in(name)
        if source is None:
            raise LookupError(name)
        shown = self._shown
        if shown is None or not shown.under_way:
            self._set(Login(name, "asking", self._clock.now()))
            self._task = asyncio.create_task(self._run(name, source), name=f"login:{name}")
            self._logger.info("login.begun", source=name)
        elif shown.source != name:
            hint = "finish it, or wait a few minutes"
            raise PollerError(f"a login to {shown.source} is under way", hint=hint)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._code_shown.wait(), _PATIENCE)

    async def close(self) -> None:
        """Give up what is under way; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._shown = None

    async def _run(self, name: str, source: ByDevice) -> None:
        def show(code: Code, _why: LoginRequired | None) -> None:
            self._set(Login(name, "waiting", self._clock.now(), code))

        try:
            said = await log_in(source, show, _CODES)
        except PollerError as error:
            self._fail(name, error.message, error.hint or "")
        except Exception as error:
            if self._daemon.to_log_in(name) is source:
                self._logger.exception("login.crashed", source=name)
                self._fail(name, f"a bug in this program: {type(error).__name__}", "see the log")
            else:
                self._fail(name, "the configuration was loaded anew meanwhile", "begin again")
        else:
            self._set(Login(name, "done", self._clock.now(), text=said))

    def _fail(self, name: str, text: str, hint: str) -> None:
        self._logger.warning("login.failed", source=name, error=text, hint=hint or None)
        self._set(Login(name, "failed", self._clock.now(), text=text, hint=hint))

    def _set(self, login: Login) -> None:
        self._shown = login
        if login.state == "asking":
            self._code_shown.clear()
        else:
            self._code_shown.set()
