"""What a request says: the record as JSON, or what a template makes of it."""

from __future__ import annotations

from collections.abc import Callable

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from poller.errors import SinkMisconfigured
from poller.sinks.base import Rendered
from poller.vehicle.records import dumps

#: A record → the body. ValueError if a template cannot make one of it.
Writer = Callable[[Rendered], bytes]

_HINT = "see the examples in docs/sinks/webhook.md"


def writer(template: str) -> Writer:
    """Raises SinkMisconfigured for a template that is none."""
    if not template:
        return lambda record: dumps(record).encode()
    # What a record does not have is empty text, and so is what that would have: alerts differ.
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.ChainableUndefined, autoescape=False)
    try:
        compiled = environment.from_string(template)
    except jinja2.TemplateSyntaxError as error:
        message = f"template, line {error.lineno}: {error.message}"
        raise SinkMisconfigured(message, hint=_HINT) from None

    def write(record: Rendered) -> bytes:
        try:
            return compiled.render(record).encode()
        except Exception as error:  # noqa: BLE001  # whatever an owner's template may do
            # Its own words may quote the record.
            raise ValueError(f"the template fails with {type(error).__name__}") from None

    return write
