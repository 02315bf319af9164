"""``python -m bench [FIGURE …] [--write]``: run the bench, print a table; exit 1 if a target is missed.

``--write`` puts the table with date and machine into docs/operating/performance.md. Temporary folders
are where TMPDIR says; with a file system in memory an fsync costs nothing and the figures mean little.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.result import Result

MODULES = ("cycle", "journal", "drain", "scrape", "start", "day", "memory")
HEADINGS = ("figure", "ours", "compared with", "measured", "target", "met")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "operating" / "performance.md"
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"


def main(arguments: Sequence[str]) -> int:
    """Run, print, write; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed and size, as ratios.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(MODULES)}; default: all")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    options = parser.parse_args(arguments)
    chosen = options.figures or MODULES
    if unknown := set(chosen) - set(MODULES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    if options.write and options.figures:
        parser.error("--write takes no figures: the page shows one run of all")
    results = [result for name in chosen for result in _measured(name)]
    shown = table(results)
    print(shown)
    if options.write:
        write(PAGE, shown)
    return int(not all(result.met for result in results))


def write(page: Path, shown: str) -> None:
    """Put machine and table between the page's markers."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}{_machine()}\n\n{shown}\n{END}{rest.partition(END)[2]}")


def _measured(name: str) -> list[Result]:
    begin = time.monotonic()
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    results: list[Result] = importlib.import_module(f"bench.{name}").measure()
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)
    return results


def table(results: Sequence[Result]) -> str:
    """Markdown, padded so that a terminal can show it."""
    rows = [HEADINGS, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _row(result: Result) -> tuple[str, ...]:
    met = "yes" if result.met else "NO"
    return result.figure, result.ours, result.beside, result.shown, result.target, met


def _machine() -> str:
    """When and on what, without a name or a path."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {_processor()}, {platform.system()}"
        f" {platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version},"
        f" file system {_file_system(Path(tempfile.gettempdir()).resolve())}."
    )


def _processor() -> str:
    """As the kernel calls it: "model name" on a PC, "Model" on a Raspberry Pi."""
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    return facts.get("model name") or facts.get("Model") or "an unnamed processor"


def _file_system(folder: Path) -> str:
    """What kind of file system holds `folder`, such as ext4 or tmpfs."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(holding)[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
