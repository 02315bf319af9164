"""What is wrong with a command line, in words for its owner instead of the parser's."""

from __future__ import annotations

from typing import Any, Final

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

_NUMBERS: Final = {"int_parsing": "whole number", "int_from_float": "whole number", "float_parsing": "number"}


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
