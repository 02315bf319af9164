"""Every kind of source and sink has a page that explains each of its own settings."""

from __future__ import annotations

import pytest

from poller.settings.tree import SinkTable, SourceTable
from poller.sinks import BUILDERS as SINKS
from poller.sources import BUILDERS as SOURCES


def _own_settings(table, kind: str) -> list[str]:
    models = table.__origin__.__args__
    model = next(model for model in models if model.model_fields["type"].annotation.__args__ == (kind,))
    common = {name for base in model.__bases__ for name in base.model_fields}
    return [name for name in model.model_fields if name not in common | {"type"}]


@pytest.mark.parametrize(
    ("folder", "table", "kind"),
    [("sources", SourceTable, kind) for kind in SOURCES] + [("sinks", SinkTable, kind) for kind in SINKS],
)
def test_the_page_is_there_and_explains_every_setting_of_its_own(pages, folder, table, kind) -> None:
    text = pages[f"docs/{folder}/{kind}.md"].text
    assert [
        name for name in _own_settings(table, kind) if f"`{name}`" not in text and f"{name} " not in text
    ] == []


def test_the_readme_names_every_kind(pages) -> None:
    assert [kind for kind in [*SOURCES, *SINKS] if kind not in pages["README.md"].text] == []
