"""docs/signals.md is what `make docs` writes from the catalogue."""

from __future__ import annotations

import runpy


def test_the_page_is_fresh(root) -> None:
    written = (root / "docs/signals.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(root / "tools/signals_page.py"))["page"](), "run `make docs`"
