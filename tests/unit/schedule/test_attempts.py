"""A crash loop must not hammer the maker's cloud: an attempt is noted before anybody is asked."""

from poller.schedule.rounds import Rounds
from poller.testing.clock import ManualClock
from poller.testing.memory import DictMemory
from poller.testing.sources import FakeSource


async def test_the_attempt_is_in_the_memory_when_the_source_is_asked():
    clock, memory = ManualClock(), DictMemory()
    source = FakeSource(clock)
    noted = []

    async def poll(source, target):
        # Looked at later: what is raised in here would be taken for a bug of the source and survived.
        noted.append(await memory.recall(f"attempt:{source.account}"))
        return await source.fetch(target)

    async def may_collect():
        return True

    async def listed(source, vins):
        pass

    rounds = Rounds(
        source,
        poll=poll,
        memory=memory,
        clock=clock,
        interval=300,
        may_collect=may_collect,
        listed=listed,
        failed=lambda source, error: None,
    )
    await rounds.round()
    assert [note and note["at"] for note in noted] == ["2026-11-21T14:00:00.000Z"]
