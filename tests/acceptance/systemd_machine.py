"""A small Debian with a real systemd as its PID 1, booted in a second from a root that is made once.

The roots are kept in ``$SYSTEM_TEST_ROOTS``, else in ``~/.cache/poller-system-tests``. A machine runs on an
overlay of one: whatever a test does to it is gone when it ends. It shares the network of this machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Debian's suite → its systemd and its Python.
SUITES = {"bookworm": (252, "3.11"), "trixie": (257, "3.13")}
PACKAGES = "systemd,systemd-sysv,libpam-systemd,dbus,dbus-user-session,python3,python3-venv"
CGROUPS = [Path("/sys/fs/cgroup", name) for name in ("systemd", "unified", "")]
POLLER = "/opt/poller/bin/poller"
#: Real seconds that a command inside may take.
PATIENCE = 60.0


def need_systemd() -> None:
    """Skip, loudly, where no machine can be booted."""
    missing = [name for name in ("mmdebstrap", "systemd-nspawn", "nsenter") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install mmdebstrap systemd-container")
    if os.geteuid() != 0:
        pytest.skip("needs root, to boot a machine with systemd-nspawn")


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}{self.err}"


class Machine:
    """A booted one. `folder` is seen inside as ``/mnt``."""

    def __init__(self, leader: int, root: Path, folder: Path) -> None:
        self._leader = leader
        self._root = root
        self.folder = folder

    def at(self, path: str) -> Path:
        """A file inside, as root sees it from here."""
        return Path(f"/proc/{self._leader}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Make or replace a file inside, of root; one that is there keeps its owner and mode."""
        file = self.at(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = not file.exists()
        file.write_text(text)
        if new:
            file.chmod(mode)

    async def try_run(self, *words: str, user: str = "root", stdin: str = "") -> Said:
        """Run a command inside as that user, with its groups."""
        into = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        home = "/root" if user == "root" else f"/home/{user}"
        clean = ["env", "-i", "-C", "/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"HOME={home}", "LANG=C.UTF-8"]
        become = (
            [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        )
        child = await asyncio.create_subprocess_exec(
            *into, *clean, *become, *words,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            out, err = await child.communicate(stdin.encode())
        return Said(child.returncode or 0, out.decode(), err.decode())

    async def run(self, *words: str, user: str = "root", stdin: str = "") -> str:
        """As `try_run`; its stdout. A failure fails the test."""
        said = await self.try_run(*words, user=user, stdin=stdin)
        assert said.code == 0, f"{' '.join(words)}: {said}"
        return said.out


@asynccontextmanager
async def booted(suite: str, folder: Path, wheel: Path) -> AsyncIterator[Machine]:
    """A machine of that suite with this checkout's poller in ``/opt/poller``, until the end."""
    root = await asyncio.to_thread(_root, suite)
    place = folder / "machine"
    for name in ("changes", "work", "root"):
        (place / name).mkdir(parents=True)
    layers = f"lowerdir={root},upperdir={place}/changes,workdir={place}/work"
    _do("mount", "-t", "overlay", "overlay", "-o", layers, str(place / "root"))
    shutil.copy(wheel, folder)
    name = f"poller-{suite}-{os.getpid()}"
    try:
        process = await _start(name, place / "root", folder, place / "log")
        try:
            machine = Machine(await _leader(process, place / "log"), place / "root", folder)
            await _settled(machine, place / "log")
            pip = ["/opt/poller/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
            await machine.run(*pip, f"/mnt/{wheel.name}")
            yield machine
        finally:
            await _stop(process)
    finally:
        _do("umount", str(place / "root"))
        _leave_cgroups(name)


def wheel_of_ours(folder: Path) -> Path:
    """The wheel of this checkout."""
    offline = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    _do(sys.executable, "-m", "pip", "wheel", "--quiet", *offline, "--no-deps", "-w", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


def _root(suite: str) -> Path:
    """The root of that suite with what the poller depends on; made once."""
    kept = os.environ.get("SYSTEM_TEST_ROOTS")
    cache = Path(kept or Path(pwd.getpwuid(os.geteuid()).pw_dir, ".cache/poller-system-tests"))
    root = cache / suite
    if not root.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        half = cache / f"{suite}.half-made"
        shutil.rmtree(half, ignore_errors=True)
        _do("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, str(half))
        half.rename(root)
    wanted = (ROOT / "requirements.txt").read_bytes()
    mark = root / "opt/poller/requirements.sha256"
    digest = hashlib.sha256(wanted).hexdigest()
    if not mark.is_file() or mark.read_text() != digest:
        _install_dependencies(root, SUITES[suite][1], mark, digest)
    return root


def _install_dependencies(root: Path, python: str, mark: Path, digest: str) -> None:
    """Fetched here, where pip knows its way, installed in there without a network."""
    shutil.rmtree(root / "opt/poller", ignore_errors=True)
    wheels = root / "opt/wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    requirements = str(ROOT / "requirements.txt")
    what = ["--only-binary=:all:", "--no-deps", "--require-hashes", "-r", requirements]
    _do(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--python-version",
        python,
        *what,
        "-d",
        str(wheels),
    )
    _do("chroot", str(root), "python3", "-m", "venv", "/opt/poller")
    names = [f"/opt/wheels/{wheel.name}" for wheel in wheels.iterdir()]
    pip = ["/opt/poller/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    _do("chroot", str(root), *pip, *names)
    mark.write_text(digest)


def _do(*words: str) -> None:
    """Run a command of this machine to its end; a failure fails the test with what it said."""
    # The tests' own certificates are none that pip and apt could use.
    known = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=known)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"


async def _start(name: str, root: Path, folder: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("wb") as file:
        return await asyncio.create_subprocess_exec(
            *(
                "sh",
                "-c",
                f'{_entering_cgroups(name)}exec "$@"',
                "sh",
                "systemd-nspawn",
                "--quiet",
                "-D",
                str(root),
            ),
            *("--boot", "--register=no", "--keep-unit", f"--machine={name}", "--console=pipe"),
            f"--bind={folder}:/mnt",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            # Version 2 alone inside: newer systemds refuse the old layout.
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )


def _entering_cgroups(name: str) -> str:
    """Shell lines that enter a branch of its own in each hierarchy: several machines run side by side."""
    ours = [group / name for group in CGROUPS if (group / "cgroup.procs").exists()]
    for group in ours:
        group.mkdir(exist_ok=True)
    return "".join(f"echo $$ > {group}/cgroup.procs\n" for group in ours if (group / "cgroup.procs").exists())


def _leave_cgroups(name: str) -> None:
    for group in CGROUPS:
        if (group / name).is_dir():
            subprocess.run(["find", str(group / name), "-depth", "-type", "d", "-delete"], check=False)


async def _leader(process: asyncio.subprocess.Process, log: Path) -> int:
    """The pid of its PID 1."""
    for _ in range(300):
        if leaders := [child for child in _children(process.pid) if _is_first(child)]:
            return leaders[0]
        assert process.returncode is None, _tail(log)
        await asyncio.sleep(0.1)
    raise AssertionError(_tail(log))


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _is_first(pid: int) -> bool:
    """Whether it is PID 1 of a machine: a helper goes before it, sets the stage and is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE) is not None


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


async def _settled(machine: Machine, log: Path) -> None:
    for _ in range(300):
        said = await machine.try_run("systemctl", "is-system-running")
        if said.out.strip() in ("running", "degraded"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no boot in half a minute: {said}\n{_tail(log)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Power it off the hard way: nothing in it is to be kept."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
