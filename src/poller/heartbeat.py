"""A sign of life to an outside dead-man service, which tells the owner when it stops coming.

The address is a secret: who has it can keep the service from speaking up. It stands in no log and no text.
"""

from __future__ import annotations

import asyncio

import httpx

from poller.runtime import log
from poller.runtime.tls import shared_context

#: Real seconds for each part of the exchange, and for the whole.
_TIMEOUT, _PATIENCE = 10.0, 30.0


class Heartbeat:
    """Sends a sign of life when told to; a failure is logged once, and nothing is repeated.

    A stop is not reported as a failure (``…/fail``): what stopped cannot be relied on to say so, and the
    service notices by itself.
    """

    def __init__(self) -> None:
        self._failing = False
        self._logger = log.get("heartbeat")

    async def send(self, url: str) -> bool:
        """Whether the service took it; asks once, follows nowhere."""
        why = await self._exchange(url)
        if why and not self._failing:
            hint = "the service will tell you that the poller is gone; look at [alerts] heartbeat_url"
            self._logger.warning("heartbeat.failed", why=why, hint=hint)
        elif self._failing and not why:
            self._logger.info("heartbeat.recovered")
        self._failing = bool(why)
        return not why

    async def _exchange(self, url: str) -> str:
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                httpx.AsyncClient(
                    timeout=_TIMEOUT, follow_redirects=False, verify=shared_context()
                ) as client,
                client.stream("GET", url) as response,
            ):
                # What it says besides is nothing to us: not read.
                return "" if response.is_success else f"HTTP {response.status_code}"
        except Exception as error:  # noqa: BLE001  # a name or port that none is raises all sorts; the watch goes on
            return type(error).__name__
