"""Write the hashed locks with uv, or check (offline) that they still belong to pyproject.toml.

::

    python tools/lock.py             write them; versions already locked are kept
    python tools/lock.py --upgrade   write them with the newest versions
    python tools/lock.py --check     exit 1 and say what to do if they are stale

A lock names versions and hashes, never an address: where packages come from is the machine's business.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = "requirements-dev.txt"
#: File → what goes in. The first holds everything; the others agree with its versions.
LOCKS: dict[str, tuple[str, ...]] = {
    EVERYTHING: ("pyproject.toml", "--group", "dev"),
    "requirements.txt": ("pyproject.toml", "--constraint", EVERYTHING),
    "requirements-china.txt": ("pyproject.toml", "--extra", "china", "--constraint", EVERYTHING),
    "requirements-notify.txt": ("pyproject.toml", "--extra", "notify", "--constraint", EVERYTHING),
    "requirements-system.txt": ("--group", "system", "--constraint", EVERYTHING),
    "requirements-build.txt": ("--group", "build", "--constraint", EVERYTHING),
}
_ADDRESS = re.compile(r"\w+://|\bfile:|--(?:extra-)?index-url|--find-links|--trusted-host")
_PIN_WITHOUT_HASH = re.compile(r"^[a-z0-9][^\s]*==.*(?<! \\)$", re.MULTILINE)


def declared(project: Path) -> str:
    """A digest of everything in pyproject.toml that decides what the locks hold."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))
    inputs = [
        table["project"]["requires-python"],
        table["project"]["dependencies"],
        table["project"]["optional-dependencies"],
        table["dependency-groups"],
        table["build-system"]["requires"],
    ]
    return hashlib.blake2b(json.dumps(inputs, sort_keys=True).encode(), digest_size=8).hexdigest()


def problems(root: Path) -> Iterator[str]:
    """What is wrong with the locks below `root`; nothing if they are good."""
    mark = f"({declared(root / 'pyproject.toml')})"
    for name in LOCKS:
        path = root / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if mark not in text.partition("\n")[0]:
            yield f"{name}: older than the dependencies in pyproject.toml; run `make lock`"
        if _ADDRESS.search(text):
            yield f"{name}: holds an address; run `make lock`"
        if _PIN_WITHOUT_HASH.search(text):
            yield f"{name}: a version without a hash; run `make lock`"


def write(root: Path, *, upgrade: bool) -> None:
    """Resolve and write all locks. CalledProcessError if uv cannot."""
    head = (
        f"# Written by `make lock` from pyproject.toml ({declared(root / 'pyproject.toml')}); not by hand.\n"
    )
    for name, inputs in LOCKS.items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", *inputs]
        command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--output-file", name]
        if upgrade:
            command.append("--upgrade")
        subprocess.run(command, cwd=root, check=True)
        path = root / name
        path.write_text(head + path.read_text(encoding="utf-8"), encoding="utf-8")


def main() -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only look, offline")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    options = parser.parse_args()
    if not options.check:
        write(ROOT, upgrade=options.upgrade)
    found = list(problems(ROOT))
    print("\n".join(found) or "locks: fresh")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
