"""Every kind of source and sink has a page that explains each of its own settings."""

from __future__ import annotations

from typing import get_args

import pytest

from poller.settings.tree import SINKS, SOURCES
from poller.sinks.settings import SinkSettings
from poller.sources.cardata.meaning.catalogue import CATALOGUE, DEFAULT_CONTAINER
from poller.sources.cardata.meaning.table import needs
from poller.sources.cardata.rest.containers import PURPOSE
from poller.sources.cardata.rest.plan import Purpose
from poller.sources.settings import SourceSettings
from poller.web.channels import PURPOSES


def _own_settings(model, common) -> list[str]:
    """The settings that this kind has and its family has not."""
    return [name for name in model.model_fields if name not in {*common.model_fields, "type"}]


@pytest.mark.parametrize(
    ("folder", "kind", "own"),
    [("sources", kind, _own_settings(model, SourceSettings)) for kind, model in SOURCES.items()]
    + [("sinks", kind, _own_settings(model, SinkSettings)) for kind, model in SINKS.items()],
)
def test_the_page_is_there_and_explains_every_setting_of_its_own(pages, folder, kind, own) -> None:
    text = pages[f"docs/{folder}/{kind}.md"].text
    assert [name for name in own if f"`{name}" not in text] == []


def test_each_purpose_of_a_call_has_words_and_the_page_has_the_same(pages) -> None:
    assert set(PURPOSES) == {*get_args(Purpose), PURPOSE, "doctor"}
    text = pages["docs/sources/cardata.md"].text
    table = text[text.index("| what it was for |") : text.index("of the 50 are for that")]
    told = set(PURPOSES) - {"charging-places"}  # nothing asks for them in this release
    assert [PURPOSES[purpose] for purpose in told if PURPOSES[purpose] not in table] == []


def test_the_page_of_cardata_counts_its_descriptors_and_names_what_none_of_them_tells(pages) -> None:
    text = pages["docs/sources/cardata.md"].text
    assert f"besides the {len(DEFAULT_CONTAINER)} default ones" in text
    assert f"its {len(CATALOGUE)} descriptors" in text
    assert "charging_start_at" not in needs()
    assert "`charging_start_at`: not from CarData" in text


def test_the_readme_names_every_kind(pages) -> None:
    assert [kind for kind in [*SOURCES, *SINKS] if kind not in pages["README.md"].text] == []
