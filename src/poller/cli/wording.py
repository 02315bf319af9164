"""What commands say: lines that fit a terminal, and what is wrong with a command line in an owner's words."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

_NUMBERS: Final = {"int_parsing": "whole number", "int_from_float": "whole number", "float_parsing": "number"}


_WIDTH: Final = 80
_COMMAND: Final = re.compile(r"`[^`]*`")
#: Stands for a space at which no line is broken.
_TIE: Final = "\0"


def wrapped(told: Iterable[str]) -> Iterator[str]:
    """In 80 columns; what does not fit goes on further in. A command stays whole: it is to be copied."""
    for line in told:
        begin = " " * (len(line) - len(line.lstrip()) + 4)
        tied = _COMMAND.sub(lambda command: command[0].replace(" ", _TIE), line)
        parts = textwrap.wrap(
            tied, _WIDTH, subsequent_indent=begin, break_long_words=False, break_on_hyphens=False
        )
        yield from (part.replace(_TIE, " ") for part in parts)


class Worded(TyperGroup):
    """A group of commands whose arguments are refused in our words."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer.Context is click's
        """As upstream."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = _said(error.param, error.__cause__)
            raise


def _said(parameter: Any, error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    choices = parameter.type_descriptor.choices
    if choices is not None:
        return f"expected {' or '.join(map(str, choices))}, not {problem['input']!r}"
    if problem["type"] in _NUMBERS:
        return f"{problem['input']!r} is no {_NUMBERS[problem['type']]}"
    return problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be", 1)
