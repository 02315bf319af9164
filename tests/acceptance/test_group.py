"""A daemon under its own user: members of its group may speak to it, strangers may not."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import pytest_asyncio

DAEMON, MEMBER, STRANGER, GROUP, OTHERS = 61_001, 61_002, 61_003, 61_010, 61_011

#: One daemon serves them all.
pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv"))),
        reason="needs root, unshare and setpriv to be several users",
    ),
    pytest.mark.asyncio(loop_scope="module"),
]


def as_user(user, group, command):
    """`command` as another user, in a mount namespace in which that user can reach the interpreter.

    Interpreter and checkout may lie in root's home, which others may not enter.
    """
    steps = ["mount -t tmpfs tmpfs /mnt"]
    for number, root in enumerate(dict.fromkeys([Path(sys.base_prefix), Path(sys.prefix), Path.cwd()])):
        hidden = next(
            (folder for folder in reversed(root.parents) if not folder.stat().st_mode & 0o001), None
        )
        if hidden is not None:
            steps += [
                f"mkdir /mnt/{number}",
                f"mount --bind {root} /mnt/{number}",
                f"mountpoint -q {hidden} || mount -t tmpfs -o mode=755 tmpfs {hidden}",
                f"mkdir -p {root}",
                f"mount --bind /mnt/{number} {root}",
            ]
    script = " && ".join([*steps, 'exec "$@"'])
    words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--", *command]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words]


@pytest.fixture(scope="module")
def folder():
    """A folder that every user may enter; pytest's own are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="poller-users-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(lasting_rehearsal, folder):
    """Runs ``poller ARGUMENTS`` as a user of a group, beside a daemon that runs as its own user."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o750)
    os.chown(runtime, DAEMON, GROUP)
    shutil.copytree(lasting_rehearsal.folder, folder / "home")
    for path in (folder / "home", *(folder / "home").rglob("*")):
        os.chown(path, DAEMON, GROUP)
    config = folder / "home" / "config.toml"
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(runtime), "HOME": "/nonexistent"}

    async def start(user, group, *arguments):
        command = [sys.executable, "-m", "poller", *arguments, "--config", str(config)]
        return await asyncio.create_subprocess_exec(
            *as_user(user, group, command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            env=environment,
        )

    async def finished(user, group, *arguments):
        async with asyncio.timeout(60):
            child = await start(user, group, *arguments)
            out, err = await child.communicate()
        return child.returncode, out.decode(), err.decode()

    daemon = await start(DAEMON, GROUP, "run", "--log-level", "info")
    seen = b""
    async with asyncio.timeout(20):
        while b"app.started" not in seen:
            line = await daemon.stderr.readline()
            assert line, seen.decode()
            seen += line
    yield finished
    daemon.terminate()
    await daemon.communicate()


async def test_a_member_of_the_group_is_served(run):
    code, out, err = await run(MEMBER, GROUP, "status", "--json")
    assert code == 0, err
    assert json.loads(out)["sources"][0]["name"] == "bmw"
    code, out, err = await run(MEMBER, GROUP, "once", "--json")
    assert (code, json.loads(out)["sources"][0]["good"]) == (0, 2), err
    code, out, err = await run(MEMBER, GROUP, "dead-letters", "list")
    assert (code, out) == (0, "No dead letters.\n"), err
    code, out, err = await run(MEMBER, GROUP, "resend", "--sink", "axiom", "--from", "2020-01-01")
    assert code == 0, err
    assert "sent to axiom again" in out


@pytest.mark.parametrize("command", [["status"], ["once"], ["dead-letters", "list"]])
async def test_a_stranger_is_refused_and_told_what_to_do(run, command):
    code, out, err = await run(STRANGER, OTHERS, *command)
    assert (code, out) == (1, "")
    assert "not allowed" in err
    assert "run this as" in err or "group" in err
