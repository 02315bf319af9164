"""Who sent it, and when: the scheme of the Standard Webhooks specification (standardwebhooks.com).

``webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body">``; libraries that verify it
exist for most languages, and docs/sinks/webhook.md shows it in a few lines.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from poller.errors import SinkMisconfigured
from poller.sinks.base import Rendered

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key in ``whsec_<base64>``, or any other text as it is. Raises SinkMisconfigured."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        message = f"secret begins with {_PREFIX} and is no base64 after it"
        raise SinkMisconfigured(message, hint="copy it again, or choose any text of your own") from None


def message_id(record: Rendered) -> str:
    """The same however often it is tried; another for an amended record."""
    revision = record.get("revision", 1)
    return str(record["id"]) if revision == 1 else f"{record['id']}.{revision}"


def headers_of(name: str, body: bytes, now: datetime, key: bytes | None) -> Mapping[str, str]:
    """Id and time of a request, and its signature where there is a key."""
    moment = str(int(now.timestamp()))
    headers = {"webhook-id": name, "webhook-timestamp": moment}
    if key is not None:
        digest = hmac.new(key, b".".join((name.encode(), moment.encode(), body)), hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
