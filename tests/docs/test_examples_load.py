"""Every TOML block in the documentation is a configuration that loads.

A block marked ``toml fragment`` shows some tables only; a source is added so that it loads.
"""

from __future__ import annotations

import tomllib

from poller.settings import load

_A_SOURCE = '\n[sources.example]\ntype = "recorded"\ndirectory = "dumps"\n'


def test_toml_blocks_load(page, tmp_path) -> None:
    for info, text in page.blocks():
        if not info.startswith("toml") or info == "toml scenario":  # for the simulator: test_scenarios_page
            continue
        lonely = info != "toml" and "sources" not in tomllib.loads(text)
        path = tmp_path / "config.toml"
        path.write_text(text + _A_SOURCE * lonely, encoding="utf-8")
        path.chmod(0o600)
        assert load(path, environ={"HOME": str(tmp_path)}, cwd=tmp_path).settings.sources


def test_the_readme_shows_configurations(pages) -> None:
    assert [info for info, _ in pages["README.md"].blocks()].count("toml") >= 2
