"""A program that prints JSON as a source: the shell loop's own command line plugs in here."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from poller.errors import MalformedAnswer, SourceUnavailable
from poller.runtime import log
from poller.runtime.quoted import quoted
from poller.sources.base import Answer, LoginState, SourceContext, Target
from poller.sources.library_json import Json, bodies_of, read_vehicles, understand, vin_of
from poller.sources.settings import CommandSettings
from poller.vehicle.records import milliseconds
from poller.vehicle.snapshot import Snapshot

KIND: Final = "command"
#: Bytes of output; a car is some 16 kB.
MAX_OUTPUT: Final = 16 * 2**20
_STDERR_TAIL: Final = 64 * 2**10
#: A killed program gets this long to be gone (real seconds).
_REAP: Final = 2.0
#: Our own secrets and our own supervisor are no business of the program.
_WITHHELD: Final = ("POLLER_", "AXIOM_", "NOTIFY_SOCKET", "WATCHDOG_")


class CommandSource:
    """Runs the program once a poll; all vehicles that it prints come from that run.

    Implements `sources.base.Source`. The program runs without a shell, in the configuration's
    folder, without input or terminal, in a process group of its own that is killed on time-out.
    """

    kind = KIND
    lists_vehicles = True

    def __init__(
        self, name: str, settings: CommandSettings, context: SourceContext, *, max_output: int = MAX_OUTPUT
    ) -> None:
        self.name = name
        self.account = f"{KIND}:{_digest(settings.command)}"
        self._settings = settings
        self._context = context
        self._max_output = max_output
        self._wanted = {vin.upper() for vin in settings.vins}
        self._fresh: dict[str, Answer] = {}
        self._logger = log.get("source", source=name)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close: a run ends with the poll that began it."""

    def login_state(self) -> LoginState:
        """The program logs in by itself."""
        return LoginState()

    async def targets(self) -> Sequence[Target]:
        """Run the program; the vehicles that it printed. Raises SourceUnavailable, MalformedAnswer."""
        await self._ask()
        return [Target(vin) for vin in self._fresh]

    async def fetch(self, target: Target) -> Answer:
        """The vehicle's answer of the last run, once; asked again without `targets`, a new run."""
        if target.vin not in self._fresh:
            await self._ask()
        answer = self._fresh.pop(target.vin, None)
        if answer is None:
            raise SourceUnavailable("the program did not name this vehicle any more")
        return answer

    def stored(self, _answer: Answer) -> None:
        """Nothing to forget: the next poll asks anew."""

    def parse(self, answer: Answer) -> Snapshot:
        """Understand an answer; no I/O. Raises only MalformedAnswer."""
        return understand(answer, self._context.timezone)

    async def _ask(self) -> None:
        self._fresh = {}
        output = await run(
            self._settings.command,
            folder=self._context.base,
            seconds=self._settings.timeout,
            max_output=self._max_output,
        )
        received_at = milliseconds(self._context.clock.now())
        problem = None
        for vehicle in self._vehicles(output):
            try:
                vin, bodies = self._vin(vehicle), bodies_of(vehicle)
            except MalformedAnswer as error:
                problem = error
                self._logger.warning("vehicle.skipped", reason=error.message)
                continue
            if not self._wanted or vin in self._wanted:
                self._fresh[vin] = Answer(self.name, KIND, vin, received_at, bodies)
        if problem is not None and not self._fresh:
            raise problem

    def _vehicles(self, output: bytes) -> list[Json]:
        try:
            return read_vehicles(output)
        except MalformedAnswer as error:
            raise MalformedAnswer(
                f"the program's output cannot be used: {error.message}",
                hint="run the command by hand: it must print the JSON of `bimmerconnected status -j`",
            ) from error

    def _vin(self, vehicle: Json) -> str:
        vin = vin_of(vehicle)
        if vin is None and len(self._wanted) == 1:
            return next(iter(self._wanted))
        if vin is None:
            raise MalformedAnswer(f"it names no VIN; set `vins` under [sources.{self.name}] to the one it is")
        return vin


async def run(argv: Sequence[str], *, folder: Path, seconds: float, max_output: int) -> bytes:
    """What the program prints. Raises SourceUnavailable if it cannot start, fails, or takes too long."""
    try:
        process = await _start(argv, folder)
    except (OSError, ValueError) as error:
        raise SourceUnavailable(
            f"the program {Path(argv[0]).name} cannot be started: {getattr(error, 'strerror', error)}",
            hint="make it executable: chmod +x"
            if isinstance(error, PermissionError)
            else "give its full path in `command`; it runs in the configuration's folder, without a shell",
        ) from error
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await _outputs(process, max_output)
            code = await process.wait()
    except BaseException as error:
        await _kill(process)
        if isinstance(error, TimeoutError):
            raise SourceUnavailable(
                f"the program was stopped after {seconds:g} s",
                hint="raise `timeout`, or run the command by hand to see why it hangs",
                reason="timeout",
            ) from error
        raise
    if code != 0:
        raise SourceUnavailable(
            f"the program ended with {_ending(code)}: {_last_line(complaint, argv)}",
            hint="run the command by hand to see all that it says",
        )
    return output


async def _start(argv: Sequence[str], folder: Path) -> Process:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env=_environment(os.environ),
            start_new_session=True,
        )
    )
    try:
        # Given up in the middle of it, asyncio of Python 3.11 waits for ever.
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, ValueError):
            await _kill(await starting)
        raise


async def _outputs(process: Process, max_output: int) -> tuple[bytes, bytes]:
    """All of stdout and the end of stderr, once both are closed."""
    complaint = asyncio.create_task(_tail(cast("StreamReader", process.stderr)))
    try:
        output = bytearray()
        while chunk := await cast("StreamReader", process.stdout).read(2**16):
            output += chunk
            if len(output) > max_output:
                raise SourceUnavailable(
                    f"the program printed more than {max_output} bytes and was stopped",
                    hint="it must print one status and end",
                )
        return bytes(output), await complaint
    finally:
        complaint.cancel()
        await asyncio.wait([complaint])


async def _tail(stream: StreamReader) -> bytes:
    tail = b""
    while chunk := await stream.read(2**13):
        tail = (tail + chunk)[-_STDERR_TAIL:]
    return tail


async def _kill(process: Process) -> None:
    """End the program and all that it started; what it still said is read, or its pipes stay open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REAP):
            await process.communicate()


def _last_line(complaint: bytes, argv: Sequence[str]) -> str:
    """The last thing it said on stderr, without what stands in its arguments: a password may."""
    lines = complaint.decode(errors="replace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "it gave no reason on stderr")
    return quoted(line, (argument for argument in argv[1:] if len(argument) > 3))


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith(_WITHHELD)}


def _digest(argv: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(argv).encode(), digest_size=6).hexdigest()
