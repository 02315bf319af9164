"""Logs are events, to stderr: console on a terminal, JSON lines otherwise, redacted always."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

from poller.runtime.redact import redact_value

# structlog looks for rich, to draw tracebacks that we write plainly: an eighth of every command's start.
_SPARED = None if "rich" in sys.modules else "rich"
if _SPARED:
    sys.modules[_SPARED] = None  # type: ignore[assignment]  # how Python notes what is not there
try:
    import structlog
finally:
    if _SPARED:
        del sys.modules[_SPARED]

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]

Logger = structlog.typing.FilteringBoundLogger


class _Unbreakable(io.TextIOBase):
    """A stream whose reader may go away: what has nobody to tell goes on working."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def configure(level: Level = "info", style: Format = "auto", stream: TextIO | None = None) -> None:
    """Set up logging for the process, foreign libraries included (warnings and worse)."""
    safe: Any = _Unbreakable(stream or sys.stderr)
    console = style == "console" or (style == "auto" and safe.isatty())
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=safe.isatty(), pad_event_to=24)
        if console
        else structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.format_exc_info,
        _redact,
    ]
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(safe),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler = logging.StreamHandler(safe)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def as_guest() -> None:
    """In somebody else's program: to its own ``logging``, unless somebody has set ours up."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                _redact,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=False,
        )


def get(name: str, **context: Any) -> Logger:
    """A logger with `context` bound; `name` is the room: ``collect``, ``deliver``, …."""
    logger: Logger = structlog.get_logger(room=name, **context)
    return logger


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # When, how bad and what come first; a hint that there is not says nothing.
    keys = dict.fromkeys(("timestamp", "level", "event", *event))
    return {key: redact_value(key, event[key]) for key in keys if event.get(key) is not None}
