"""aiomqtt's client, with an end to what that one leaves open; for every connection to a broker."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Iterator
from typing import Any, Final

import aiomqtt
from paho.mqtt import client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

#: Real seconds for the good-bye.
GOOD_BYE: Final = 0.3
#: Real seconds for a packet to come whole, over the slowest of lines.
PACKET_WITHIN: Final = 120.0
#: What the libraries say names topics and users. Nobody hears it; what went wrong is raised.
MUTE: Final = logging.Logger("mqtt", logging.CRITICAL + 1)  # noqa: LOG001  # of no tree: none can turn it on


class Client(aiomqtt.Client):
    """aiomqtt's client, with an end to what that one leaves open.

    After an answer that did not come, or a packet that could not be read, it holds itself for
    disconnected while the socket lives on, and would be the account's second connection. And it takes
    in packets of any size.
    """

    _abandoned = False
    _in_thread = True
    #: Messages of ours that the broker acknowledged and threw away: they may not be where they went.
    thrown_away = 0

    def bound(self, longest: int, within: float = PACKET_WITHIN) -> None:
        """Let a packet of more bytes, or one that takes longer (real seconds), end the connection.

        paho knows no limit, and takes each byte of one that never ends for a sign of life.
        """
        paho = self._client
        receive = paho._sock_recv  # noqa: SLF001  # what it reads with, and all that it asks for is the rest
        begun = time.monotonic()

        def receive_within(size: int) -> bytes:
            nonlocal begun
            if paho._in_packet["command"] == 0:  # noqa: SLF001  # as long as no packet is under way
                begun = time.monotonic()
            elif time.monotonic() - begun > within:
                raise ValueError("a packet that does not end")
            if size > longest:
                raise ValueError("longer than any packet that we read")
            return receive(size)

        setattr(paho, "_sock_recv", receive_within)  # noqa: B010  # mypy takes an assignment for a mistake

    def waiting(self) -> Iterator[aiomqtt.Message]:
        """The messages that are here already."""
        while not self._queue.empty():
            yield self._queue.get_nowait()

    async def enter(self) -> None:
        """Connect. Raises what aiomqtt raises, with nothing left open.

        Cancelling leaves nothing open either, though a thread may go on for some seconds.
        """
        entering = asyncio.ensure_future(self.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            self.abandon(entering)
            raise
        except (aiomqtt.MqttError, OSError, UnicodeError):
            self.cut()
            raise

    def cut(self, entered: asyncio.Future[Any] | None = None) -> None:
        """Close the socket if there is one. `entered`, and what the end was or will be, counts as seen."""
        self._client.disconnect()
        for future in (entered, self._connected, self._disconnected):
            if future is None:
                continue
            if future.done():
                _see(future)
            else:  # the broker's last word may come after ours
                future.add_done_callback(_see)

    def abandon(self, entering: asyncio.Future[Any]) -> None:
        """Nobody waits for the connection any more. The thread that opens it can be neither stopped nor
        disturbed; what it has opened by its end is closed.
        """
        self._abandoned = True
        self.timeout = GOOD_BYE
        entering.add_done_callback(self.cut)
        # Cancelling it instead would leave a future behind over which aiomqtt stumbles before it closes.
        if not self._in_thread and not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError)

    def _on_publish(
        self, client: mqtt.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if code_of(reason_code) >= 0x80:
            self.thrown_away += 1
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _client_connect(self) -> None:
        try:
            super()._client_connect()
        finally:
            self._in_thread = False

    def _on_socket_open(self, client: mqtt.Client, userdata: Any, sock: Any) -> None:
        if self._abandoned:
            raise ConnectionAbortedError  # before anything is said to the broker
        super()._on_socket_open(client, userdata, sock)


def heed_cancellation() -> None:
    """Before Python 3.12 `wait_for`, which aiomqtt uses, may lose one that comes together with the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def code_of(code: ReasonCode | int | None) -> int:
    """A reason code's number."""
    return code.value if isinstance(code, ReasonCode) else code or 0


def let_go(error: BaseException | None) -> None:
    """After a handshake that failed paho leaves the socket open, held by the frames of the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _see(future: asyncio.Future[Any]) -> None:
    """Lest asyncio tells of an error that nobody looked at."""
    if not future.cancelled():
        future.exception()
