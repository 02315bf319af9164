"""What the code imports is declared, what is declared is used and decided on, each library in its place."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

#: Declared for a library that uses it where it is there: httpcore looks for it at every request.
_FOR_OTHERS = {"sniffio"}
#: Import name → the declared distribution that brings it, where the names differ.
_BROUGHT_BY = {"pydantic_core": "pydantic", "markupsafe": "jinja2", "paho": "paho_mqtt", "PIL": "pillow"}
#: Where a library may be imported: files, and folders with all in them. Nobody else knows it.
_PLACES = {
    "httpx": (
        "runtime/http.py",
        "sources/http.py",
        "sinks/http.py",
        "sinks/axiom/sink.py",
        "heartbeat.py",
        "web/control.py",
    ),
    "aiomqtt": ("runtime/mqtt.py", "sources/cardata/", "sinks/mqtt/link.py"),
    "paho": ("runtime/mqtt.py", "sources/cardata/"),
    "tenacity": ("runtime/retry.py",),
    "apscheduler": ("schedule/timer.py",),
    "sqlite3": ("journal/",),
    "prometheus_client": ("runtime/metrics.py", "sinks/prometheus.py"),
    "starlette": ("web/",),
    "uvicorn": ("web/serving.py",),
    "jinja2": ("web/page.py", "sinks/webhook/body.py"),
    "segno": ("web/qrcode.py",),
    "structlog": ("runtime/log.py",),
    "durationpy": ("runtime/quantities.py",),
    "pydantic_settings": ("settings/",),
    "orjson": ("sinks/axiom/event.py",),
    "apprise": ("sinks/notify/apprise.py",),
    "cryptography": ("sources/mybmw/",),
    "PIL": ("sources/mybmw/",),
    "typer": ("cli/",),
}
#: What the first plan of this program named; whatever else is declared has its reasons in docs/decisions.
_PLANNED = {
    "apscheduler", "durationpy", "httpx", "prometheus_client", "pydantic", "pydantic_settings", "starlette",
    "structlog", "tenacity", "typer", "uvicorn",
}  # fmt: skip


def _declared(root: Path) -> set[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = chain(project["dependencies"], *project["optional-dependencies"].values())
    return {re.split(r"[<>=~! \[;]", text)[0].replace("-", "_") for text in texts}


@functools.cache
def _importers(root: Path) -> dict[str, set[str]]:
    """Import name → the files that import it, below the package."""
    found: dict[str, set[str]] = {}
    package = root / "src" / "poller"
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(path.relative_to(package).as_posix())
    return found


def _imported(root: Path) -> set[str]:
    names = _importers(root).keys()
    return {_BROUGHT_BY.get(name, name) for name in names - sys.stdlib_module_names - {"poller"}}


def test_imports_and_declared_dependencies_are_the_same(root) -> None:
    """A package that only happens to be installed on a developer's machine is missing on every other."""
    assert _imported(root) | _FOR_OTHERS == _declared(root)


@pytest.mark.parametrize("library", _PLACES)
def test_a_library_is_known_in_its_place_alone(root, library) -> None:
    """Above it stand our own words: it can be replaced, and what it does wrong is mended once."""
    importers = {path for path in _importers(root)[library] if not path.startswith("simulator/")}
    assert {path for path in importers if not path.startswith(_PLACES[library])} == set()


def test_a_library_beyond_the_plan_has_a_page_that_says_why(root) -> None:
    pages = [path.read_text(encoding="utf-8") for path in (root / "docs" / "decisions").glob("0*.md")]
    beyond = _declared(root) - _PLANNED
    decided = {name for name in beyond if any(f"`{name.replace('_', '-')}`" in page for page in pages)}
    assert beyond - decided == set()
