"""What the code imports is declared, and what is declared is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

#: Declared for a library that uses it where it is there: httpcore looks for it at every request.
_FOR_OTHERS = {"sniffio"}
#: Import name → the declared distribution that brings it, where the names differ.
_BROUGHT_BY = {"pydantic_core": "pydantic", "markupsafe": "jinja2", "paho": "paho_mqtt", "PIL": "pillow"}


def _declared(root: Path) -> set[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = chain(project["dependencies"], *project["optional-dependencies"].values())
    return {re.split(r"[<>=~! \[;]", text)[0].replace("-", "_") for text in texts}


def _imported(root: Path) -> set[str]:
    names = set()
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return {_BROUGHT_BY.get(name, name) for name in names - sys.stdlib_module_names - {"poller"}}


def test_imports_and_declared_dependencies_are_the_same(root) -> None:
    """A package that only happens to be installed on a developer's machine is missing on every other."""
    assert _imported(root) | _FOR_OTHERS == _declared(root)
