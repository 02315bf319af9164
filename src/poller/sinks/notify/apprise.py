"""Apprise in our words. Imported only when a `notify` sink is configured; it comes with the extra."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any, Final

from poller.errors import SinkMisconfigured
from poller.sinks.base import Rendered
from poller.sinks.settings import INSTALL_APPRISE

_CODE = re.compile(r"\berror=(\d{3})\b")
_REFUSED = ("401", "403", "404")
_TYPES: Final = {"info": "info", "warning": "warning", "critical": "failure"}


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a message did not get through; `refused`: it is the address, not the network."""

    why: str
    refused: bool = False


class Messenger:
    """One channel's address, understood. Raises SinkMisconfigured; speaks to nobody yet.

    `apart`: seconds between two messages at least.
    """

    def __init__(self, url: str, *, place: str, apart: float) -> None:
        apprise = _library()
        asset = apprise.AppriseAsset(app_id="poller", app_desc="poller", storage_mode="memory")
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None:
            raise SinkMisconfigured(
                f"{place} is no address that Apprise understands",
                hint="its documentation lists one for each service; `poller alerts test` tries it",
            )
        # Its own pause of several seconds, for mass mailings, would keep alerts waiting.
        service.request_rate_per_sec = min(apart, service.request_rate_per_sec)
        self.service = str(service.service_name)
        self._apprise = apprise.Apprise(asset=asset)
        self._apprise.add(service)

    def send(self, record: Rendered) -> Failed | None:
        """Send an alert, in a thread; None if the service took it. Apprise has time-outs of its own."""
        kind = "success" if record["state"] == "cleared" else _TYPES[record["severity"]]
        result = self._apprise.notify(
            title=record["title"], body=record["text"], notify_type=kind, body_format="text"
        )
        return None if result else _why([entry.message for entry in result.logs()])


def _library() -> Any:
    try:
        import apprise
    except ImportError:
        message = "Apprise is not installed, and messages go through it"
        raise SinkMisconfigured(message, hint=f"install it: {INSTALL_APPRISE}") from None
    # What they log names addresses, which are secrets; what went wrong is in the results.
    for name in ("apprise", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    return apprise


def _why(messages: list[str]) -> Failed:
    """Only what is known to hold no address."""
    for message in messages:
        if code := _CODE.search(message):
            return Failed(f"it answered HTTP {code[1]}", refused=code[1] in _REFUSED)
        if "onnection error" in message:
            return Failed("no connection, or it broke off")
    return Failed("it did not take the message")
