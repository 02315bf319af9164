"""What a server's reply to a request means. Pure."""

from __future__ import annotations

from datetime import datetime

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.sinks.http import Reply, asked_until

#: No server makes us wait longer than this, in seconds, before we ask again.
LONGEST_WAIT = 3600.0
_LATER = frozenset({408, 425, 429})
_HINTS = {
    401: "the server wants to know who we are: set `headers`",
    403: "the server refuses us: is the key in `url` or `headers` right?",
    404: "nothing is there: is `url` right?",
    405: "the server wants another `method`",
    410: "the server says that this address is gone for good: set the new `url`",
}


def refusal(reply: Reply, host: str, now: datetime) -> str | None:
    """None: it was taken. Else why this record will never be; later and wrong settings are raised.

    A redirect is not followed, for it would take record and signature to a place nobody configured.
    """
    status = reply.status
    words = f"{host} answered HTTP {status}"
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        raise SinkMisconfigured(words, hint="it points elsewhere, where we do not follow: set that as `url`")
    if status in _HINTS:
        raise SinkMisconfigured(words, hint=_HINTS[status])
    if status in _LATER or status >= 500:
        until = asked_until(reply.headers, now, LONGEST_WAIT)
        reason = "rate_limited" if status == 429 else "timeout" if status == 408 else "server"
        raise SinkUnavailable(words, until=until, reason=reason)
    return words
