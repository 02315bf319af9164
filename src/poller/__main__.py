"""``poller`` and ``python -m poller``."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

#: Commands that run until they are stopped: an early stop is a clean one.
_LASTING = {"run", "demo", "simulate"}
#: What a shell says of a command that Ctrl-C has ended.
INTERRUPTED = 130


def _code(number: int) -> int:
    if sys.argv[1:2] and sys.argv[1] in _LASTING:
        return 0
    return INTERRUPTED if number == signal.SIGINT else 1


def _stopped_early(number: int, _frame: FrameType | None) -> None:
    # At once: nothing is open yet, and an exception in the middle of an import is reported at length.
    os._exit(_code(number))


def _stopped(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_code(number))


def main() -> None:
    """Run the command line; handlers first, because the imports below take a moment."""
    signal.signal(signal.SIGTERM, _stopped_early)
    signal.signal(signal.SIGINT, _stopped_early)
    # What is imported stays: looking through it for garbage is a tenth of the start.
    gc.disable()
    # httpx's own command line, with all that draws its colours: a fourteenth of the daemon's start.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # how Python notes what is not there
    from poller.cli.main import run
    from poller.runtime.heap import keep_small

    gc.freeze()
    gc.enable()
    lasting = _code(signal.SIGINT) == 0
    if lasting:
        keep_small()
    signal.signal(signal.SIGTERM, _stopped)
    signal.signal(signal.SIGINT, _stopped if lasting else signal.default_int_handler)
    code = run(sys.argv[1:])
    # All is said and done: what is left takes no exception any more.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


if __name__ == "__main__":
    main()
