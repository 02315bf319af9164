"""What the control socket serves: shared by its two ends, and light enough for every command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

#: JSON arguments in, JSON result out; raises PollerError.
Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
