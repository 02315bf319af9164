"""The control socket: commands over it, who may use it, and what is left of dead daemons."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from poller.errors import ConfigError, LoginRequired, PollerError
from poller.web.control import ControlClient, ControlServer, find_socket

STRANGER, MEMBER, GROUP = 61_101, 61_102, 61_110

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be several users")


async def echo(args):
    return {"args": args}


async def refuse(args):
    kinds = {1: PollerError, 2: lambda text, hint: ConfigError([text], hint=hint), 3: LoginRequired}
    raise kinds[args["code"]]("it does not go", hint="turn it off and on")


async def bug(_args):
    raise KeyError("WMW00000000000001")


async def endless(_args):
    await asyncio.Event().wait()
    return {}


COMMANDS = {"echo": echo, "endless": endless, "refuse": refuse, "bug": bug}


@asynccontextmanager
async def serving(path, commands=COMMANDS):
    server = ControlServer(path, commands)
    await server.start()
    try:
        yield server
    finally:
        begun = time.monotonic()
        await server.stop()
        assert time.monotonic() - begun < 1.5


async def call(path, *arguments, **more):
    """The client is a synchronous one: in a thread, as in another process."""
    return await asyncio.to_thread(ControlClient(path).call, *arguments, **more)


async def found(environ, data_dir, **more):
    return await asyncio.to_thread(find_socket, environ, data_dir, system=False, **more)


async def test_arguments_go_in_and_results_come_back(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path):
        args = {"sink": "axiom", "from": "2026-11-21", "ids": [1, 2], "ü": None}
        assert await call(path, "echo", args) == {"args": args}
        assert await call(path, "echo") == {"args": {}}


@pytest.mark.parametrize(("code", "kind"), [(1, PollerError), (2, ConfigError), (3, LoginRequired)])
async def test_errors_arrive_as_they_were_raised(tmp_path, code, kind):
    path = tmp_path / "control.sock"
    async with serving(path):
        with pytest.raises(kind) as caught:
            await call(path, "refuse", {"code": code})
    error = caught.value
    assert (error.exit_code, error.message, error.hint) == (code, "it does not go", "turn it off and on")


async def test_a_bug_is_an_error_without_its_contents(tmp_path, capsys):
    path = tmp_path / "control.sock"
    async with serving(path):
        with pytest.raises(PollerError, match=r"bug \(KeyError\)") as caught:
            await call(path, "bug")
        assert "WMW" not in str(caught.value)
        assert await call(path, "echo") == {"args": {}}


async def test_an_older_daemon_says_that_it_does_not_know_the_command(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path):
        with pytest.raises(PollerError, match="knows no command 'fly'") as caught:
            await call(path, "fly")
    assert "restart" in caught.value.hint


async def test_what_is_no_object_is_refused(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(b"POST /echo HTTP/1.0\r\nHost: poller\r\nContent-Length: 2\r\n\r\n[]")
            answer = await asyncio.to_thread(raw.recv, 1000)
    assert b" 400 " in answer


async def test_nothing_is_begun_for_a_client_that_gave_up_while_nobody_listened(tmp_path):
    """A daemon that was stopped finds order and Ctrl-C together when it goes on: the car must not open."""
    path, done = tmp_path / "control.sock", []

    async def note(args):
        done.append(args["who"])
        return {}

    async with serving(path, {"note": note}):
        for _ in range(20):
            body = b'{"who": "gone"}'
            with socket.socket(socket.AF_UNIX) as raw:  # at one go: the server's loop stands meanwhile
                raw.connect(str(path))
                head = b"POST /note HTTP/1.1\r\nHost: poller\r\nContent-Length: %d\r\n\r\n" % len(body)
                raw.sendall(head + body)
        for _ in range(3):
            await call(path, "note", {"who": "there"})
    assert done == ["there"] * 3


async def test_several_clients_are_served_at_once(tmp_path):
    path = tmp_path / "control.sock"
    all_in = asyncio.Barrier(4)

    async def meet(_args):
        await asyncio.wait_for(all_in.wait(), 5)
        return {"done": True}

    async with serving(path, {"meet": meet}):
        results = await asyncio.gather(*(call(path, "meet") for _ in range(4)))
    assert results == [{"done": True}] * 4


async def test_a_client_waits_no_longer_than_it_wants(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path):
        with pytest.raises(PollerError, match="did not answer in time"):
            await call(path, "endless", timeout=0.05)


async def test_a_daemon_that_stops_in_mid_command_is_told_apart(tmp_path):
    path = tmp_path / "control.sock"
    begun = asyncio.Event()

    async def long(args):
        begun.set()
        return await endless(args)

    async with serving(path, {"long": long}):
        waiting = asyncio.create_task(call(path, "long"))
        await begun.wait()
    with pytest.raises(PollerError, match="stopped before it was done"):
        await waiting


async def test_nobody_there_is_an_error_of_ours(tmp_path):
    with pytest.raises(PollerError, match="no poller answers"):
        await call(tmp_path / "control.sock", "echo")


async def test_the_file_is_for_owner_and_group_and_goes_with_the_daemon(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_stopping_twice_or_without_a_start_is_fine(tmp_path):
    server = ControlServer(tmp_path / "control.sock", COMMANDS)
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()


async def test_what_a_killed_daemon_left_is_taken_over(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert await found({}, tmp_path) is None
    async with serving(path):
        assert await call(path, "echo") == {"args": {}}


async def test_a_living_daemon_keeps_its_socket(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path):
        with pytest.raises(PollerError, match="another poller answers"):
            await ControlServer(path, {}).start()
        assert await call(path, "echo") == {"args": {}}


async def test_a_stopping_daemon_does_not_remove_its_successors_socket(tmp_path):
    path = tmp_path / "control.sock"
    old = ControlServer(path, COMMANDS)
    await old.start()
    path.unlink()
    async with serving(path):
        await old.stop()
        assert await call(path, "echo") == {"args": {}}


async def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(PollerError, match="cannot open the control socket") as caught:
        await ControlServer(tmp_path / "none" / "control.sock", {}).start()
    assert "folder" in caught.value.hint


async def test_a_path_that_is_too_long_for_the_kernel_works(tmp_path):
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    async with serving(path):
        assert await found({}, folder) == path
        assert await call(path, "echo") == {"args": {}}
    assert not path.exists()


async def test_the_socket_is_found_in_the_runtime_directory_first(tmp_path):
    runtime, data = tmp_path / "run", tmp_path / "data"
    runtime.mkdir()
    data.mkdir()
    environ = {"RUNTIME_DIRECTORY": f"{runtime}:{tmp_path}"}
    assert await found(environ, data) is None
    async with serving(data / "control.sock"):
        assert await found(environ, data) == data / "control.sock"
        async with serving(runtime / "control.sock"):
            assert await found(environ, data) == runtime / "control.sock"
            assert await found({}, data) == data / "control.sock"
            assert await found({}, None) is None


SPEAK = """
import json, os, sys
from pathlib import Path
from poller.errors import PollerError
from poller.web.control import ControlClient, find_socket
import httpx; httpx.HTTPTransport(uds="/none", verify=False)  # imports more, while we still may
uid, gid, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
os.setgroups([]); os.setgid(gid); os.setuid(uid)
out = {}
try:
    path = find_socket({"RUNTIME_DIRECTORY": str(folder)}, folder / "none", system=False)
    out["found"] = path is not None
    out["result"] = ControlClient(folder / "control.sock").call("echo", {"a": 1})
except PollerError as error:
    out["error"], out["hint"] = error.message, error.hint
try:
    ControlClient(folder / "control.sock").call("echo")
except PollerError as error:
    out["direct"] = error.message
print(json.dumps(out))
"""


async def spoken_as(uid, gid, folder):
    """What another user's process gets."""
    command = [sys.executable, "-c", SPEAK, str(uid), str(gid), str(folder)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def public(tmp_path_factory):
    """A folder that every user may enter, as /run is; pytest's own are root's alone."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="poller-control-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@as_root
async def test_a_member_of_the_daemons_group_is_served(public):
    async with serving(public / "control.sock"):
        os.chown(public / "control.sock", 0, GROUP)
        told = await spoken_as(MEMBER, GROUP, public)
    assert told == {"found": True, "result": {"args": {"a": 1}}}


@as_root
async def test_a_stranger_is_refused_and_told_which_group_to_join(public):
    async with serving(public / "control.sock"):
        told = await spoken_as(STRANGER, STRANGER, public)
    assert told["error"].startswith("not allowed to talk to the running poller")
    assert "join the group root (" in told["hint"]
    assert told["direct"].startswith("not allowed to talk to the running poller")


@as_root
@pytest.mark.parametrize(("mode", "helps"), [(0o750, True), (0o700, False)])
async def test_a_stranger_before_a_closed_folder_is_told_whether_a_group_opens_it(public, mode, helps):
    folder = public / "closed"
    folder.mkdir()
    os.chown(folder, 0, GROUP)
    folder.chmod(mode)
    async with serving(folder / "control.sock"):
        told = await spoken_as(STRANGER, STRANGER, folder)
    assert told["error"].startswith("not allowed to look into")
    assert (f"join the group {GROUP} (" in told["hint"]) is helps
