"""A real Docker engine: Debian's own, run out of a folder beside everything that this machine has.

Nothing comes from an image registry: what an image stands on is made of Debian's packages, and bears the
name that Dockerfile and compose.yaml give it. What takes long is made once (a minute and a half, 1.7 GB with
the images) and kept in $SYSTEM_TEST_ROOTS, else in ~/.cache/poller-system-tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
ROOTS = Path(os.environ.get("SYSTEM_TEST_ROOTS") or _HOME / ".cache/poller-system-tests")
SUITE = "trixie"
ENGINE = "docker.io,docker-cli,docker-compose,docker-buildx,iptables,ca-certificates,iproute2"
TOOLS = ("mmdebstrap", "unshare", "nsenter", "pivot_root", "mount")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
#: All groups of ours, so that they can be taken away without touching others.
CGROUP = "bmw-poller-test"
_NO_NETWORK = ("--bridge=none", "--iptables=false", "--ip6tables=false")
#: Turns a folder into the root of this process and starts the engine; $1 root, the rest is shared with it.
_BOOT = r"""
set -e
root=$1; shift
mount --bind "$root" "$root"
for name in proc sys dev; do mount --rbind "/$name" "$root/$name"; done
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
for folder in "$@"; do mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; done
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
[ ! -e "$CERTIFICATES" ] || mount --bind -o ro "$CERTIFICATES" "$root$CERTIFICATES"
mkdir -p "$root/mnt/outside"
cd "$root"
pivot_root . mnt/outside
umount -l /mnt/outside
ip link set lo up
exec dockerd $DOCKERD
"""
#: As the official image: the interpreter under /usr/local/bin too, and not one compiled module.
_PYTHON_HOOKS = (
    'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
    'ln -s /usr/bin/python3 "$1/usr/local/bin/python3"; ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
    'find "$1/usr/lib" -name __pycache__ -prune -exec rm -r {} +',
    f'[ ! -e {CERTIFICATES} ] || cp {CERTIFICATES} "$1{CERTIFICATES}"',
)
_PROMETHEUS_HOOKS = ('install -d -o 65534 -g 65534 "$1/prometheus"',)


def need() -> None:
    """Skip, loudly, where an engine cannot be."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing:
        pytest.skip(f"no Docker engine: needs {', '.join(missing)} (apt-get install mmdebstrap)")
    if os.geteuid() != 0:
        pytest.skip("no Docker engine: needs root")


def _made(name: str, *options: str) -> Path:
    """A folder, or an archive, of Debian packages; from an earlier run if there was one."""
    path = ROOTS / name
    if path.exists():
        return path
    ROOTS.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f"new-{name}")
    if begun.is_dir():
        shutil.rmtree(begun)
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", *options, SUITE, str(begun)],
        env={**os.environ, "PATH": PATH, "SSL_CERT_FILE": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip(f"no Docker engine: {name} cannot be made: {made.stderr[-300:]}")
    return begun.rename(path)


@dataclass
class Engine:
    """A running one."""

    process: subprocess.Popen[bytes]

    def inside(self, *command: str, cwd: Path | None = None, **variables: str) -> list[str]:
        """The command line that runs a command beside the engine."""
        told = [f"{name}={value}" for name, value in variables.items()]
        entered = ["nsenter", "-t", str(self.process.pid), "-m", "-n", "--", "env", f"-C{cwd or '/'}", *told]
        return [*entered, *command]

    def run(self, *command: str, cwd: Path | None = None, check: bool = True, **variables: str) -> str:
        """Run a command to its end; gives all it said. With `check` a failure fails the test."""
        done = subprocess.run(
            self.inside(*command, cwd=cwd, **variables),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{' '.join(command)}:\n{done.stdout}"
        return done.stdout

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Run `docker`."""
        return self.run("docker", *arguments, check=check)

    def inspect(self, what: str) -> dict[str, Any]:
        """What the engine knows of an image or a container."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", what))
        return found[0]

    def has(self, image: str) -> bool:
        """Whether it has the image."""
        return bool(self.docker("images", "--quiet", image).strip())

    def take(self, image: str, archive: Path, *changes: str) -> None:
        """Make an image of an archive, once."""
        if not self.has(image):
            told = [word for change in changes for word in ("--change", change)]
            with archive.open("rb") as packed:
                command = self.inside("docker", "import", *told, "-", image)
                subprocess.run(command, stdin=packed, check=True, capture_output=True)

    def get(self, url: str, host: str | None = None) -> tuple[int, str]:
        """Status and body of a page, as a browser on the engine's machine gets it; 0: nobody there."""
        code = (
            "import sys, urllib.error, urllib.request as u\n"
            "try:\n    a = u.urlopen(u.Request(sys.argv[1], headers=eval(sys.argv[2])), timeout=5)\n"
            "except urllib.error.HTTPError as error:\n    a = error\n"
            "except OSError as error:\n    print(0, error), sys.exit()\n"
            "print(a.status, a.read().decode())"
        )
        enter = ["nsenter", "-t", str(self.process.pid), "-n", "--"]
        headers = repr({"Host": host} if host else {})
        done = subprocess.run(
            [*enter, sys.executable, "-c", code, url, headers], capture_output=True, text=True, check=True
        )
        status, _, body = done.stdout.partition(" ")
        return int(status), body


@contextmanager
def engine(shared: Sequence[Path], log: Path, *, network: bool) -> Iterator[Engine]:
    """The engine, with folders that it shares with us under their own paths; what it says is in `log`.

    `network`: containers have one, on a machine of their own that reaches nobody else. Without it they
    share this machine's, which is what a build needs.
    """
    need()
    root = _made("docker", f"--include={ENGINE}")
    options = ["--host=unix:///run/docker.sock", "--storage-driver=overlay2", f"--cgroup-parent=/{CGROUP}"]
    options += ["--exec-opt=native.cgroupdriver=cgroupfs", *(() if network else _NO_NETWORK)]
    # A new network has nothing at all; without one, what is changed stays with the mounts.
    kept = ["--net"] if network else []
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", *kept, "--mount", "--propagation", "private", "sh", "-c", _BOOT, "boot", str(root),
             *map(str, shared)],
            env={**os.environ, "PATH": PATH, "DOCKERD": " ".join(options), "CERTIFICATES": str(CERTIFICATES)},
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    running = Engine(process)
    try:
        _wait_for(running, log)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)
        for group in Path("/sys/fs/cgroup").glob(f"**/{CGROUP}"):
            _remove(group)


def _wait_for(running: Engine, log: Path) -> None:
    for _ in range(150):
        if running.process.poll() is not None:
            break
        version = running.inside("docker", "version")
        if subprocess.run(version, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.2)
    pytest.skip(f"no Docker engine: it does not start here: {log.read_text(errors='replace')[-300:]}")


def _remove(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def python_base(running: Engine, image: str) -> None:
    """What Dockerfile builds upon: Debian's own Python under the official image's name."""
    hooks = [f"--customize-hook={hook}" for hook in _PYTHON_HOOKS]
    archive = _made("python.tar", "--include=python3,python3-venv,ca-certificates", *hooks)
    path = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    running.take(image, archive, 'CMD ["python3"]', "ENV LANG=C.UTF-8", f"ENV PATH={path}")


def prometheus(running: Engine, image: str) -> None:
    """Debian's Prometheus under the official image's name, as nobody and with its folder."""
    archive = _made(
        "prometheus.tar",
        "--include=prometheus",
        *(f"--customize-hook={hook}" for hook in _PROMETHEUS_HOOKS),
    )
    running.take(image, archive, 'ENTRYPOINT ["/usr/bin/prometheus"]', "USER 65534")
