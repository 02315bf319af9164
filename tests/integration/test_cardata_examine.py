"""`poller doctor` on a CarData account: each trouble is found, and the step named that mends it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from datetime import timedelta
from email.utils import format_datetime

import pytest
from cardata_house import ELECTRIC, GUEST, ODOMETER, START, VEHICLES, house, tick
from starlette.responses import Response
from stream_stage import make_certificates, server_tls

from poller.simulator.cardata.rest import Vehicle
from poller.simulator.cardata.shelf import Shelf
from poller.simulator.server import serve
from poller.sources.cardata.standing.probes import clock_ahead, is_found
from poller.sources.findings import Examined
from poller.testing.clock import ManualClock

QUIET = {"stream_url": ""}


def said(examination, subject):
    """What was found under a subject: (level, text), and all mends together."""
    found = [one for one in examination.findings if one.subject == subject]
    return [(one.level, one.text) for one in found], " ".join(one.mend or "" for one in found)


async def examined(road, **more):
    source = await road.started(**{**QUIET, **more})
    assert isinstance(source, Examined)
    return await source.examine()


async def test_a_sound_account_costs_two_calls_and_has_nothing_bad(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(**QUIET)
        await tick(source)
        road.asked()
        examination = await source.examine()
        assert road.asked() == {"mappings": 1, "containers": 1}
    assert examination.calls == 2
    assert not examination.login_required
    assert [one for one in examination.findings if one.level == "bad"] == []
    assert said(examination, "scopes")[0] == [("ok", "all that are needed")]
    assert said(examination, "login")[0] == [("ok", "good for 14 days, and renewed by itself")]
    assert said(examination, "vehicle 0000001")[0][0] == ("ok", "you are its PRIMARY user")
    assert said(examination, "container")[0] == [("ok", "ours is there (1 of 10 in use)")]
    assert said(examination, "quota")[0][0][0] == "ok"


async def test_without_a_login_no_call_is_made_and_the_login_is_the_mend(tmp_path):
    async with house(tmp_path, logged_in=False) as road:
        examination = await examined(road)
        assert road.asked() == {}
    assert examination.login_required
    assert said(examination, "login") == ([("bad", "no login is stored")], "run `poller login home`")
    assert examination.calls == 0


async def test_a_subscription_that_lacks_is_named_with_its_box(tmp_path):
    async with house(tmp_path, logged_in=False) as road:
        road.login.subscribed.remove("cardata:api:read")
        await road.log_in()
        await road.stop()
        examination = await examined(road)
        assert road.asked() == {}
    found, mend = said(examination, "scopes")
    assert [level for level, _ in found] == ["bad"]
    assert 'tick the subscription "CarData API"' in mend


async def test_a_car_of_which_one_is_not_the_primary_user(tmp_path):
    async with house(tmp_path, VEHICLES[2:]) as road:
        examination = await examined(road)
    [(level, text)], mend = said(examination, "vehicle 0000003")
    assert (level, "SECONDARY" in text) == ("bad", True)
    assert "main user" in mend
    assert GUEST not in str(examination)


async def test_a_vin_that_the_account_does_not_have(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        examination = await examined(road, vins=["WBA00000000000009"])
    assert said(examination, "vehicle 0000009")[0][0] == ("bad", "not in this account")


async def test_no_room_for_our_container(tmp_path):
    shelf = Shelf()
    for number in range(10):
        shelf.add(
            {"name": "other", "purpose": str(number), "technicalDescriptors": ["vehicle.isMoving"]}, START
        )
    async with house(tmp_path, VEHICLES[:1], shelf=shelf) as road:
        examination = await examined(road)
    assert said(examination, "container") == (
        [("bad", "no room for ours (10 of 10 in use)")],
        "delete one that no program uses; a deleted one may count for 29 days more",
    )


async def test_a_refused_token_costs_the_second_call_and_no_third_is_made(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(**QUIET)
        road.rest.order("CU-102", path="/customers/vehicles/mappings")
        await road.clock.advance(60)
        examination = await source.examine()
        assert sum(road.asked().values()) == 2
    assert examination.calls == 2
    assert said(examination, "container")[0][0][1].startswith("not asked")


async def test_a_login_that_bmw_refuses_when_asked_is_told_once_and_not_called_good(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(**QUIET)
        road.rest.order("CU-102", count=None)
        await road.clock.advance(60)
        examination = await source.examine()
    [(level, text)], mend = said(examination, "login")
    assert (level, text.startswith("refused: BMW does not take the login")) == ("bad", True)
    assert mend == "run `poller login home`"
    assert said(examination, "vehicles") == ([("warn", "not given: the login is refused")], "")


async def test_a_spent_day_is_no_fault(tmp_path):
    async with house(tmp_path, VEHICLES[:1], per_day=3) as road:
        source = await road.started(**QUIET)
        await tick(source)
        examination = await source.examine()
    assert [one for one in examination.findings if one.level == "bad"] == []
    assert said(examination, "vehicles")[0][0][0] == "warn"
    assert said(examination, "container")[0] == [("warn", "not given either, for the same reason")]
    assert examination.calls <= 1


async def test_what_has_come_is_held_against_what_features_need(tmp_path, mute):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(stream_url=f"mqtt://127.0.0.1:{mute}")
        await tick(source)
        await road.feed.tell(ELECTRIC, vehicle__vehicle__travelledDistance=81700)
        early = await source.examine()
        road.feed.connect(since=START - timedelta(days=1))
        await road.feed.tell(ELECTRIC, vehicle__vehicle__travelledDistance=81700)
        examination = await source.examine()
        arrived = {one.name: one.arrivals for one in source.wanted()}
    (_, (level, text)), mend = said(early, "vehicle 0000001")
    assert (level, mend.strip()) == ("ok", "")
    assert text.startswith("3 of 67 descriptors have come so far; nothing yet for: Battery and charging;")
    assert text.endswith("A parked car sends nothing: wait for a drive")
    (_, (level, text)), mend = said(examination, "vehicle 0000001")
    assert level == "warn"
    assert text.startswith("3 of 67 descriptors")
    assert "nothing yet for: Battery and charging; Climate; Service and messages; Tyres; Position" in text
    assert "`poller descriptors home`" in mend
    assert arrived[ODOMETER] == {"0000001": "stream"}
    assert arrived["vehicle.cabin.door.row1.driver.isOpen"] == {"0000001": "empty"}
    assert arrived["vehicle.electricalSystem.battery.voltage"] == {"0000001": "no"}


async def test_a_car_that_was_never_heard_is_no_warning_however_long(tmp_path, mute):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(stream_url=f"mqtt://127.0.0.1:{mute}")
        await tick(source)
        road.feed.connect(since=START - timedelta(days=9))
        (_, (level, text)), _ = said(await source.examine(), "vehicle 0000001")
    assert (level, "so far" in text) == ("ok", True)


async def test_without_the_stream_nothing_is_to_be_ticked(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(**QUIET)
        await tick(source)
        (_, (level, text)), mend = said(await source.examine(), "vehicle 0000001")
    assert (level, mend.strip()) == ("ok", "")
    assert "descriptors have come by REST alone; nothing yet for: Battery" in text


async def test_before_the_first_poll_there_is_nothing_to_hold_against(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = road.source(**QUIET)
        await source.open()
        examination = await source.examine()
        await source.close()
    assert said(examination, "descriptors") == (
        [("warn", "nothing has come from any car yet")],
        "start `poller run`",
    )


async def test_a_poller_that_runs_is_not_to_be_started(tmp_path, mute):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(stream_url=f"mqtt://127.0.0.1:{mute}")
        _, mend = said(await source.examine(), "descriptors")
        assert mend == "the poller runs: look again after its next poll"
        road.feed.cut("refused", "BMW refused the stored login")
        _, mend = said(await source.examine(), "descriptors")
    assert mend == "mend first what is BAD above"


async def test_each_value_has_its_way(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started()
        await tick(source)
        await road.feed.tell(ELECTRIC, vehicle__vehicle__travelledDistance=81700)
        assert source.origins(ELECTRIC)["odometer_km"] == "stream"
        assert source.origins(ELECTRIC)["locked"] == "rest"
        assert source.origins(ELECTRIC)["brand"] == "basicData"
        assert source.origins(GUEST) == {}


# --- the way ----------------------------------------------------------------------------------


@pytest.fixture
async def mute():
    """Somebody who takes connections and says nothing; gives the port."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_broker_that_is_not_there(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        examination = await examined(road, stream_url="mqtt://127.0.0.1:9")
        own = await examined(road, stream_url="mqtt://127.0.0.1:9", stream_topic="bmw/#")
    assert said(examination, "stream")[0] == [("bad", "BMW's stream takes no connections")]
    assert said(own, "stream") == (
        [("bad", "your broker takes no connections")],
        "does it run? check host and port in `stream_url`",
    )


async def test_a_login_that_the_stream_refuses_is_not_called_good(tmp_path, mute):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(stream_url=f"mqtt://127.0.0.1:{mute}")
        road.feed.cut("refused", "BMW refused the stored login")
        examination = await source.examine()
    assert said(examination, "login") == ([("bad", "refused: BMW refused the stored login")], "look at it")
    found, mend = said(examination, "stream")
    assert found[1:] == [("warn", "not connected: the login is refused, see below")]
    assert mend.strip() == ""


async def test_why_a_stream_that_answers_is_not_connected_is_told(tmp_path, mute):
    async with house(tmp_path, VEHICLES[:1]) as road:
        source = await road.started(stream_url=f"mqtt://127.0.0.1:{mute}")
        assert said(await source.examine(), "stream")[0] == [
            ("ok", "127.0.0.1 answers without TLS"), ("ok", "connected, and subscribed"),
        ]  # fmt: skip
        road.feed.cut("kicked", "another client takes the connection")
        found, mend = said(await source.examine(), "stream")
    assert found[1] == ("bad", "another client takes the connection")
    assert mend.strip() == "look at it"


@pytest.mark.parametrize(
    ("newest", "level", "text"),
    [
        (ssl.TLSVersion.TLSv1_3, "ok", "localhost answers with TLS 1.3"),
        (ssl.TLSVersion.TLSv1_2, "bad", "no TLS 1.3 with BMW's stream, and it takes nothing older"),
    ],
)
async def test_bmws_stream_must_speak_tls_1_3(tmp_path, newest, level, text):
    certificates = make_certificates(tmp_path)
    tls = server_tls(certificates, newest)

    def take(listener):
        """One connection, as far as a handshake; asyncio's own server would not say why it hangs up."""
        line, _ = listener.accept()
        with contextlib.suppress(OSError), line:
            tls.wrap_socket(line, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"mqtts://localhost:{listener.getsockname()[1]}"
        taking = asyncio.create_task(asyncio.to_thread(take, listener))
        async with house(tmp_path / "house", VEHICLES[:1]) as road:
            examination = await examined(road, stream_url=url, tls_ca=str(certificates / "ca.crt"))
        await taking
    (found, *_), _ = said(examination, "stream")
    assert found[0] == level
    assert found[1].startswith(text)


async def test_a_ca_file_that_is_not_there(tmp_path, mute):
    async with house(tmp_path, VEHICLES[:1]) as road:
        examination = await examined(road, stream_url=f"mqtts://127.0.0.1:{mute}", tls_ca="none.pem")
    assert said(examination, "stream")[0][0][1].startswith("the file in `tls_ca` cannot be used")


async def test_a_name_that_nobody_has(tmp_path):
    assert not await is_found("no-such-host.invalid")
    async with house(tmp_path, VEHICLES[:1]) as road:
        examination = await examined(road, api_url="https://no-such-host.invalid")
    assert said(examination, "DNS")[0] == [("bad", "the name no-such-host.invalid is not found")]


async def test_a_server_that_is_not_reached_is_told_once(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        examination = await examined(road, api_url="http://127.0.0.1:9")
    assert [one.subject for one in examination.findings if one.level == "bad"] == ["vehicles"]
    assert said(examination, "container")[0] == [("warn", "not asked: 127.0.0.1 is not reached")]


@pytest.mark.parametrize(
    ("ahead", "level", "text"),
    [
        (10, "ok", "agrees with BMW's"),
        (-90, "warn", "90 s behind BMW's: logins are judged by it"),
        (900, "bad", "900 s ahead of BMW's: logins are judged by it"),
    ],
)
async def test_a_clock_that_is_wrong_is_told_by_bmws(tmp_path, ahead, level, text):
    bmws = format_datetime(START - timedelta(seconds=ahead), usegmt=True)

    async def answer(scope, receive, send):
        await Response(headers={"Date": bmws})(scope, receive, send)

    async with serve(answer) as url:
        found = await clock_ahead(url, ManualClock(START))
        assert found is not None
        assert abs(found.total_seconds() - ahead) < 1
        async with house(tmp_path, VEHICLES[:1], logged_in=False) as road:
            examination = await examined(road, auth_url=url)
    assert said(examination, "clock")[0] == [(level, text)]


async def test_a_server_that_does_not_tell_the_time_is_not_compared(tmp_path):
    async with house(tmp_path, VEHICLES[:1]) as road:
        examination = await examined(road)
    assert said(examination, "clock")[0][0][1].startswith("not compared")


async def test_a_car_that_is_quiet_and_unlisted_costs_nothing(tmp_path):
    async with house(tmp_path, (Vehicle(ELECTRIC),)) as road:
        source = road.source(**QUIET)
        await source.open()
        assert all(one.arrivals == {} for one in source.wanted())
        assert road.asked() == {}
