"""Every relative link in the documentation leads somewhere, and every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


def _links(text: str):
    return [link for link in _LINK.findall(text) if "://" not in link and not link.startswith("mailto:")]


def _is_page(path: Path) -> bool:
    return path.suffix == ".md" and path.is_file()


def _anchor(heading: str) -> str:
    """As code hosts make it: lower case, punctuation gone, spaces to dashes."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-")


def test_links_lead_to_files_and_headings_that_exist(page) -> None:
    broken = []
    for link in _links(page.prose()):
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name) if name else page.path
        headings = _HEADING.findall(target.read_text(encoding="utf-8")) if _is_page(target) else []
        if not target.exists() or (anchor and anchor not in map(_anchor, headings)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached_from_the_readme(pages, root: Path) -> None:
    reached, ahead = set(), [root / "README.md"]
    while ahead:
        path = ahead.pop()
        name = str(path.relative_to(root))
        if name in reached or name not in pages:
            continue
        reached.add(name)
        ahead += [(path.parent / link.partition("#")[0]).resolve() for link in _links(pages[name].text)]
    assert set(pages) - reached == set()
