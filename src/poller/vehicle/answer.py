"""An answer: the bodies exactly as received, before anybody understands them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Named raw bodies of one vehicle, and when we had them.

    `source` is the configured name, `kind` the source's type (it knows how to parse this),
    `received_at` aware UTC: our clock, or for a dump the answer's own time.
    """

    source: str
    kind: str
    vin: str
    received_at: datetime
    bodies: Mapping[str, bytes]

    def digest(self) -> str:
        """Hash over names and bodies; equal answers have equal digests."""
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.bodies):
            body = self.bodies[name]
            digest.update(f"{name}\0{len(body)}\0".encode())
            digest.update(body)
        return digest.hexdigest()
