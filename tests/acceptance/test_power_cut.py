"""The power goes at any moment: a real kernel, file system and disk, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from poller.simulator.axiom import TOKEN
from poller.simulator.login import USER

pytestmark = pytest.mark.soak

CUTS = 3
#: Seconds after a boot's first record within which the power goes.
LATEST_CUT = 10.0
#: Real seconds for one boot, some 60 on a machine with nothing else to do: the processor is emulated.
BOOT_WITHIN = 600
TOOLS = ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "e2fsck", "debugfs")
HERE = Path(__file__).parent / "vm"
ROOT = Path(__file__).parents[2]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CONFIG = f"""
data_dir = "/var/lib/poller"
[poll]
interval = "100ms"
jitter   = "0s"
[web]
listen = ""
[log]
level  = "debug"
format = "json"
[sources.bmw]
type     = "mybmw"
username = "{USER}"
base_url = "http://127.0.0.1:9901"
[sinks.files]
type = "json_files"
[sinks.axiom]
type    = "axiom"
url     = "http://127.0.0.1:9902"
dataset = "cars"
token   = "{TOKEN}"
"""


async def carry_out(*command: str | Path, good: tuple[int, ...] = (0,)) -> int:
    """Run a command to its end; its output is shown only if the exit code is none of the good ones."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
    )
    output, _ = await child.communicate()
    assert child.returncode in good, f"{command}: {child.returncode}\n{output.decode(errors='replace')}"
    return child.returncode


@dataclass
class Machine:
    """A virtual machine: a Debian on a disk image. What it said is kept over all its boots."""

    script: Path
    folder: Path
    acknowledged: set[str] = field(default_factory=set)
    last_login: int = 0

    @property
    def root(self) -> Path:
        return self.folder / "root"

    async def make(self, data: Path, cuts: list[float]) -> None:
        """Install this checkout and a daemon that is logged in; `cuts`: when the power goes, boot by boot."""
        await carry_out(self.script, "make", self.folder)
        packages = self.root / "opt" / "poller"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", packages]
        version = ["--python-version", "3.11", "--only-binary", ":all:"]  # the machine's, not ours
        await carry_out(*pip, *version, "--require-hashes", "-r", ROOT / "requirements.txt")
        await carry_out(*pip, "--no-deps", "--upgrade", ROOT)
        await carry_out("chroot", self.root, "python3", "-m", "compileall", "-q", "/opt/poller")
        for name in ("walk.sh", "world.py"):
            shutil.copy(HERE / name, self.root)
        shutil.copytree(data, self.root / "var" / "lib" / "poller")
        config = self.root / "etc" / "poller" / "config.toml"
        config.parent.mkdir()
        config.write_text(CONFIG)
        config.chmod(0o600)
        (self.root / "cuts").write_text(" ".join(f"{cut:.2f}" for cut in cuts))
        (self.root / "taken").touch()
        await carry_out(self.script, "image", self.folder)

    async def boot(self) -> tuple[int, set[str]]:
        """Run until the power is cut (137) or the machine ends by itself; also the records acknowledged."""
        code = await carry_out(self.script, "boot", self.folder, str(BOOT_WITHIN), good=(0, 137))
        console = (self.folder / "console.log").read_bytes().decode(errors="replace").replace("\r", "")
        acknowledged = set(re.findall(r"^ACK ([0-9a-f]{32})$", console, re.MULTILINE))
        assert acknowledged, console
        assert console.count('"app.started"') == 1, console
        assert not re.search(r'"level": "error"|"login.required"', console), console
        logins = map(int, re.findall(r"^USED (\d+)$", console, re.MULTILINE))
        self.acknowledged |= acknowledged
        self.last_login = max([self.last_login, *logins])
        return code, acknowledged

    async def disk(self) -> Disk:
        """What is on the disk now; the file system's own journal is applied, as the next mount will."""
        image, found = self.folder / "copy.img", self.folder / "found"
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir()
        await carry_out("cp", "--sparse=always", self.folder / "disk.img", image)
        await carry_out("e2fsck", "-fy", image, good=(0, 1))
        for path in ("/var/lib/poller", "/taken", "/unsynced"):
            await carry_out("debugfs", "-R", f"rdump {path} {found}", image)
        image.unlink()
        return Disk(found)


@dataclass(frozen=True)
class Disk:
    """What a machine's disk holds."""

    folder: Path

    @property
    def unsynced(self) -> str:
        path = self.folder / "unsynced"
        return path.read_text() if path.exists() else ""

    @property
    def login(self) -> int:
        """The number of the stored login; a file that is not whole fails the test."""
        (path,) = (self.folder / "poller" / "accounts").glob("*.json")
        return int(json.loads(path.read_bytes())["refresh_token"].rpartition(".")[2])

    @property
    def taken(self) -> set[str]:
        """Records that Axiom has."""
        return set((self.folder / "taken").read_text().splitlines())

    @property
    def files(self) -> set[str]:
        """Records in the JSON files; one that is not whole under its final name fails the test."""
        paths = (self.folder / "poller" / "snapshots").rglob("*.json")
        return {json.loads(path.read_bytes())["id"] for path in paths}

    def journal(self) -> tuple[set[str], dict[str, set[str]]]:
        """Records in the journal, and by sink those that it calls delivered."""
        db = sqlite3.connect(self.folder / "poller" / "journal.db")
        try:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            seqs = {packed.hex(): seq for seq, packed in db.execute("SELECT seq, id FROM records")}
            cursors = db.execute("SELECT sink, position FROM cursors").fetchall()
        finally:
            db.close()
        return set(seqs), {
            sink: {key for key, seq in seqs.items() if seq <= position} for sink, position in cursors
        }


@pytest.fixture
def machine(shared: Path) -> Iterator[Machine]:
    """A folder for a machine, gone afterwards: it takes a gigabyte."""
    script = shared / "scripts" / "boot-vm.sh"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing or not script.exists():
        pytest.skip(f"no virtual machine here: {', '.join(missing) or script.name} is missing")
    if os.geteuid() != 0 or platform.machine() != "x86_64":
        pytest.skip("the virtual machine is made by root, on x86_64")
    with tempfile.TemporaryDirectory(prefix="poller-power-cut-") as folder:
        yield Machine(script, Path(folder))


async def test_a_power_cut_loses_nothing_that_was_acknowledged(rehearsal, machine, rng):
    """Cut, look at the disk, boot again: journal, login and files are whole, both sinks get everything."""
    await machine.make(rehearsal.folder / "data", [rng.uniform(0.5, LATEST_CUT) for _ in range(CUTS)])
    for _ in range(CUTS):
        code, acknowledged = await machine.boot()
        assert code == 137, "the machine ended before its power was cut"
        disk = await machine.disk()
        assert disk.unsynced not in acknowledged, (
            "the disk keeps what was never synced: the cut proves nothing"
        )
        held, delivered = disk.journal()
        assert machine.acknowledged <= held
        assert disk.files <= held, "raw data first: the journal knows what a sink has"
        assert delivered["files"] <= disk.files
        assert delivered["axiom"] <= disk.taken
        assert disk.login >= machine.last_login, "a login was used that is not on disk"
    before = set(machine.acknowledged)
    code, _ = await machine.boot()
    assert code == 0, "the daemon did not end properly"
    disk = await machine.disk()
    held, _ = disk.journal()
    assert machine.acknowledged <= held
    assert before <= disk.files
    assert before <= disk.taken
