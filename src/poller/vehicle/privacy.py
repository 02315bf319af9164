"""What a reader may see: names, VINs and positions as one sink is allowed to have them.

Records are kept whole in the journal; they are rendered with today's rules each time they leave.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from poller.vehicle.records import SCHEMA, Json, Record, rfc3339
from poller.vehicle.signals import SIGNALS

Location = Literal["exact", "rounded", "none"]
VinMode = Literal["full", "short", "hash"]

PRIVATE_KEYS = frozenset(signal.key for signal in SIGNALS if signal.private)
_NO_SLUG = re.compile(r"[^a-z0-9]+")
#: Two decimals: about a kilometre.
_ROUNDED_DIGITS = 2


def short_vin(vin: str) -> str:
    """The last seven characters: what logs and default names show."""
    return vin[-7:].lower()


@dataclass(frozen=True, slots=True)
class Rendering:
    """How one reader sees vehicles and records.

    `names` maps VIN to the configured slug; `key` is the installation's secret, for ``hash``.
    """

    names: Mapping[str, str]
    location: Location = "exact"
    vin: VinMode = "full"
    key: bytes = field(default=b"", repr=False)

    def slug(self, vin: str) -> str:
        """The vehicle's name in paths, labels and records; hashed too unless the owner named it."""
        if vin in self.names:
            return self.names[vin]
        if self.vin == "hash":
            return f"car-{self._hash(vin)[:8]}"
        # The vendor's text becomes a folder's name: nothing but letters, digits and dashes.
        return _NO_SLUG.sub("-", short_vin(vin)).strip("-") or "car"

    def shown_vin(self, vin: str) -> str:
        """The VIN as this reader may have it."""
        match self.vin:
            case "full":
                return vin
            case "short":
                return vin[-7:]
            case "hash":
                return self._hash(vin)

    def render(self, record: Record) -> Json:
        """The record as JSON for this reader (see docs/records.md for the keys); not to be written into."""
        out: Json = {
            "id": record.id,
            "kind": record.kind,
            "schema": SCHEMA,
            # An alert about the poller itself is about no vehicle.
            "vehicle": self.slug(record.vin) if record.vin else "",
            "vin": self.shown_vin(record.vin) if record.vin else "",
            "source": record.source,
            "observed_at": rfc3339(record.observed_at) if record.observed_at else None,
            "received_at": rfc3339(record.received_at),
        }
        if out["observed_at"] is None:
            del out["observed_at"]
        if record.revision != 1:
            out["revision"] = record.revision
        if record.replayed:
            out["replayed"] = True
        for key, value in record.body.items():
            out[key] = self._private(value) if key in ("readings", "reading_times") else value
        return out

    def allows(self, signal_key: str) -> bool:
        """Whether this reader may see the signal at all."""
        return self.location != "none" or signal_key not in PRIVATE_KEYS

    def coarse(self, signal_key: str, value: float) -> float:
        """A number as this reader may have it: positions rounded if so set."""
        if self.location == "rounded" and signal_key in ("latitude_degrees", "longitude_degrees"):
            return round(value, _ROUNDED_DIGITS)
        return value

    def _private(self, readings: Json) -> Json:
        if self.location == "exact":
            return readings
        seen = dict(readings)
        for key in PRIVATE_KEYS & seen.keys():
            if not self.allows(key):
                del seen[key]
            elif isinstance(seen[key], float):
                seen[key] = self.coarse(key, seen[key])
        return seen

    def _hash(self, vin: str) -> str:
        return hmac.new(self.key, vin.encode(), hashlib.sha256).hexdigest()[:16]
