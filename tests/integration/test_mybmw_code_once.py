"""The code of a login is good for one use."""

import pytest
from mybmw_cloud import TOKEN, stage

from poller.errors import SourceUnavailable


async def test_a_code_is_never_redeemed_twice(tmp_path):
    """Not even when the answer is lost: the login may have happened, and a second try would end it."""
    async with stage(tmp_path) as road:
        source = await road.source()
        road.watched.spoil(TOKEN, "reset")
        with pytest.raises(SourceUnavailable):
            await source.login(captcha_token="P1_once")
        assert road.watched.counts()[TOKEN] == 1
