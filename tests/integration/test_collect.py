"""One poll on a real journal: what is kept, counted and shown, whatever the source sends."""

import pytest
from prometheus_client import CollectorRegistry

from poller.collect import Collector
from poller.errors import JournalError, LoginRequired, MalformedAnswer, RateLimited, SourceUnavailable
from poller.journal.base import Policy
from poller.journal.sqlite import SqliteJournal
from poller.runtime.metrics import Metrics
from poller.sources.base import Target
from poller.testing.clock import ManualClock
from poller.testing.sinks import RecordingLiveSink
from poller.testing.sources import VIN, FakeSource
from poller.vehicle.fleet import Fleet
from poller.vehicle.records import Record, record_id


class CountingDeriver:
    """Counts snapshots; derives a trip from every second one; breaks where the test wants."""

    name = "counter"
    broken = False

    def derive(self, state, snapshot):
        if self.broken:
            raise RuntimeError("a bug in a deriver")
        count = state.get("count", 0) + 1
        trip = Record(
            record_id("trip", snapshot.vin, str(count)),
            "trip",
            snapshot.vin,
            snapshot.source,
            snapshot.received_at,
            snapshot.observed_at,
            {"count": count},
        )
        return {"count": count}, [trip] if count % 2 == 0 else []


class World:
    def __init__(self, folder):
        self.clock = ManualClock()
        self.folder = folder
        self.source = FakeSource(self.clock)
        self.deriver = CountingDeriver()
        self.live = RecordingLiveSink("live")
        self.metrics = Metrics()
        self.commits = 0

    async def start(self):
        self.journal = SqliteJournal(self.folder / "journal.db", Policy(), self.clock)
        await self.journal.open(["files"])
        self.fleet = Fleet()
        self.collector = Collector(
            self.journal,
            derivers=[self.deriver],
            fleet=self.fleet,
            live=[self.live],
            metrics=self.metrics,
            committed=self.count,
        )
        return self

    def count(self):
        self.commits += 1

    async def poll(self):
        await self.clock.advance(300)
        return await self.collector.poll(self.source, Target(VIN))

    async def queued(self):
        batch = await self.journal.peek("files", limit=100)
        return [queued.record for queued in batch.records]

    def counted(self, name, **labels):
        registry: CollectorRegistry = self.metrics.registry
        return registry.get_sample_value(name, labels)


@pytest.fixture
async def world(tmp_path):
    made = await World(tmp_path).start()
    yield made
    await made.journal.close()


async def test_a_snapshot_is_on_disk_before_anybody_shows_it(world):
    record = await world.poll()
    assert [queued.id for queued in await world.queued()] == [record.id]
    assert world.fleet.view(VIN).readings["soc_percent"][0].value == 80
    assert world.commits == 1
    assert len(world.source.kept) == 1


async def test_a_note_about_the_poll_is_on_disk_with_its_answer(world):
    await world.collector.poll(world.source, Target(VIN), {"attempt:bmw": {"at": "now"}})
    assert await world.journal.recall("attempt:bmw") == {"at": "now"}


async def test_an_answer_that_could_not_be_kept_leaves_no_note(world):
    world.source.script = [b"<html>Service Temporarily Unavailable</html>"]
    with pytest.raises(MalformedAnswer):
        await world.collector.poll(world.source, Target(VIN), {"attempt:bmw": {"at": "now"}})
    assert await world.journal.recall("attempt:bmw") is None


async def test_an_answer_that_could_not_be_kept_is_not_reported_as_stored(world):
    await world.journal.close()
    with pytest.raises(JournalError):
        await world.poll()
    assert world.source.kept == []


async def test_an_answer_that_cannot_be_parsed_is_kept_and_counted(world):
    world.source.script = [b"<html>Service Temporarily Unavailable</html>"]
    with pytest.raises(MalformedAnswer):
        await world.poll()
    (letter,) = await world.journal.dead_letters("")
    assert letter.answer.bodies["state"] == b"<html>Service Temporarily Unavailable</html>"
    assert world.counted("poller_answers_quarantined_total") == 1
    assert world.counted("poller_poll_failures_total", source="fake", reason="malformed") == 1
    assert world.fleet.view(VIN).sources["fake"].up is False


async def test_a_bug_in_a_parser_costs_no_answer(world):
    world.source.parse = None
    with pytest.raises(MalformedAnswer):
        await world.poll()
    assert len(await world.journal.dead_letters("")) == 1


async def test_a_failed_poll_is_counted_by_reason_and_shown(world):
    await world.poll()
    world.source.script = [SourceUnavailable("no route", reason="network")]
    with pytest.raises(SourceUnavailable):
        await world.poll()
    assert world.counted("poller_polls_total", source="fake") == 2
    assert world.counted("poller_poll_failures_total", source="fake", reason="network") == 1
    assert world.fleet.view(VIN).sources["fake"].up is False
    assert world.fleet.view(VIN).readings["soc_percent"][0].value == 80


@pytest.mark.parametrize(
    ("error", "up"),
    [
        (RateLimited(ManualClock().now()), False),
        (LoginRequired(), False),
        (SourceUnavailable(), True),
    ],
)
async def test_a_refusal_of_the_account_is_shown_of_the_car_that_just_answered_too(world, error, up):
    """It is not asked again before the refusal ends; a failure of one car is that car's alone."""
    await world.poll()
    world.source.script = [error]
    with pytest.raises(type(error)):
        await world.collector.poll(world.source, Target("WBA00000000000002"))
    marks = {view.vin: view.sources["fake"] for view in world.fleet.views()}
    assert marks[VIN].up is up
    assert marks[VIN].last_success_at == world.clock.now()
    assert marks["WBA00000000000002"].up is False


@pytest.mark.parametrize(("lists_vehicles", "up"), [(True, False), (False, True)])
async def test_a_round_that_failed_is_shown_of_all_the_vehicles_that_it_would_have_asked(
    world, lists_vehicles, up
):
    """A login that is refused while the vehicles are listed; a folder lists only what is new."""
    await world.poll()
    world.source.lists_vehicles = lists_vehicles
    await world.collector.note_failure(world.source, LoginRequired())
    assert world.live.views[VIN].sources["fake"].up is up
    assert world.counted("poller_polls_total", source="fake") == 2
    assert world.counted("poller_poll_failures_total", source="fake", reason="login_required") == 1
    await world.poll()
    assert world.live.views[VIN].sources["fake"].up is True


async def test_a_poll_that_a_bug_ended_is_shown_and_counted_once(world):
    await world.poll()
    internal = SourceUnavailable("a bug", reason="internal")
    await world.collector.note_failure(world.source, internal, Target(VIN))
    assert world.live.views[VIN].sources["fake"].up is False
    # `poll` has counted the poll when it began.
    assert world.counted("poller_polls_total", source="fake") == 1
    assert world.counted("poller_poll_failures_total", source="fake", reason="internal") == 1


async def test_a_broken_deriver_costs_only_what_it_would_derive(world):
    world.deriver.broken = True
    await world.poll()
    assert [record.kind for record in await world.queued()] == ["snapshot"]
    assert world.counted("poller_derive_failures_total", deriver="counter") == 1


async def test_derivers_give_the_same_records_with_or_without_a_restart(world, tmp_path_factory):
    for _ in range(3):
        await world.poll()
        await world.journal.close()
        await world.start()
    await world.poll()
    whole = await World(tmp_path_factory.mktemp("whole")).start()
    for _ in range(4):
        await whole.poll()
    assert [record.id for record in await world.queued()] == [record.id for record in await whole.queued()]
    await whole.journal.close()


async def test_after_a_restart_the_newest_is_shown_with_its_age(world):
    await world.poll()
    before = world.fleet.view(VIN)
    await world.journal.close()
    await world.start()
    await world.collector.restore({"fake"})
    after = world.fleet.view(VIN)
    assert after.readings == before.readings
    assert after.sources["fake"].up is None
    assert after.sources["fake"].last_success_at == before.sources["fake"].last_success_at


async def test_a_vehicle_that_left_the_account_vanishes(world):
    await world.poll()
    await world.collector.retire(world.source, frozenset())
    assert world.fleet.view(VIN) is None
    assert world.live.published
    assert world.live.views == {}


async def test_unknown_words_are_counted_by_signal(world):
    world.source.script = [{"charging_state": "warp_drive"}]
    await world.poll()
    assert world.counted("poller_unknown_tokens_total", signal="charging_state") == 1
