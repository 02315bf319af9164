"""Staying logged in, the same in each region however differently it gives its tokens: over HTTP."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from mybmw_cloud import AUTHENTICATE, CHINA_LOGIN, COULD_NOT_ASK, LIST, STATE, stage, stored

from poller.errors import LoginRequired, SourceUnavailable
from poller.runtime.clock import SystemClock
from poller.sources.base import LoginState
from poller.sources.mybmw.login.auth import Auth
from poller.sources.mybmw.login.tokens import TokenFile, Tokens
from poller.sources.mybmw.transport import Limits


@pytest.fixture(params=["rest_of_world", "china"])
def region(request):
    return request.param


@pytest.fixture
async def road(tmp_path, region):
    async with stage(tmp_path / "data", region=region) as set_up:
        set_up.directory.mkdir()
        yield set_up


async def test_five_refusals_at_once_make_one_refresh(road) -> None:
    """The library spends five refresh tokens here."""
    source = await road.logged_in()
    (first, *_) = await source.targets()
    road.cloud.login.expire_access_tokens()
    road.watched.counts()
    answers = await asyncio.gather(*(source.fetch(first) for _ in range(5)))
    assert len(answers) == 5
    assert road.watched.counts()[road.token_path] == 1


async def test_two_processes_make_one_refresh(tmp_path, region) -> None:
    """The second waits for the lock (in real time) and finds the first one's token under it."""
    async with stage(tmp_path, clock=SystemClock(), region=region) as road:
        one = await road.logged_in()
        two = await road.source()
        (target, *_) = await one.targets()
        await two.targets()
        road.cloud.login.expire_access_tokens()
        road.watched.counts()
        await asyncio.gather(one.fetch(target), two.fetch(target))
        assert road.watched.counts()[road.token_path] == 1


async def test_a_lock_that_is_never_let_go_is_an_error_in_the_end(road) -> None:
    source = await road.source()
    async with TokenFile(road.directory, source.account).lock(road.clock):
        with pytest.raises(SourceUnavailable, match="another process"):
            await source.login(**road.known)


async def test_a_token_is_refreshed_before_it_ends(road) -> None:
    """No request is spent on learning what the clock says."""
    source = await road.logged_in()
    await source.targets()
    road.watched.counts()
    road.clock.jump(3600 - 20)
    (target, *_) = await source.targets()
    await source.fetch(target)
    assert road.watched.counts()[road.token_path] == 1
    assert all(r.headers.get("authorization") for r in road.watched.to(STATE))


async def test_a_restart_goes_on_with_the_stored_token(road) -> None:
    """Also with the same device and session: new ones cost quota and trust."""
    await (await road.logged_in()).targets()
    (first,) = {r.headers["x-user-agent"].partition(";")[0] for r in road.watched.to(LIST)}
    session = {r.headers["bmw-session-id"] for r in road.watched.to(LIST)}
    road.watched.counts()
    road.memory.values.clear()
    again = await road.source()
    await again.targets()
    assert road.watched.to(road.token_path) == []
    assert {r.headers["x-user-agent"].partition(";")[0] for r in road.watched.to(LIST)} == {first}
    assert {r.headers["bmw-session-id"] for r in road.watched.to(LIST)} == session


async def test_a_new_login_keeps_the_device_and_changes_the_version(road) -> None:
    source = await road.logged_in()
    device, version = stored(road)["device"], source.login_state().version
    await road.log_in_again(source)
    assert stored(road)["device"] == device
    assert source.login_state().version != version


async def test_a_session_is_renewed_after_two_weeks(road) -> None:
    source = await road.logged_in()
    session = stored(road)["session"]
    road.clock.jump(timedelta(days=13, hours=23).total_seconds())
    await source.targets()
    assert stored(road)["session"] == session
    road.clock.jump(timedelta(hours=2).total_seconds())
    road.memory.values.clear()
    await (await road.source()).targets()
    assert stored(road)["session"] != session


async def test_a_new_token_is_on_disk_before_it_is_used(road) -> None:
    source = await road.logged_in()
    (target, *_) = await source.targets()
    road.cloud.login.expire_access_tokens()
    seen = []
    road.watched.on_request = lambda request: seen.append(
        (request.path, request.headers.get("authorization"), stored(road)["access_token"])
    )
    await source.fetch(target)
    used = [authorization == f"Bearer {token}" for path, authorization, token in seen if path == STATE]
    assert used == [True, True]
    tokens = {token for _, _, token in seen}
    assert len(tokens) == 2


async def test_a_cancelled_poll_does_not_lose_the_new_token(road) -> None:
    """SIGTERM while BMW answers: the old refresh token is spent, so the new one must still be stored."""
    source = await road.logged_in()
    (target, *_) = await source.targets()
    before = stored(road)
    road.cloud.login.expire_access_tokens()
    road.watched.gates[road.token_path] = asyncio.Event()
    poll = asyncio.create_task(source.fetch(target))
    await asyncio.wait_for(road.watched.waiting.wait(), 5)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    closing = asyncio.create_task(source.close())
    road.watched.gates.pop(road.token_path).set()
    await closing
    assert stored(road)["refresh_token"] != before["refresh_token"]
    again = await road.source()
    await again.fetch(target)


async def test_a_close_does_not_wait_for_ever(road) -> None:
    source = await road.logged_in(limits=Limits(timeout=5.0, last_word=0.05))
    road.clock.jump(4000)
    road.watched.gates[road.token_path] = asyncio.Event()
    poll = asyncio.create_task(source.targets())
    await asyncio.wait_for(road.watched.waiting.wait(), 5)
    await asyncio.wait_for(source.close(), 5)
    with pytest.raises(asyncio.CancelledError):
        await poll
    road.watched.gates.pop(road.token_path).set()


class FullDisk(TokenFile):
    """A token file on a disk that fills up: after `room` more writes every one fails."""

    room = 0

    def write(self, tokens: Tokens) -> None:
        if self.room == 0:
            raise SourceUnavailable("the login could not be stored (No space left on device)")
        self.room -= 1
        super().write(tokens)


async def _auth_on(road, file: TokenFile, source) -> Auth:
    return Auth(
        "bmw",
        way=source._way,
        account=source.account,
        file=file,
        clock=road.clock,
        last_word=Limits().last_word,
    )


async def test_a_full_disk_shows_before_the_refresh_token_is_spent(road) -> None:
    source = await road.logged_in()
    auth = await _auth_on(road, FullDisk(road.directory, source.account), source)
    road.clock.jump(4000)
    with pytest.raises(SourceUnavailable):
        await auth.tokens()
    assert road.watched.counts()[road.token_path] == 0


async def test_a_token_that_could_not_be_stored_is_held_until_it_can(road) -> None:
    """It is neither used nor lost: the next attempt stores it, without another refresh."""
    source = await road.logged_in()
    file = FullDisk(road.directory, source.account)
    file.room = 1
    auth = await _auth_on(road, file, source)
    road.clock.jump(4000)
    with pytest.raises(SourceUnavailable):
        await auth.tokens()
    assert road.watched.counts()[road.token_path] == 1
    file.room = 1
    tokens = await auth.tokens()
    assert road.watched.counts()[road.token_path] == 0
    assert stored(road)["access_token"] == tokens.access_token


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_cannot_be_written_is_named(road) -> None:
    source = await road.source()
    road.directory.chmod(0o500)
    try:
        with pytest.raises(SourceUnavailable, match="login"):
            await source.login(**road.known)
    finally:
        road.directory.chmod(0o700)


# --- refused, or only not asked ---------------------------------------------------------------


async def test_a_refused_login_asks_for_a_human_and_is_not_asked_again(road) -> None:
    source = await road.logged_in()
    road.cloud.login.revoke_refresh_tokens()
    road.clock.jump(4000)
    before = stored(road)
    for _ in range(3):
        with pytest.raises(LoginRequired):
            await source.targets()
    assert road.watched.counts()[road.token_path] == 1
    assert stored(road) == before
    await road.log_in_again(source)
    assert len(await source.targets()) == 2


async def test_a_login_by_another_process_is_picked_up(road) -> None:
    """`poller login` beside a daemon that waits for it."""
    daemon = await road.logged_in()
    road.cloud.login.revoke_refresh_tokens()
    road.clock.jump(4000)
    with pytest.raises(LoginRequired):
        await daemon.targets()
    version = daemon.login_state().version
    await road.log_in_again(await road.source())
    assert daemon.login_state().version != version
    assert len(await daemon.targets()) == 2


@pytest.mark.parametrize(("status", "body", "error"), COULD_NOT_ASK)
async def test_what_says_nothing_about_the_login_keeps_it(road, status, body, error) -> None:
    """The library falls back to the password here, which asks for a captcha for nothing."""
    source = await road.logged_in()
    before = stored(road)
    road.clock.jump(4000)
    road.watched.fail(road.token_path, status, body, times=None)
    with pytest.raises(error) as raised:
        await source.targets()
    assert type(raised.value) is error
    assert stored(road) == before
    assert not {AUTHENTICATE, CHINA_LOGIN} & set(road.watched.counts())
    road.cloud.faults.clear()
    assert len(await source.targets()) == 2


@pytest.mark.parametrize("status", [400, 401])
async def test_refused_is_400_or_401_of_the_token_endpoint(road, status) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.fail(road.token_path, status, '{"error": "invalid_grant"}')
    with pytest.raises(LoginRequired):
        await source.targets()


@pytest.mark.parametrize("kind", ["reset", "half_body", "broken_json"])
async def test_a_broken_token_answer_is_no_refusal(road, kind) -> None:
    source = await road.logged_in()
    road.clock.jump(4000)
    road.watched.spoil(road.token_path, kind, times=None)
    with pytest.raises(SourceUnavailable):
        await source.targets()


async def test_a_file_that_cannot_be_read_is_no_lost_login(road) -> None:
    """Wrong permissions, say: a new login would not help, so none is asked for."""
    source = await road.logged_in()
    (path,) = (road.directory / "accounts").glob("*.json")
    path.unlink()
    path.mkdir()
    fresh = await road.source()
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        await fresh.targets()
    assert source.login_state() == LoginState()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_login_by_root_belongs_to_the_daemons_user(road) -> None:
    """`sudo poller login` beside a daemon that runs as somebody else."""
    os.chown(road.directory, 1234, 1234)
    await road.logged_in()
    owners = {path.stat().st_uid for path in (road.directory / "accounts").rglob("*")}
    assert owners == {1234}
    assert (road.directory / "accounts").stat().st_uid == 1234
