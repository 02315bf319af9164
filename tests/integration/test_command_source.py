"""The command source with real programs: what they print, how they fail, how they are ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.errors import MalformedAnswer, SourceUnavailable
from poller.simulator.fleet import BMW_VIN, MINI_VIN
from poller.simulator.garage import demo_garage
from poller.sources.base import Source, SourceContext
from poller.sources.command import CommandSource, run
from poller.sources.settings import CommandSettings
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.vehicle.records import snapshot_record

AT = datetime(2026, 11, 21, 14, tzinfo=UTC)
SECRET = "Tr0ub4dor&3"


def vehicle(vin: str = MINI_VIN) -> dict:
    """What the library prints of a simulated car."""
    garage = demo_garage()
    answer = json.loads(garage.state(vin, AT))
    attributes = json.loads(garage.profile(vin))
    del attributes["vin"]
    data = {
        "attributes": attributes,
        **answer,
        "charging_settings": None,
        "vin": vin,
        "fetched_at": "2026-11-21T14:00:00+00:00",
    }
    return {"data": data, "vin": vin}


class Bench:
    """A folder for a program and the source that runs it; each run leaves a line in `runs`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(AT)

    def source(self, code: str, *, timeout: float = 10, vins=(), max_output: int = 2**20) -> CommandSource:
        program = self.folder / "program.py"
        program.write_text(f"import os, sys, time\nopen('runs', 'a').write('run\\n')\n{code}")
        settings = CommandSettings(
            type="command", command=(sys.executable, "program.py", SECRET), timeout=timeout, vins=vins
        )
        context = SourceContext(self.clock, DictMemory(), self.folder, self.folder, ZoneInfo("UTC"))
        return CommandSource("loop", settings, context, max_output=max_output)

    def printing(self, value: object, **options) -> CommandSource:
        (self.folder / "output").write_text(value if isinstance(value, str) else json.dumps(value))
        return self.source("sys.stdout.write(open('output').read())", **options)

    @property
    def grandchild(self) -> int | None:
        pid = self.folder / "pid"
        return int(pid.read_text() or 0) or None if pid.exists() else None

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_it_is_a_source(bench) -> None:
    assert isinstance(bench.source(""), Source)


async def test_one_run_serves_all_vehicles_of_a_poll(bench) -> None:
    source = bench.printing([vehicle(MINI_VIN), vehicle(BMW_VIN)])
    for polls in (1, 2):
        targets = await source.targets()
        assert [target.vin for target in targets] == [MINI_VIN, BMW_VIN]
        for target in targets:
            answer = await source.fetch(target)
            assert (answer.vin, answer.received_at) == (target.vin, AT)
            assert source.parse(answer).value("odometer_km") > 10_000
        assert bench.runs == polls


async def test_asked_again_without_a_list_it_runs_again(bench) -> None:
    """An old answer is never handed out as a new one."""
    source = bench.printing(vehicle())
    (target,) = await source.targets()
    await source.fetch(target)
    await source.fetch(target)
    assert bench.runs == 2


async def test_the_signals_are_those_of_the_maker_s_own_answer(bench) -> None:
    garage = demo_garage()
    own = bench.printing(json.loads(garage.state(MINI_VIN, AT)), vins=(MINI_VIN.lower(),))
    (target,) = await own.targets()
    bare = own.parse(await own.fetch(target)).readings
    library = bench.printing([vehicle()])
    (target,) = await library.targets()
    whole = library.parse(await library.fetch(target)).readings
    assert {key: whole[key] for key in bare} == bare
    assert set(whole) - set(bare) >= {"model", "brand", "drive_train"}


async def test_an_answer_without_vin_is_malformed_unless_one_is_set(bench) -> None:
    with pytest.raises(MalformedAnswer, match="names no VIN"):
        await bench.printing({"state": {}, "capabilities": {}}).targets()


async def test_only_the_vehicles_asked_for(bench) -> None:
    source = bench.printing([vehicle(MINI_VIN), vehicle(BMW_VIN)], vins=(BMW_VIN.lower(),))
    assert [target.vin for target in await source.targets()] == [BMW_VIN]


async def test_one_odd_vehicle_costs_no_other(bench) -> None:
    source = bench.printing([{"vin": BMW_VIN}, vehicle(MINI_VIN)])
    assert [target.vin for target in await source.targets()] == [MINI_VIN]


async def test_a_vehicle_that_is_gone_is_unavailable(bench) -> None:
    source = bench.printing([vehicle()])
    (target,) = await source.targets()
    await source.fetch(target)
    bench.printing([])
    with pytest.raises(SourceUnavailable, match="did not name"):
        await source.fetch(target)


async def test_no_vehicles_is_no_failure(bench) -> None:
    assert await bench.printing([]).targets() == []


@pytest.mark.parametrize("output", ["", "Found 1 vehicles", '[{"vin": ', "[1]", "null", '{"vin": NaN}'])
async def test_garbage_is_malformed(bench, output) -> None:
    with pytest.raises(MalformedAnswer, match="output cannot be used") as caught:
        await bench.printing(output).targets()
    assert "by hand" in caught.value.hint


async def test_an_exit_code_comes_with_the_last_words_but_no_secret(bench) -> None:
    source = bench.source(
        "print('a'); print('debug', file=sys.stderr)\n"
        "print(f'MyBMWAuthError: {sys.argv[1]} of owner@example.com token=abcdef', file=sys.stderr)\n"
        "print(file=sys.stderr); sys.exit(4)"
    )
    with pytest.raises(SourceUnavailable) as caught:
        await source.targets()
    assert "exit code 4: MyBMWAuthError: …" in caught.value.message
    for secret in (SECRET, "owner@example.com", "abcdef"):
        assert secret not in str(caught.value) + str(caught.value.hint)


async def test_a_signal_and_silence_are_said_so(bench) -> None:
    with pytest.raises(SourceUnavailable, match="signal 15: it gave no reason"):
        await bench.source("os.kill(os.getpid(), 15)").targets()


async def test_a_program_that_is_not_there(bench, tmp_path) -> None:
    settings = CommandSettings(type="command", command=("./no-such-program", SECRET))
    context = SourceContext(bench.clock, DictMemory(), tmp_path, tmp_path, ZoneInfo("UTC"))
    with pytest.raises(SourceUnavailable, match="No such file") as caught:
        await CommandSource("loop", settings, context).targets()
    assert SECRET not in str(caught.value) + str(caught.value.hint)


async def test_too_much_output_is_cut_short(bench) -> None:
    source = bench.source("while True: sys.stdout.write('x' * 65536)", max_output=100_000)
    with pytest.raises(SourceUnavailable, match="more than 100000 bytes"):
        await source.targets()


async def test_a_flood_of_complaints_does_no_harm(bench) -> None:
    source = bench.source("sys.stderr.write('x' * 3_000_000); sys.stderr.write('\\nlast'); sys.exit(1)")
    with pytest.raises(SourceUnavailable, match="exit code 1: last"):
        await source.targets()


#: Starts a grandchild that would leave a file behind, then hangs like its child.
HANG = (
    "import subprocess\n"
    "subprocess.Popen([sys.executable, '-c', \"import os, time; open('pid', 'w').write(str(os.getpid()));"
    ' time.sleep(60)"])\n'
    "time.sleep(60)"
)


async def test_a_time_out_ends_the_whole_group(bench) -> None:
    source = bench.source(HANG, timeout=1.5)
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"stopped after 1\.5 s") as caught:
        await source.targets()
    assert caught.value.reason == "timeout"
    assert time.monotonic() - started < 5
    await until(lambda: not alive(bench.grandchild))


async def test_a_cancelled_poll_ends_the_whole_group(bench) -> None:
    poll = asyncio.create_task(bench.source(HANG, timeout=60).targets())
    await until(lambda: bench.grandchild is not None)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    await until(lambda: not alive(bench.grandchild))


@pytest.mark.parametrize("steps", range(12))
async def test_a_start_that_is_given_up_is_not_waited_for(tmp_path, steps) -> None:
    """Wherever in it Ctrl-C comes: asyncio alone would wait for pipes that nobody opens any more."""
    poll = asyncio.create_task(
        run(["sh", "-c", "echo hi; sleep 60"], folder=tmp_path, seconds=60, max_output=9)
    )
    for _ in range(steps):
        await asyncio.sleep(0)
    poll.cancel()
    done, _ = await asyncio.wait({poll}, timeout=5)
    assert poll in done
    assert poll.cancelled()


async def test_it_has_no_input_no_terminal_and_none_of_our_secrets(bench, monkeypatch) -> None:
    monkeypatch.setenv("POLLER_SINKS__AXIOM__TOKEN", "xaat-secret")
    monkeypatch.setenv("AXIOM_TOKEN", "xaat-secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/x")
    monkeypatch.setenv("LOOP_REGION", "row")
    source = bench.source(
        "import json\n"
        "ours = ('POLLER', 'AXIOM', 'NOTIFY', 'LOOP')\n"
        "seen = {'stdin': sys.stdin.read(), 'names': [n for n in os.environ if n.split('_')[0] in ours],\n"
        "        'group': os.getpgrp() == os.getpid(), 'session': os.getsid(0) == os.getpid()}\n"
        "open('seen', 'w').write(json.dumps(seen)); print('[]')"
    )
    assert await source.targets() == []
    seen = json.loads((bench.folder / "seen").read_text())
    assert seen == {"stdin": "", "group": True, "session": True, "names": ["LOOP_REGION"]}


async def test_the_account_is_the_command_and_shows_nothing_of_it(bench) -> None:
    one, same = bench.source(""), bench.source("", timeout=3)
    assert one.account == same.account
    assert one.account.startswith("command:")
    assert SECRET not in one.account
    context = SourceContext(bench.clock, DictMemory(), bench.folder, bench.folder, ZoneInfo("UTC"))
    other = CommandSource("loop", CommandSettings(type="command", command=("true",)), context)
    assert other.account != one.account


async def test_the_same_output_at_another_time_is_another_record(bench) -> None:
    source = bench.printing(vehicle())
    ids = set()
    for _ in range(2):
        (target,) = await source.targets()
        answer = await source.fetch(target)
        ids.add(snapshot_record(source.parse(answer), answer).id)
        await bench.clock.advance(300)
    assert len(ids) == 2


@pytest.mark.parametrize(
    "output", [[{"vin": MINI_VIN, "data": {}}], [{"vin": MINI_VIN, "data": {"state": []}}]]
)
async def test_what_cannot_be_understood_is_kept_and_malformed(bench, output) -> None:
    source = bench.printing(output)
    (target,) = await source.targets()
    answer = await source.fetch(target)
    with pytest.raises(MalformedAnswer):
        source.parse(answer)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # another process gives no event
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
