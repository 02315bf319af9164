"""The documentation as data: pages, their code blocks and code spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def blocks(self) -> Iterator[tuple[str, str]]:
        """(info string, text) of each fenced block."""
        for match in _FENCE.finditer(self.text):
            yield match["info"].strip(), match["text"]

    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def spans(self) -> Iterator[str]:
        """Each code span of the prose."""
        yield from _SPAN.findall(self.prose())


def read_pages() -> list[Page]:
    """All documentation of the repository."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
    return [Page(path, path.read_text(encoding="utf-8")) for path in sorted(paths)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", read_pages(), ids=str)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def pages() -> dict[str, Page]:
    """Path below the repository → page."""
    return {str(page): page for page in read_pages()}
