"""BMW's portal, where an owner does what no program can: its places, in its own words."""

from __future__ import annotations

from typing import Final

#: Where a client is, and the two subscriptions to tick.
ACCESS: Final = "BMW's portal (your car, BMW CarData, Technical access)"
API_BOX: Final = "CarData API"
STREAM_BOX: Final = "CarData Stream"
#: Where an owner ticks what the stream sends, for each car.
STREAM_CHOICE: Final = "BMW's portal (your car, BMW CarData, Configure data stream)"
#: What is left where nothing of the owner's is wrong; "report" is explained in operating/troubleshooting.md.
NEWER: Final = "look for a newer poller, or report it, with `poller doctor` and `poller vehicle fingerprint`"
