"""Pictures of a car: one plain colour for each view, as PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Final

#: The views that the app asks for (`carView`).
VIEWS: Final = (
    "VehicleStatus", "FrontView", "SideViewLeft", "Dashboard", "Driverdoor", "AngleSideViewForty",
    "AngleSideViewSixty", "FrontLeft", "FrontRight", "RearLeft", "RearRight", "RearView",
)  # fmt: skip
_WIDTH, _HEIGHT = 64, 36


def picture(vin: str, view: str) -> bytes | None:
    """A PNG that differs by vehicle and view; None for a view that there is not."""
    if view not in VIEWS:
        return None
    colour = zlib.crc32(f"{vin} {view}".encode()).to_bytes(4)[:3]
    row = b"\0" + colour * _WIDTH
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(row * _HEIGHT)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
