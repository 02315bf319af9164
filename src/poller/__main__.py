"""``poller`` and ``python -m poller``."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType

#: Commands that run until they are stopped.
_LASTING = {"run", "demo", "simulate"}


def _stopped_early(_signal: int, _frame: FrameType | None) -> None:
    # Nothing is open yet: for what runs until stopped, an early SIGTERM is a clean stop.
    raise SystemExit(0 if sys.argv[1:2] and sys.argv[1] in _LASTING else 1)


def main() -> None:
    """Run the command line; handlers first, because the imports below take a moment."""
    signal.signal(signal.SIGTERM, _stopped_early)
    # What is imported stays: looking through it for garbage is a tenth of the start.
    gc.disable()
    from poller.cli.main import run
    from poller.runtime.heap import keep_small

    gc.freeze()
    gc.enable()
    if sys.argv[1:2] and sys.argv[1] in _LASTING:
        keep_small()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
