"""Lays plain strings over the document's own names: the one settings source of ours.

pydantic-settings' own sources pass over misspelt variables, decode JSON, cannot reach names with a
dash, and print whole tables in errors.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from poller.runtime.quantities import Outside
from poller.settings.problems import Place, Problem, spelt, variable
from poller.settings.tree import Settings


class Layers(PydanticBaseSettingsSource):
    """The document and what is laid over it. `origins`: place → where its value comes from."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(Settings)
        self.document = document
        self.tree: dict[str, Any] = copy.deepcopy(dict(document))
        self.origins: dict[Place, str] = {}
        self.problems: list[Problem] = []

    def __call__(self) -> dict[str, Any]:
        """What pydantic-settings builds the settings from."""
        return self.tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` gives everything at once."""
        raise NotImplementedError(field, field_name)

    def lay(self, spelling: Iterable[str], text: str, origin: str) -> None:
        """Set one value; later calls win. Tables that the document lacks are made."""
        node = self.tree
        place: Place = ()
        *tables, key = spelling
        for part in tables:
            name = _own_name(node, part)
            place = (*place, name)
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                self.problems.append(Problem(place, "is a value and no table", origin))
                return
        name = _own_name(node, key)
        place = (*place, name)
        if isinstance(node.get(name), dict):
            text = f"is a table, which no single variable gives: write {variable(place)}__KEY for each key"
            self.problems.append(Problem(place, text, origin))
            return
        node[name] = Outside(text)
        self.origins[place] = origin

    def value(self, place: Place) -> Any:
        """What is at `place` now; None if nothing is."""
        node: Any = self.tree
        for part in place:
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def given_below(self, place: Place) -> list[Place]:
        """The values at or below `place` that do not come from the document."""
        return [given for given in self.origins if given[: len(place)] == place]

    def origin(self, place: Place) -> str | None:
        """What gave the value at `place`, or all that is below; None: the document, or nothing."""
        whole = (*place[:-1], place[-1].partition("[")[0])
        return " and ".join(self.origins[given] for given in self.given_below(whole)) or None

    def settings(self) -> Settings:
        """Validate. Raises pydantic's ValidationError, which is for `problems` only."""
        return Settings(_build_sources=((self,), {}))


def _own_name(node: Mapping[str, Any], part: str) -> str:
    return next((name for name in node if spelt(name) == spelt(part)), part)
