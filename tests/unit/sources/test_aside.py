"""Work beside the event loop, where the machine has no thread for it."""

from __future__ import annotations

import threading

import pytest

from poller.sources.aside import Aside

#: A stack that no machine has room for.
FAR_TOO_MUCH = 2**46


@pytest.fixture
def no_more_threads():
    usual = threading.stack_size(FAR_TOO_MUCH)
    yield lambda: threading.stack_size(usual)
    threading.stack_size(usual)


async def test_without_a_thread_it_fails_and_the_next_look_is_one_again(no_more_threads) -> None:
    aside = Aside("test")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="thread"):
            await aside.run(lambda: 1)
    no_more_threads()
    assert await aside.run(lambda: 1) == 1
