"""The reference and the example say what the models say: every setting, its true default, its meaning."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from poller.settings import Settings, load
from poller.settings.tree import SINKS, SOURCES, Vehicle
from poller.settings.writing import toml
from poller.sinks import BUILDERS as SINK_BUILDERS
from poller.sinks.settings import SinkSettings
from poller.sources import BUILDERS as SOURCE_BUILDERS
from poller.sources.settings import SourceSettings

FIXED = ("poll", "web", "log", "display", "alerts", "journal")
#: A line that is a setting or a table's head, switched off.
_OFF = re.compile(r"^#(?=[a-z\[])", re.MULTILINE)
_OFF_BLOCK = re.compile(r"(?:^#[a-z\[].*\n)+", re.MULTILINE)


def written(field: FieldInfo) -> Any:
    """A field's default as TOML would hold it."""
    annotated: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(annotated).dump_python(field.get_default(call_default_factory=True), mode="json")


def rows(model: type[BaseModel], without: type[BaseModel] | None = None) -> str:
    """The reference's table of a model; `without`: leave out what is the same there."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        same = without.model_fields.get(name) if without else None
        if field.annotation is None or _is_table(field) or (same and _alike(same, field)):
            continue
        default = "required" if field.is_required() else f"`{toml(written(field))}`"
        if name == "data_dir":
            default = "[see above](#where-data-goes)"
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(lines)


def _alike(one: FieldInfo, other: FieldInfo) -> bool:
    return (one.default, one.description) == (other.default, other.description)


def _is_table(field: FieldInfo) -> bool:
    return field.default_factory is not None


TABLES = {
    "top": rows(Settings),
    **{name: rows(Settings.model_fields[name].annotation) for name in FIXED},  # type: ignore[arg-type]  # a model
    "source": rows(SourceSettings),
    **{kind: rows(model, SourceSettings) for kind, model in SOURCES.items()},
    "vehicle": rows(Vehicle),
    "sink": rows(SinkSettings),
    **{kind: rows(model, SinkSettings) for kind, model in SINKS.items()},
}


@pytest.fixture(scope="module")
def example(root) -> str:
    return (root / "config.example.toml").read_text(encoding="utf-8")


@pytest.fixture
def load_text(tmp_path):
    def loaded(text: str, **environ: str) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        environ = {"HOME": str(tmp_path), "TZ": "UTC", **environ}
        return load(path, environ=environ, cwd=tmp_path).settings

    return loaded


@pytest.mark.parametrize("name", TABLES)
def test_the_reference_has_the_table(pages, name) -> None:
    """When this fails, paste the table that it shows into docs/configuration.md."""
    assert TABLES[name] in pages["docs/configuration.md"].text, f"[{name}]\n{TABLES[name]}"


def test_every_setting_says_what_it_does() -> None:
    models = [Vehicle, *SOURCES.values(), *SINKS.values()]
    models += [Settings.model_fields[name].annotation for name in FIXED]
    silent = [(m.__name__, n) for m in models for n, field in m.model_fields.items() if not field.description]
    assert silent == []


def test_every_kind_that_can_be_built_can_be_configured_and_the_other_way_round() -> None:
    assert set(SOURCES) == set(SOURCE_BUILDERS)
    assert set(SINKS) == set(SINK_BUILDERS)


def test_no_setting_ends_in_file() -> None:
    """`<VARIABLE>_FILE` names a secret file."""
    models = [Settings, Vehicle, *SOURCES.values(), *SINKS.values()]
    models += [Settings.model_fields[name].annotation for name in FIXED]
    assert [name for model in models for name in model.model_fields if name.endswith("_file")] == []


def test_the_example_loads_as_it_stands(example, load_text) -> None:
    settings = load_text(example)
    assert list(settings.sources) == ["dumps"]
    assert list(settings.sinks) == ["files", "prometheus"]


def test_the_example_has_cardata_first(example) -> None:
    kinds = re.findall(r'^#?type = "(\w+)"', example, re.MULTILINE)
    assert kinds[:2] == ["cardata", "mybmw"]


def test_each_block_of_the_example_is_valid_when_switched_on(example, load_text) -> None:
    for block in _off_blocks(example):
        on = _OFF.sub("", block)
        # data_dir stands above all tables, the others are tables of their own.
        text = on + example if not on.startswith("[") else example + on
        assert load_text(text)


def test_the_example_has_every_setting_with_its_true_default(example, load_text) -> None:
    text = _everything_on(example)
    raw, settings = tomllib.loads(text), load_text(text, TZ="")
    for place, model, table in _tables(settings):
        given = raw
        for part in place:
            given = given[part]
        for name, field in model.model_fields.items():
            if _is_table(field):
                continue
            assert name in given, (place, name)
            if not field.is_required() and name != "timezone":
                assert getattr(table, name) == field.get_default(call_default_factory=True), (place, name)
    assert raw["display"]["timezone"] == ""


def test_every_setting_of_the_example_says_why(example) -> None:
    lines = [line for line in example.splitlines() if re.match(r"#?[a-z_]+ = ", line)]
    obvious = ("type", "command", "auth_url", "api_url", 'vin = "WMW')
    silent = [line for line in lines if "  # " not in line and not line.lstrip("#").startswith(obvious)]
    assert silent == []


def _off_blocks(example: str) -> list[str]:
    return _OFF_BLOCK.findall(example)


def _everything_on(example: str) -> str:
    for block in _off_blocks(example):
        example = example.replace(block, _OFF.sub("", block))
    return example


def _tables(settings: Settings) -> Iterator[tuple[tuple[str, ...], type[BaseModel], BaseModel]]:
    yield (), Settings, settings
    for name in FIXED:
        table = getattr(settings, name)
        yield (name,), type(table), table
    found = {table.type for table in (*settings.sources.values(), *settings.sinks.values())}
    assert found == {*SOURCES, *SINKS}
    for group in ("sources", "vehicles", "sinks"):
        for name, table in getattr(settings, group).items():
            yield (group, name), type(table), table
