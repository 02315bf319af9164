"""Show that every locked package is there as a wheel for each kind of machine that the image is built for.

::

    python tools/wheels.py           asks the package index what pip would install, downloads nothing to keep

Exit code 1, and pip's own words, where one would have to be compiled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ("x86_64", "aarch64", "armv7l")
#: glibc of the base image, Debian 13; a wheel for an older one runs there too.
_NEWEST_GLIBC, _OLDEST_GLIBC = 41, 17
_PYTHON = "3.13"


def command(machine: str, lock: Path, into: str) -> list[str]:
    """What asks pip for wheels of `machine` alone, at exactly the locked versions and hashes."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    abis = ["cp" + _PYTHON.replace(".", ""), "abi3", "none"]
    return [
        sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--dry-run",
        "--ignore-installed", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--target={into}",
        "--implementation=cp", f"--python-version={_PYTHON}",
        *(f"--abi={abi}" for abi in abis),
        *(f"--platform={tag}" for tag in (*tags, f"manylinux2014_{machine}", f"linux_{machine}")),
        "-r", str(lock),
    ]  # fmt: skip


def lacking(machine: str, lock: Path = ROOT / "requirements.txt") -> str:
    """Pip's complaint, or "" where every package has a wheel."""
    done = subprocess.run(command(machine, lock, "/nonexistent"), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    missing = {machine: lacking(machine) for machine in MACHINES}
    for machine, complaint in missing.items():
        print(f"{machine}: {complaint or 'every package has a wheel'}")
    sys.exit(any(missing.values()))
