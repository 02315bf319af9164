"""Logging in by a code on another device, as `poller login` and the page both do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol, runtime_checkable

from poller.errors import LoginRequired

#: Reasons of a LoginRequired that a fresh code mends: it was not entered in time; the gateway spoiled it.
EXPIRED: Final = "login_expired"
SPOILED: Final = "login_spoiled"


class Code(Protocol):
    """What the human needs: `user_code` to enter at `url`, or `url_complete` alone, before `expires_at`."""

    @property
    def user_code(self) -> str: ...  # noqa: D102  # see the class
    @property
    def url(self) -> str: ...  # noqa: D102
    @property
    def url_complete(self) -> str: ...  # noqa: D102
    @property
    def expires_at(self) -> datetime: ...  # noqa: D102


@runtime_checkable
class ByDevice(Protocol):
    """A source to which a human logs in with a code, on any device."""

    async def begin_login(self) -> Any:
        """Ask for a `Code`. Raises LoginRequired, RateLimited, SourceUnavailable."""
        ...

    async def finish_login(self, code: Any) -> str:
        """Wait until the human has allowed it, store the login, and say so, with what it still lacks.

        Raises LoginRequired with a reason, SourceUnavailable.
        """
        ...


async def log_in(source: ByDevice, show: Callable[[Code, LoginRequired | None], None], codes: int) -> str:
    """Show a code and wait; a fresh one where it expired or was spoiled, `codes` of them in all.

    `show` gets each code, and why there is another (None: the first). Gives what the source says in the
    end; raises as its parts.
    """
    why: LoginRequired | None = None
    for left in reversed(range(codes)):
        code = await source.begin_login()
        show(code, why)
        try:
            return await source.finish_login(code)
        except LoginRequired as error:
            if error.reason not in (EXPIRED, SPOILED) or not left:
                raise
            why = error
    raise ValueError("at least one code")
