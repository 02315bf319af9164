"""Break the poller on purpose, one place after another, and demand that the tests notice.

``tools/breakages.toml`` holds the places. Each is broken in a copy of src and tests, and the tests it
names must fail there; unbroken they must pass. Exit code 1 if a breakage goes unseen or no longer fits.
Arguments: parts of names, to break only those; or ``--table``, which prints the list of tests/README.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = Path(__file__).with_suffix(".toml")
COPIED = ("src", "tests", "docs", "pyproject.toml")
#: Copies that are broken at the same time; a test run is one process.
AT_ONCE = 2
#: Seconds for one run, on a busy machine too: a test that hangs where it should fail is as good as none.
RUN_WITHIN = 300
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
#: pytest's exit codes.
PASSED, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Breakage:
    """One place to break: `old`, which is in `file` exactly once, becomes `new`; `red` must notice."""

    name: str
    why: str
    file: str
    old: str
    new: str
    red: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """The broken text of the file below `root`. ValueError if there is not one place that fits."""
        text = (root / self.file).read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.file} has {found} places that fit, not one")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a breakage; `by` is the test that failed, or why there is none."""

    breakage: Breakage
    seen: bool
    by: str
    seconds: float


def breakages(path: Path = PLACES) -> list[Breakage]:
    """All of them, in the order of the road."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["breakage"]
    return [Breakage(**{**table, "red": tuple(table["red"])}) for table in tables]


def table(chosen: Sequence[Breakage]) -> str:
    """The breakages as tests/README.md lists them."""
    rows = ["| breakage | why it matters | goes red |", "|---|---|---|"]
    for breakage in chosen:
        tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in breakage.red)
        rows.append(f"| {breakage.name} | {breakage.why} | {tests} |")
    return "\n".join(rows) + "\n"


class Copy:
    """A copy of src and tests in which tests import the copy's own src."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        # By hash, not by time: a breakage of the same length within a second would go unseen.
        self._python("-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "src")
        imported = Path(self._python("-c", "import poller; print(poller.__file__)").stdout.strip())
        if not imported.is_relative_to(root / "src"):
            raise RuntimeError(f"the tests would import {imported}, not the copy")

    def run(self, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run tests up to the first that fails."""
        return subprocess.run(
            [*PYTEST, "-x", *tests],
            cwd=self.root,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_WITHIN,
        )

    @contextmanager
    def broken(self, breakage: Breakage) -> Iterator[None]:
        """The copy with this breakage in it. ValueError if it does not fit."""
        path = self.root / breakage.file
        whole, broken = path.read_bytes(), breakage.applied(self.root)
        path.write_text(broken, encoding="utf-8")
        try:
            yield
        finally:
            path.write_bytes(whole)

    def judge(self, breakage: Breakage) -> Verdict:
        """Break, run, mend."""
        started = time.monotonic()
        try:
            with self.broken(breakage):
                run = self.run(breakage.red)
        except (ValueError, subprocess.TimeoutExpired) as error:
            return Verdict(breakage, seen=False, by=str(error), seconds=time.monotonic() - started)
        failed = re.search(r"^FAILED (.+?)(?: - |$)", run.stdout, re.MULTILINE)
        # Red means a test that failed: not one that could not even be collected.
        if run.returncode == FAILED and failed:
            return Verdict(breakage, seen=True, by=failed[1], seconds=time.monotonic() - started)
        last = (run.stdout.strip().splitlines() or [run.stderr.strip()[-200:]])[-1]
        return Verdict(breakage, seen=False, by=f"UNSEEN: {last}", seconds=time.monotonic() - started)

    @property
    def _env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root / "src")}

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self._env,
            capture_output=True,
            text=True,
            check=True,
        )


def judge_all(chosen: Sequence[Breakage], folder: Path) -> Iterator[Verdict]:
    """Break all of them, `AT_ONCE` at a time, in their order."""
    copies = [Copy(folder / str(number)) for number in range(AT_ONCE)]
    whole = copies[0].run(sorted({test for breakage in chosen for test in breakage.red}))
    if whole.returncode != PASSED:
        raise SystemExit(f"the tests fail unbroken:\n{whole.stdout}{whole.stderr}")
    free = copies[:]
    with ThreadPoolExecutor(AT_ONCE) as threads:

        def judged(breakage: Breakage) -> Verdict:
            copy = free.pop()
            try:
                return copy.judge(breakage)
            finally:
                free.append(copy)

        yield from threads.map(judged, chosen)


def main(parts: Sequence[str]) -> int:
    """Break what is asked for, say what became of it, give the exit code."""
    if parts == ["--table"]:
        print(table(breakages()), end="")
        return 0
    chosen = [b for b in breakages() if not parts or any(part in b.name for part in parts)]
    unseen = 0
    with tempfile.TemporaryDirectory(prefix="poller-breakages-") as folder:
        for verdict in judge_all(chosen, Path(folder).resolve()):
            unseen += not verdict.seen
            mark = "red  " if verdict.seen else "GREEN"
            print(
                f"{mark} {verdict.seconds:5.1f} s  {verdict.breakage.name}\n               {verdict.by}",
                flush=True,
            )
    print(f"{len(chosen) - unseen} of {len(chosen)} breakages are seen")
    return 1 if unseen or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
