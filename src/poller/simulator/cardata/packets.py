"""The packets of MQTT 3.1.1 and 5 that a broker of QoS 0 needs; pure but for `read_packet`.

Reason codes are those of MQTT 5 throughout; what 3.1.1 has no word for becomes its nearest.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

V311, V5 = 4, 5
ACCEPTED: Final = 0
BAD_VERSION: Final = 132
TAKEN_OVER: Final = 142
_UNAVAILABLE_V311: Final = 3
#: MQTT 5's reason → 3.1.1's; all other refusals are "server unavailable" there.
_CONNACK_V311: Final = {ACCEPTED: 0, BAD_VERSION: 1, 133: 2, 134: 4, 135: 5}
_FAILURE: Final = 0x80
_WILL_FLAG, _PASSWORD_FLAG, _USER_FLAG = 0x04, 0x40, 0x80
#: An id token has some 1,300 characters; nothing else that a client sends us is long.
_LONGEST: Final = 64 * 1024


class Kind(IntEnum):
    """The first four bits of a packet."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    SUBSCRIBE = 8
    SUBACK = 9
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class BadPacket(Exception):
    """A packet that we do not understand or do not serve."""


@dataclass(frozen=True, slots=True)
class Connect:
    """What a client introduces itself with; `version` 4 is 3.1.1."""

    version: int
    client_id: str
    username: str = ""
    password: str = field(default="", repr=False)


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Kind and body of the next packet. Raises BadPacket, asyncio.IncompleteReadError, OSError."""
    first, length, shift, more = (await reader.readexactly(1))[0], 0, 0, True
    while more:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift, more = shift + 7, digit >= 0x80
        if length > _LONGEST or shift > 28:
            raise BadPacket("a packet that is too long")
    return first >> 4, await reader.readexactly(length)


def connect_of(body: bytes) -> Connect:
    """Raises BadPacket; one of an unknown version has nothing but the version."""
    rest = _Rest(body)
    if rest.text() != "MQTT":
        raise BadPacket("not MQTT")
    version, flags = rest.byte(), rest.byte()
    rest.take(2)  # keep-alive: whoever falls silent is not missed here
    if version not in (V311, V5):
        return Connect(version, "")
    if flags & _WILL_FLAG:
        raise BadPacket("a will, which this broker does not carry out")
    rest.skip_properties(version)
    client_id = rest.text()
    username = rest.text() if flags & _USER_FLAG else ""
    password = rest.text() if flags & _PASSWORD_FLAG else ""
    return Connect(version, client_id, username, password)


def subscribe_of(body: bytes, version: int) -> tuple[int, list[str]]:
    """Packet number and topic filters. Raises BadPacket."""
    rest = _Rest(body)
    number = rest.number()
    rest.skip_properties(version)
    filters = []
    while rest:
        filters.append(rest.text())
        rest.byte()  # QoS and options: what is sent is sent at 0
    if not filters:
        raise BadPacket("a subscription to nothing")
    return number, filters


def connack(version: int, code: int) -> bytes:
    """Accepts or refuses a client."""
    if version == V5:
        return _packet(Kind.CONNACK, bytes([0, code, 0]))
    return _packet(Kind.CONNACK, bytes([0, _CONNACK_V311.get(code, _UNAVAILABLE_V311)]))


def suback(version: int, number: int, codes: list[int]) -> bytes:
    """Grants or refuses each topic filter."""
    if version != V5:
        codes = [min(code, _FAILURE) for code in codes]
    return _packet(Kind.SUBACK, struct.pack("!H", number) + _properties(version) + bytes(codes))


def publish(version: int, topic: str, body: bytes) -> bytes:
    """A message at QoS 0, not retained."""
    name = topic.encode()
    return _packet(Kind.PUBLISH, struct.pack("!H", len(name)) + name + _properties(version) + body)


def pingresp() -> bytes:
    """The answer to a ping."""
    return _packet(Kind.PINGRESP, b"")


def disconnect(version: int, code: int) -> bytes:
    """A server's good-bye; 3.1.1 knows none."""
    return _packet(Kind.DISCONNECT, bytes([code, 0])) if version == V5 else b""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter with ``+`` and ``#`` takes a topic in."""
    wanted, named = topic_filter.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(named) or level not in ("+", named[position]):
            return False
    return len(wanted) == len(named)


def _packet(kind: Kind, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | 0x80 if length else digit)
        if not length:
            return bytes([kind << 4]) + bytes(digits) + body


def _properties(version: int) -> bytes:
    return b"\0" if version == V5 else b""


class _Rest:
    """What is left of a packet's body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __len__(self) -> int:
        return len(self._body)

    def take(self, length: int) -> bytes:
        if length > len(self._body):
            raise BadPacket("a packet that ends too early")
        taken, self._body = self._body[:length], self._body[length:]
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2))

    def text(self) -> str:
        try:
            return self.take(self.number()).decode()
        except UnicodeDecodeError:
            raise BadPacket("text that is no UTF-8") from None

    def skip_properties(self, version: int) -> None:
        """None of them matters here; a client that speaks 3.1.1 has none."""
        if version != V5:
            return
        length, shift, more = 0, 0, True
        while more:
            digit = self.byte()
            length |= (digit & 0x7F) << shift
            shift, more = shift + 7, digit >= 0x80
        self.take(length)
