"""A month of a simulated car's life, with a script of mishaps laid over it: what is told is a transcript.

The car is the simulator's: it commutes, charges and forgets by itself. The script spoils its answers, fails
its polls, and restarts the poller. All of it runs on the real road: App, journal, a queued sink.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from poller.app import App
from poller.errors import LoginRequired, RateLimited, SourceError, SourceUnavailable
from poller.runtime.status import Channels, Silence
from poller.settings import load
from poller.simulator import fleet
from poller.simulator.garage import demo_garage
from poller.sources.base import Answer, LoginState, Target
from poller.sources.mybmw.meaning.parse import parse
from poller.testing.clock import ManualClock
from poller.testing.sinks import RecordingSink
from poller.vehicle.records import milliseconds, parse_time
from poller.vehicle.snapshot import Snapshot

ZONE = ZoneInfo("Europe/London")
BEGIN = datetime(2027, 2, 1, 0, 0, tzinfo=ZONE)
STEP = timedelta(minutes=5)
CONFIG = """\
data_dir = "data"
[display]
timezone = "Europe/London"
units = "uk"
[alerts]
quiet = "22:30-06:30"
{off}
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
password = "-"
[vehicles.mini]
vin = "WMW00000000000001"
[sinks.phone]
type = "json_files"
kinds = ["alert"]
"""

State = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """From a day's time on, for so long: what happens, and what it does to answers, polls or the poller."""

    day: int
    at: str
    hours: float
    words: str
    spoil: Callable[[State, datetime], None] | None = None
    error: Callable[[datetime], SourceError] | None = None
    silence: str = ""
    restart: bool = False

    @property
    def begin(self) -> datetime:
        hour, minute = map(int, self.at.split(":"))
        day = BEGIN + timedelta(days=self.day - 1)
        return day.replace(hour=hour, minute=minute).astimezone(UTC)

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(hours=self.hours)

    def on(self, now: datetime) -> bool:
        return self.begin <= now < self.end


class Spoilt:
    """A source of the simulator's MINI: asks its garage without a network, and does as the script says."""

    kind = "mybmw"
    account = "mybmw:owner"
    lists_vehicles = True

    def __init__(self, name: str, month: Month) -> None:
        self.name = name
        self._month = month

    async def open(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def attend(self, stop: Any) -> None:
        """Nothing between the polls."""
        await stop.wait()

    def channels(self) -> Channels:
        """The silence of the script, if it is on."""
        acts = [act for act in self._month.now_on() if act.silence]
        told: Any = [Silence(act.silence, act.words, since=act.begin) for act in acts]  # type: ignore[arg-type]
        return Channels(silences=told)

    def login_state(self) -> LoginState:
        """One that lasts, and changes its version when the script lets the owner log in."""
        refused = any(act.error is refused_login for act in self._month.now_on())
        return LoginState("refused" if refused else "good")

    async def targets(self) -> Sequence[Target]:
        """The MINI."""
        return [Target(fleet.MINI_VIN)]

    async def fetch(self, target: Target) -> Answer:
        """What the car has reported by now, spoilt; or the script's error."""
        now = milliseconds(self._month.clock.now())
        for act in self._month.now_on():
            if act.error is not None:
                raise act.error(now)
        body = json.loads(self._month.garage.state(target.vin, self._month.still or now) or b"")
        spoils = [act for act in self._month.script if act.spoil is not None]
        for act in spoils:
            if act.spoil is not None and act.on(now):
                act.spoil(body["state"], now)
        # A car tells of what has changed.
        changed = [moment for act in spoils for moment in (act.begin, act.end) if moment <= now]
        told = max([parse_time(body["state"]["lastUpdatedAt"]), *changed])
        body["state"]["lastUpdatedAt"] = f"{told:%Y-%m-%dT%H:%M:%SZ}"
        profile = self._month.garage.profile(target.vin) or b""
        return Answer(
            self.name, self.kind, target.vin, now, {"state": json.dumps(body).encode(), "profile": profile}
        )

    def stored(self, answer: Answer) -> None:
        """It comes again with the next poll."""

    def parse(self, answer: Answer) -> Snapshot:
        """As the real one does."""
        return parse(answer, ZONE)


@dataclass
class Month:
    """`live` some days; `phone` has what was told. `still`: the car stands as it stood then."""

    folder: Path
    script: Sequence[Act]
    off: Sequence[str] = ()
    still: datetime | None = None
    clock: ManualClock = field(init=False)
    garage: Any = field(init=False)
    phone: RecordingSink = field(init=False)

    def __post_init__(self) -> None:
        self.clock = ManualClock(BEGIN.astimezone(UTC))
        self.garage = demo_garage()
        self.phone = RecordingSink("phone")
        self.restarts = 0

    def now_on(self) -> list[Act]:
        now = self.clock.now()
        return [act for act in self.script if act.on(now)]

    async def live(self, days: int) -> list[str]:
        """That many days in steps of five minutes; the transcript of them."""
        app = await self._start()
        end = self.clock.now() + timedelta(days=days)
        done: set[int] = set()
        try:
            while self.clock.now() < end:
                for number, act in enumerate(self.script):
                    if act.restart and act.on(self.clock.now()) and number not in done:
                        done.add(number)
                        await app.close()
                        await self._pass(act.end - self.clock.now())
                        app = await self._start()
                await app.road.rounds["bmw"].round()
                await app.watch.look()
                await app.road.deliveries["phone"].drain()
                await self._pass(STEP)
        finally:
            await app.close()
        return transcript(self.script, self.phone.records, end)

    async def _pass(self, span: timedelta) -> None:
        # Nobody sleeps here: the clock need not stop on the way.
        self.clock._move(self.clock.monotonic() + span.total_seconds())

    async def _start(self) -> App:
        path = self.folder / "config.toml"
        off = f"off = {json.dumps(list(self.off))}" if self.off else ""
        path.write_text(CONFIG.format(off=off), encoding="utf-8")
        loaded = load(path, environ={"TZ": "UTC"})
        app = App(
            loaded,
            clock=self.clock,
            source_builders={"mybmw": lambda name, *_: Spoilt(name, self)},
            sink_builders={"json_files": lambda *_: self.phone},
        )
        await app.open()
        self.restarts += 1
        return app


def transcript(script: Sequence[Act], records: Sequence[Mapping[str, Any]], end: datetime) -> list[str]:
    """What happened and what was told, by local time."""
    entries = [(act.begin, 0, _happened(act)) for act in script if act.begin < end]
    entries += [(parse_time(record["received_at"]), 1, _message(record)) for record in records]
    lines: list[str] = []
    day = ""
    for at, _, told in sorted(entries, key=lambda entry: entry[:2]):
        local = at.astimezone(ZONE)
        if (today := f"{local:%a} {local.day} {local:%b}") != day:
            day = today
            lines += ["", today]
        first, *rest = told
        lines += [f"  {local:%H:%M}  {first}", *(f"         {line}" for line in rest)]
    return lines[1:]


def _happened(act: Act) -> list[str]:
    return [f"- - {act.words}"]


def _message(record: Mapping[str, Any]) -> list[str]:
    sign = {"raised": "!", "reminded": "!!", "cleared": "ok"}[record["state"]]
    sign = "i" if sign == "!" and record["severity"] == "info" else sign
    return [f"{sign:<3} {record['title']}", *(f"    {line}" for line in textwrap.wrap(record["text"], 90))]


def of(kept: str, days: int) -> list[str]:
    """The first days of a kept transcript."""
    return "\n\n".join(kept.removesuffix("\n").split("\n\n")[:days]).splitlines()


# --- what the script does ----------------------------------------------------------------------


def window(side: str) -> Callable[[State, datetime], None]:
    def spoil(state: State, _now: datetime) -> None:
        state["windowsState"] = {**state["windowsState"], side: "OPEN", "combinedState": "OPEN"}

    return spoil


def unlocked(state: State, _now: datetime) -> None:
    state["doorsState"] = {**state["doorsState"], "combinedSecurityState": "UNLOCKED"}


def boot(state: State, _now: datetime) -> None:
    state["doorsState"] = {**state["doorsState"], "trunk": "OPEN", "combinedSecurityState": "UNLOCKED"}


def tyre(name: str, kpa: int) -> Callable[[State, datetime], None]:
    def spoil(state: State, _now: datetime) -> None:
        tire = state["tireState"][name]
        status = {**tire["status"], "currentPressure": kpa}
        state["tireState"] = {**state["tireState"], name: {**tire, "status": status}}

    return spoil


def service(day: int) -> Callable[[State, datetime], None]:
    due = (BEGIN + timedelta(days=day)).astimezone(UTC)

    def spoil(state: State, _now: datetime) -> None:
        others = [one for one in state["requiredServices"] if one["type"] != "BRAKE_FLUID"]
        mine = {"type": "BRAKE_FLUID", "status": "OK", "dateTime": f"{due:%Y-%m-%dT%H:%M:%SZ}"}
        state["requiredServices"] = [*others, mine]

    return spoil


def message(kind: str, severity: str) -> Callable[[State, datetime], None]:
    def spoil(state: State, _now: datetime) -> None:
        state["checkControlMessages"] = [
            *state.get("checkControlMessages", []),
            {"type": kind, "severity": severity},
        ]

    return spoil


def refused_login(_now: datetime) -> SourceError:
    return LoginRequired("BMW refuses the login", hint="run `poller login bmw`")


def no_network(_now: datetime) -> SourceError:
    return SourceUnavailable("BMW could not be reached", reason="network")


def calls_spent(now: datetime) -> SourceError:
    until = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    return RateLimited(until, "BMW lets us ask again at midnight", reason="quota")


def server_down(_now: datetime) -> SourceError:
    return SourceUnavailable("BMW's servers have an error of their own", reason="server")
