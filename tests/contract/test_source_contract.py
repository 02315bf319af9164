"""What every source promises, whoever it asks."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette

from poller.errors import MalformedAnswer
from poller.simulator.cardata.login import CLIENT_ID, Login
from poller.simulator.cardata.rest import FakeRest, Vehicle
from poller.simulator.cloud import FakeCloud
from poller.simulator.garage import demo_garage
from poller.simulator.login import REFRESH_TOKEN, USER
from poller.simulator.server import serve
from poller.sources import BUILDERS
from poller.sources.base import NoMemory, Source, SourceContext
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.settings import CommandSettings, RecordedSettings
from poller.testing.clock import ManualClock
from poller.testing.sources import FakeSource
from poller.vehicle.answer import Answer
from poller.vehicle.records import milliseconds, snapshot_record

CASE = Path(__file__).parents[1] / "cases" / "mybmw" / "electric_charging"
VIN = "WMW00000000000001"
GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"state": 1e999}',
    b'{"data": {"state": {"range": 1e999}}}',
]


def raw_answer(clock):
    """What the command prints and the dump holds: the app's own answer, with its VIN."""
    answer = json.loads((CASE / "state.json").read_bytes())
    return [{"vin": VIN, "data": {"vin": VIN, "fetched_at": clock.now().isoformat(), **answer}}]


class Making:
    """Makes sources of one kind, over and over, on one folder and clock."""

    def __init__(self, kind, folder, clock, **settings):
        self.kind, self.folder, self.clock = kind, folder, clock
        self.settings = settings
        (folder / "data").mkdir()

    def __call__(self, name="car"):
        if self.kind == "fake":
            return FakeSource(self.clock, vins=[VIN])
        table = {
            "cardata": CarDataSettings,
            "mybmw": MyBmwSettings,
            "command": CommandSettings,
            "recorded": RecordedSettings,
        }[self.kind]
        context = SourceContext(self.clock, NoMemory(), self.folder / "data", self.folder, UTC)
        return BUILDERS[self.kind](name, table(type=self.kind, **self.settings), context)


def values(_vin, descriptors, at):
    """What BMW's server has: each descriptor's text, measured now."""
    return {key: {"timestamp": at.isoformat(), "unit": None, "value": "1"} for key in descriptors}


@asynccontextmanager
async def cardata(kind, folder, clock):
    """An account without the stream, logged in."""
    login, words = Login(clock, automatic=True), {"yes": "owner", "token": "CU-102", "scope": "CU-103"}
    vehicles = [Vehicle(VIN, basic={"brand": "MINI", "driveTrain": "BEV", "steering": "LL"})]
    rest = FakeRest(vehicles, values, clock, admits=lambda request: words[login.admits(request)])
    async with serve(Starlette(routes=[*rest.routes(), *login.routes()])) as url:
        making = Making(kind, folder, clock, client_id=CLIENT_ID, auth_url=url, api_url=url, stream_url="")
        source = making()
        await source.open()
        waiting = asyncio.create_task(source.finish_login(await source.begin_login()))
        await clock.settle()
        await clock.advance(5)
        await waiting
        await source.close()
        yield making


@asynccontextmanager
async def made(kind, folder):
    clock = ManualClock()
    match kind:
        case "fake":
            yield Making(kind, folder, clock)
        case "command":
            (folder / "out.json").write_text(json.dumps(raw_answer(clock)))
            program = "import sys; print(open(sys.argv[1]).read())"
            yield Making(
                kind, folder, clock, command=(sys.executable, "-c", program, str(folder / "out.json"))
            )
        case "recorded":
            (folder / "dumps").mkdir()
            (folder / "dumps" / "20261121T140000.json").write_text(json.dumps(raw_answer(clock)))
            yield Making(kind, folder, clock, directory="dumps")
        case "cardata":
            async with cardata(kind, folder, clock) as making:
                yield making
        case "mybmw":
            async with serve(FakeCloud(demo_garage(1), clock)) as cloud:
                making = Making(kind, folder, clock, username=USER, base_url=cloud)
                source = making()
                await source.open()
                await source.login(refresh_token=REFRESH_TOKEN)
                await source.close()
                yield making


@pytest.fixture(params=["fake", *BUILDERS])
async def making(request, tmp_path):
    async with made(request.param, tmp_path) as making:
        yield making


@pytest.fixture
async def source(making):
    source = making()
    await source.open()
    yield source
    await source.close()


async def answers(source):
    found = []
    for target in await source.targets():
        answer = await source.fetch(target)
        assert answer.vin == target.vin
        source.stored(answer)
        found.append(answer)
    return found


async def test_constructing_opens_nothing(making):
    before = sorted(making.folder.rglob("*"))
    assert isinstance(making(), Source)
    assert sorted(making.folder.rglob("*")) == before


async def test_an_answer_says_whose_it_is_and_when_it_came(making, source):
    (answer, *_) = await answers(source)
    assert (answer.source, answer.kind) == (source.name, source.kind)
    assert len(answer.vin) == 17
    assert answer.received_at == milliseconds(answer.received_at)
    assert abs(answer.received_at - making.clock.now()) < timedelta(seconds=1)
    assert all(isinstance(body, bytes) and body for body in answer.bodies.values())


async def test_a_stored_answer_is_understood_again_by_another_instance(making, source):
    """After a restart, or after a fix, from what the journal kept alone."""
    for answer in await answers(source):
        first, again = source.parse(answer), making().parse(answer)
        assert first == again
        assert first.readings
        assert (first.source, first.vin, first.received_at) == (answer.source, answer.vin, answer.received_at)
        assert snapshot_record(first, answer).id == snapshot_record(again, answer).id


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_malformed_and_nothing_else(making, source, body):
    (answer, *_) = await answers(source)
    for name in answer.bodies:
        spoilt = Answer(
            answer.source, answer.kind, answer.vin, answer.received_at, {**answer.bodies, name: body}
        )
        with suppress(MalformedAnswer):
            assert source.parse(spoilt).vin == answer.vin
    empty = Answer(answer.source, answer.kind, answer.vin, answer.received_at, {})
    with pytest.raises(MalformedAnswer):
        source.parse(empty)


async def test_the_account_survives_a_rename_of_the_table_and_hides_the_owner(making):
    if making.kind == "fake":
        pytest.skip("the double's account is its name")
    assert making("one").account == making("two").account
    assert making("one").account.startswith(f"{making.kind}:")
    assert USER not in making("one").account


async def test_closing_twice_and_opening_again_is_fine(making, source):
    await source.close()
    await source.close()
    await source.open()
    assert await answers(source)


async def test_looking_at_the_login_costs_no_call(source):
    assert source.login_state() == source.login_state()
