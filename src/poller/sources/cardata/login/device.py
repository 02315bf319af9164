"""The device login: a code for the human, and waiting until it was entered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from poller.errors import LoginRequired, SourceError, SourceUnavailable
from poller.runtime.clock import Clock, Until
from poller.sources.cardata.login import oauth
from poller.sources.cardata.login.oauth import Verdict
from poller.sources.cardata.login.server import LoginServer, slowed_down, unclear
from poller.sources.http import Reply
from poller.sources.oauth import Grant, read_grant, understood


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What to show to the human: `user_code` to enter at `url`, or `url_complete` alone.

    `interval`: seconds between two questions whether it was entered.
    """

    user_code: str
    url: str
    url_complete: str
    interval: float
    expires_at: datetime
    device_code: str = field(repr=False)
    verifier: str = field(repr=False)


class DeviceLogin:
    """Gets a grant from a human. `source`: the name to put into hints."""

    def __init__(self, source: str, client_id: str, server: LoginServer, clock: Clock) -> None:
        self._source = source
        self._client_id = client_id
        self._server = server
        self._clock = clock

    async def begin(self) -> DeviceCode:
        """Ask for a code. Raises LoginRequired if BMW refuses, RateLimited, SourceUnavailable."""
        verifier = oauth.new_verifier()
        reply = await self._server.post(oauth.DEVICE_PATH, oauth.device_form(self._client_id, verifier))
        if reply.status != 200:
            raise self._no_code(reply)
        device = understood(reply.body, oauth.read_device)
        return DeviceCode(
            user_code=device.user_code,
            url=device.url,
            url_complete=device.url_complete,
            interval=device.interval,
            expires_at=self._clock.now() + timedelta(seconds=device.lifetime),
            device_code=device.device_code,
            verifier=verifier,
        )

    async def finish(self, code: DeviceCode) -> Grant:
        """Wait until the human has allowed it, asking at the server's pace.

        Raises LoginRequired (see `oauth.login_refusal` for its reasons), SourceUnavailable if BMW
        could not be asked up to the code's end.
        """
        form = oauth.redeem_form(self._client_id, code.device_code, code.verifier)
        end, interval = Until.told(code.expires_at, self._clock), code.interval
        trouble: SourceError | None = None
        spoiled = False
        while True:
            await self._clock.sleep(interval)
            if end.reached(self._clock):
                raise trouble or self._refused(Verdict.EXPIRED)
            try:
                reply = await self._server.post(oauth.TOKEN_PATH, form)
            except SourceUnavailable as error:
                trouble = error
                continue
            if reply.status == 200:
                return self._granted(reply)
            said = oauth.verdict(reply.status, reply.body)
            trouble = unclear(reply) if said is Verdict.UNCLEAR else None
            # A code does not survive a fault of BMW's gateway: what is said of it then is no refusal.
            spoiled = spoiled or reply.status >= 500
            if said is Verdict.SLOW_DOWN:
                interval += oauth.SLOWER
            elif said not in (Verdict.PENDING, Verdict.UNCLEAR):
                blamed = Verdict.SPOILED if spoiled and said is not Verdict.EXPIRED else said
                raise self._refused(blamed, oauth.word(reply.body))

    def _granted(self, reply: Reply) -> Grant:
        grant = understood(reply.body, read_grant)
        if grant.refresh_token is None:
            raise SourceUnavailable(
                "BMW gave no refresh token", hint=f"run `poller login {self._source}` again"
            )
        return grant

    def _no_code(self, reply: Reply) -> SourceError:
        said = oauth.verdict(reply.status, reply.body)
        if said is Verdict.SLOW_DOWN:
            return slowed_down(reply, self._clock.now())
        if reply.status >= 500 or said in (Verdict.UNCLEAR, Verdict.PENDING):
            return unclear(reply)
        return self._refused(said, oauth.word(reply.body))

    def _refused(self, said: Verdict, word: str = "") -> LoginRequired:
        refusal = oauth.login_refusal(said, self._source, word)
        return LoginRequired(refusal.message, hint=refusal.hint, reason=refusal.reason)
