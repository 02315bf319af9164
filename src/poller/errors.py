"""Every error that is expected, named for what to do next.

::

    PollerError
      ConfigError              stop at start, exit 2, all problems at once
      SourceError
        SourceUnavailable        back off, try again
        RateLimited(until)       not before its time
          SourceBlocked            the maker refuses us: once a day at most
        LoginRequired            stop asking, tell the human; exit 3 for one-shot commands
        MalformedAnswer          quarantine the answer, count it, carry on
      SinkError
        SinkUnavailable(until)   keep the batch, back off
        SinkMisconfigured        hold this sink, readiness red, others go on
        BatchRefused(sent)       send fewer at once; refused alone, a record is a dead letter
      CommandRefused           a car was not told: it cannot do that, or not now
        ArgumentRefused          the order itself makes no sense; exit 2
      CommandFailed(state)     a car was told, and did not do it or did not say so in time
      JournalError
        JournalFull              collecting goes on as the policy says, readiness red
        JournalLocked            another daemon owns the data directory

Anything else is a bug and travels up to `runtime.supervise`. The first line of a class's
docstring is its default message; ``hint`` tells the operator what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final


class PollerError(Exception):
    """Something expected went wrong."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        super().__init__(self.message)


class ConfigError(PollerError):
    """The configuration cannot be used."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), hint=hint)


class Reasoned(PollerError):
    """An error whose `reason`, one word of a closed set, is a label of a metric."""

    reason: str

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        if reason is not None:
            self.reason = reason


class CommandRefused(PollerError):
    """The car was not told to do it."""


class ArgumentRefused(CommandRefused):
    """The order makes no sense."""

    exit_code = 2


class CommandFailed(PollerError):
    """The car did not do it, or did not say so in time."""

    def __init__(self, message: str | None = None, *, state: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        #: How far it got, a `vehicle.command.CommandState`.
        self.state = state


class SourceError(Reasoned):
    """A source did not give a usable answer."""

    #: One word of a closed set: the ``reason`` label of ``poller_poll_failures_total``.
    reason: str = "source"


class SourceUnavailable(SourceError):
    """The source could not be asked; it will be asked again."""

    reason = "unavailable"


#: Reasons of SourceUnavailable that may be gone a moment later.
PASSING: Final = frozenset({"network", "timeout", "server"})


class RateLimited(SourceError):
    """The source asks us to wait."""

    reason = "rate_limited"

    def __init__(
        self,
        until: datetime,
        message: str | None = None,
        *,
        hint: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.until = until


class SourceBlocked(RateLimited):
    """The maker refuses third-party clients."""

    reason = "blocked"


class LoginRequired(SourceError):
    """A human must log in."""

    reason = "login_required"
    exit_code = 3


class MalformedAnswer(SourceError):
    """The answer could not be understood."""

    reason = "malformed"


class SinkError(Reasoned):
    """A sink did not take a batch."""

    #: One word of a closed set: the ``reason`` label of ``poller_delivery_failures_total``.
    reason: str = "sink"


class SinkUnavailable(SinkError):
    """The sink could not be reached; the batch is kept."""

    reason = "unavailable"

    def __init__(
        self,
        message: str | None = None,
        *,
        until: datetime | None = None,
        hint: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.until = until


class SinkMisconfigured(SinkError):
    """The sink refuses us until its settings are mended; its queue is held."""

    reason = "misconfigured"


class BatchRefused(SinkError):
    """The sink refuses this batch as a whole."""

    reason = "refused"

    def __init__(self, message: str | None = None, *, sent: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        #: How many records, counted from the first, were in what was refused.
        self.sent = sent


class JournalError(PollerError):
    """The journal could not be used."""


class JournalFull(JournalError):
    """The journal has no room for another record."""


class JournalLocked(JournalError):
    """Another poller owns this data directory."""
