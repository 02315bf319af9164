"""The mqtt sink at a real mosquitto: what is retained, what comes and goes, what a broker's faults cost."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time

import pytest
from channel_stage import alert_number
from mosquitto_stage import mosquitto
from mqtt_stage import FULL, SOON, USERS, attended, configs, ears, left_at, make, view
from stream_stage import make_certificates

from poller.errors import SinkMisconfigured, SinkUnavailable
from poller.runtime.clock import SystemClock
from poller.sinks.base import SinkContext, Tried
from poller.sinks.mqtt import MqttSink
from poller.sinks.settings import MqttSettings
from poller.testing.records import VIN
from poller.vehicle.privacy import Rendering

OTHER = "WBA00000000000002"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def broker(certificates):
    async with mosquitto(certificates, **USERS) as running:
        yield running


async def until(good) -> None:
    async with asyncio.timeout(SOON):
        while not good():  # noqa: ASYNC110  # the sink's own state gives no event
            await asyncio.sleep(0.01)


async def test_the_state_is_retained_a_topic_a_signal(broker, tmp_path) -> None:
    async with attended(make(tmp_path, broker), view()) as sink:
        await until(lambda: sink.standing().up)
        found = await left_at(broker)
    assert found["poller/status"] == "online"
    state = {
        topic.removeprefix("poller/mini/"): text for topic, text in found.items() if "poller/mini" in topic
    }
    where = json.loads(state.pop("location"))
    assert where == {"latitude": 48.123456, "longitude": 11.654321, "heading": 90, "gps_accuracy": 10}
    assert state == {
        "odometer_km": "45123.4", "soc_percent": "80", "range_electric_km": "180", "plugged": "true",
        "charging": "false", "charging_state": "target_reached", "locked": "true",
        "door_open/front_left": "false", "window_open/rear_right": "true",
        "tire_pressure_kpa/front_left": "230", "service_due_at/brake_fluid": "2027-03-01T00:00:00.000Z",
        "check_control/tire_pressure": "medium", "model": "MINI Cooper SE", "brand": "MINI", "up": "true",
        "report_at": "2026-11-21T13:58:00.000Z", "last_success_at": "2026-11-21T14:00:00.000Z",
    }  # fmt: skip
    assert len(configs(found)) > 15


async def test_only_what_changed_is_published_and_what_is_gone_is_taken_away(broker, tmp_path) -> None:
    async with attended(make(tmp_path, broker), view()) as sink, ears(broker) as hearing:
        await until(lambda: sink.standing().up)
        await left_at(broker)
        await hearing.until(lambda: hearing.last("the/end"))
        hearing.heard.clear()
        less = {key: value for key, value in FULL.items() if key != "charging_state"} | {"soc_percent": 81}
        await sink.publish(view(less))
        await hearing.until(lambda: hearing.last("poller/mini/charging_state") == "")
        assert [(topic, text) for topic, text, _ in hearing.heard] == [
            ("poller/mini/soc_percent", "81"), ("poller/mini/charging_state", "")
        ]  # fmt: skip
        found = await left_at(broker)
    assert "poller/mini/charging_state" not in found
    # The entity stays: the signal is only pausing.
    assert "homeassistant/sensor/poller_0000001/charging_state/config" in found


async def test_a_vehicle_that_vanishes_leaves_nothing_behind(broker, tmp_path) -> None:
    async with attended(make(tmp_path, broker)) as sink, ears(broker) as hearing:
        await sink.publish(view())
        await sink.publish(view(vin=OTHER))
        await hearing.until(lambda: hearing.last("poller/0000002/up"))
        await sink.retire(VIN)
        await hearing.until(lambda: hearing.last("poller/mini/up") == "")
        await until(lambda: "mini" not in (tmp_path / "sinks" / "broker.topics").read_text())
        found = await left_at(broker)
    assert [topic for topic in found if "mini" in topic or "0000001" in topic] == []
    assert [topic for topic in found if "0000002" in topic] != []


@pytest.mark.parametrize(
    "change",
    [
        {"topic": "cars/bmw"},
        {"discovery": ""},
        {"rendering": Rendering({VIN: "cooper"}, vin="short", key=b"key")},
        {"rendering": Rendering({VIN: "mini"}, vin="hash", key=b"key")},
        {"rendering": Rendering({VIN: "mini"}, location="none", vin="short", key=b"key")},
    ],
    ids=["topic", "discovery", "name", "vin", "location"],
)
async def test_what_is_called_otherwise_after_a_restart_is_not_there_twice(broker, tmp_path, change) -> None:
    async with attended(make(tmp_path, broker), view()) as sink:
        await until(lambda: sink.standing().up)
    before = await left_at(broker)
    async with attended(make(tmp_path, broker, **change), view()) as sink:
        await until(lambda: sink.standing().up)
        fresh = await left_at(broker)
    assert before.keys() - fresh.keys()
    assert not {
        topic
        for topic, text in fresh.items()
        if "homeassistant" in topic and not change.get("discovery", "x")
    }
    # What a poller without a past would leave at an empty broker is all there is.
    other = tmp_path / "other"
    other.mkdir()
    broker.stop()
    await broker.start()
    async with attended(make(other, broker, **change), view()) as sink:
        await until(lambda: sink.standing().up)
        assert await left_at(broker) == fresh


async def test_the_will_says_that_the_poller_is_gone_and_so_does_a_good_bye(broker, tmp_path) -> None:
    async with ears(broker) as hearing:
        sink = make(tmp_path, broker)
        async with attended(sink):
            await hearing.until(lambda: hearing.last("poller/status") == "online")
            # Cut off, as by a power cut: no good-bye.
            sink._link._client._client.socket().shutdown(socket.SHUT_RDWR)
            await hearing.until(lambda: hearing.of("poller/status")[:2] == ["online", "offline"])
            await hearing.until(lambda: hearing.of("poller/status")[2:] == ["online"])
        await hearing.until(lambda: hearing.of("poller/status")[3:] == ["offline"])


async def test_a_broker_that_is_down_holds_up_nothing_and_gets_the_newest_when_it_is_back(
    broker, tmp_path
) -> None:
    broker.stop()
    async with attended(make(tmp_path, broker)) as sink:
        started = time.perf_counter()
        for number in range(200):
            await sink.publish(view({"odometer_km": 1000 + number}, number=number))
        assert time.perf_counter() - started < 2
        await until(lambda: sink.standing().up is False)
        failure = sink.standing().failure
        assert (failure.reason, failure.message) == ("network", "the broker takes no connections")
        await broker.start()
        await until(lambda: sink.standing().up)
        found = await left_at(broker)
        assert found["poller/mini/odometer_km"] == "1199"
        # And once more: one that restarts has forgotten everything.
        broker.stop()
        await until(lambda: sink.standing().up is False)
        await broker.start()
        await until(lambda: sink.standing().up)
        assert await left_at(broker) == found


async def test_a_silent_broker_does_not_hold_up_a_stop(tmp_path) -> None:
    met, hung_up = asyncio.Event(), asyncio.Event()

    async def silent(reader, writer) -> None:
        met.set()
        while await reader.read(100):
            pass
        writer.close()
        hung_up.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    values = {"type": "mqtt", "url": f"mqtt://127.0.0.1:{port}"}
    context = SinkContext(SystemClock(), tmp_path, Rendering({}))
    sink = MqttSink("broker", MqttSettings.model_validate(values), context, answer=SOON)
    stop = asyncio.Event()
    task = asyncio.create_task(sink.attend(stop))
    await asyncio.wait_for(met.wait(), SOON)
    stop.set()
    await asyncio.wait_for(task, 3)
    await asyncio.wait_for(hung_up.wait(), 3)
    await sink.close()
    server.close()


async def test_home_assistant_that_comes_back_is_told_everything_again(broker, tmp_path) -> None:
    topic = "homeassistant/sensor/poller_0000001/soc_percent/config"
    async with attended(make(tmp_path, broker), view()) as sink, ears(broker) as hearing:
        await until(lambda: sink.standing().up)
        await hearing.until(lambda: len(hearing.of(topic)) == 1)
        states = len(hearing.of("poller/mini/soc_percent"))
        await broker.publish("homeassistant/status", b"online", user="ears")
        await hearing.until(lambda: len(hearing.of(topic)) == 2)
        assert len(set(hearing.of(topic))) == 1
        assert len(hearing.of("poller/mini/soc_percent")) == states


async def test_alerts_are_told_once_and_not_retained(broker, tmp_path) -> None:
    sink = make(tmp_path, broker)
    rendering = Rendering({VIN: "mini"}, vin="short", key=b"key")
    mine, own = alert_number(1), alert_number(2, vin="", source="", rule="sink_stuck")
    records = [*map(rendering.render, (mine, own)), {**rendering.render(alert_number(3)), "replayed": True}]
    async with ears(broker) as hearing:
        assert (await sink.deliver(records)).done == 3
        await hearing.until(lambda: hearing.last("poller/alert"))
        assert [json.loads(text)["id"] for text in hearing.of("poller/mini/alert")] == [mine.id]
        assert json.loads(hearing.last("poller/alert"))["rule"] == "sink_stuck"
        assert await sink.rehearse(records[0]) == [Tried("127.0.0.1")]
        assert [topic for topic in await left_at(broker) if "alert" in topic] == []
        await sink.close()
        await hearing.until(lambda: hearing.last("poller/status") == "offline")


async def test_alerts_that_find_no_broker_are_kept(broker, tmp_path) -> None:
    broker.stop()
    sink = make(tmp_path, broker)
    with pytest.raises(SinkUnavailable, match="takes no connections"):
        await sink.deliver([Rendering({}).render(alert_number(1))])
    assert await sink.rehearse(Rendering({}).render(alert_number(1))) == [
        Tried("127.0.0.1", "the broker takes no connections", "does it run, and is its port right?")
    ]


async def test_a_wrong_password_holds_the_sink(broker, tmp_path) -> None:
    async with attended(make(tmp_path, broker, password="wrong")) as sink:
        await until(lambda: sink.standing().held)
        assert sink.standing().failure.hint == "check `username` and `password`"
        with pytest.raises(SinkMisconfigured):
            await sink.deliver([Rendering({}).render(alert_number(1))])


async def test_a_broker_that_throws_our_messages_away_is_noticed(broker, tmp_path) -> None:
    broker.stop()
    (broker.folder / "acl").write_text("user ears\ntopic readwrite #\nuser poller\ntopic write nothing/#\n")
    config = broker.folder / "mosquitto.conf"
    config.write_text(f"{config.read_text()}acl_file {broker.folder}/acl\n")
    await broker.start()
    async with attended(make(tmp_path, broker)) as sink:
        await until(lambda: sink.standing().held)
        assert "does not let us publish" in sink.standing().held


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_over_tls_and_with_both_versions(broker, tmp_path, protocol) -> None:
    ca = str(broker.folder / "ca.crt")
    async with attended(make(tmp_path, broker, url=broker.tls, tls_ca=ca, protocol=protocol), view()) as sink:
        await until(lambda: sink.standing().up)
        assert "poller/mini/soc_percent" in await left_at(broker)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket to the collector
async def test_a_certificate_that_nobody_signed_is_not_trusted(broker, tmp_path) -> None:
    other = str(broker.folder / "other.crt")
    with pytest.raises(SinkMisconfigured, match="not trusted") as caught:
        await make(tmp_path, broker, url=broker.tls, tls_ca=other).deliver([{}])
    assert "tls_ca" in caught.value.hint
    with pytest.raises(SinkMisconfigured, match="tls_ca cannot be used: No such file"):
        await make(tmp_path, broker, url=broker.tls, tls_ca="missing.crt").deliver([{}])


async def test_a_client_certificate_is_shown_where_the_broker_wants_one(broker, tmp_path) -> None:
    broker.stop()
    folder = broker.folder
    _sign(folder, "poller")
    config = folder / "mosquitto.conf"
    config.write_text(config.read_text() + "require_certificate true\n")  # of the listener last named: TLS
    await broker.start()
    given = {"url": broker.tls, "tls_ca": str(folder / "ca.crt")}
    with pytest.raises(SinkUnavailable):
        await make(tmp_path, broker, answer=1, **given).deliver([{}])
    shown = {"tls_certificate": str(folder / "poller.crt"), "tls_key": str(folder / "poller.key")}
    sink = make(tmp_path, broker, **given, **shown)
    assert (await sink.deliver([Rendering({}).render(alert_number(1))])).done == 1
    await sink.close()
    with pytest.raises(SinkMisconfigured, match="tls_certificate"):
        await make(tmp_path, broker, **given, tls_certificate=str(folder / "poller.crt")).deliver([{}])


def _sign(folder, name: str) -> None:
    commands = [
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
         "-keyout", f"{name}.key", "-out", f"{name}.csr"],
        ["x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "2", "-out", f"{name}.crt"],
    ]  # fmt: skip
    for command in commands:
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
