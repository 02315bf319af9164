"""The simulated CarData as a client meets it: login page, REST, stream, and each thing that goes wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import get_args

import aiomqtt
import httpx
import pytest
from cardata_stage import CARS, Stage, staged, until
from simulated_app import App

from poller.simulator.cardata.cloud import PREFIX
from poller.simulator.cardata.errors import SHAPES
from poller.simulator.cardata.login import GCID
from poller.simulator.fault import Kind
from poller.simulator.fleet import BEV_VIN, BMW_VIN, ICE_VIN, MINI_VIN
from poller.sources.cardata.meaning.catalogue import DEFAULT_CONTAINER

ODOMETER = "vehicle.vehicle.travelledDistance"
LOCK = "vehicle.cabin.door.lock.status"
HOUR = 3600.0


# --- the login and its page -------------------------------------------------------------------


@pytest.mark.parametrize(("button", "status"), [("Allow", 200), ("Refuse", 403)])
async def test_the_page_asks_and_a_button_answers(button, status) -> None:
    async with staged(logged_in=False) as stage:
        code = await stage.ask_for_code()
        assert code["verification_uri"] == str(stage.http.base_url.join(f"{PREFIX}/oneid/link"))
        waiting = await stage.redeem(code)
        assert (waiting.status_code, waiting.json()["error"]) == (403, "authorization_pending")
        page = await stage.http.get(code["verification_uri"], params={"user_code": code["user_code"]})
        assert f"<code>{code['user_code']}</code>" in page.text
        assert 'name="viewport"' in page.text, "made for a phone, too"
        buttons = dict(re.findall(r'<button name="answer" value="(\w+)">(\w+)</button>', page.text))
        assert sorted(buttons.values()) == ["Allow", "Refuse"]
        said = next(value for value, label in buttons.items() if label == button)
        done = await stage.http.post(
            code["verification_uri"], data={"user_code": code["user_code"], "answer": said}
        )
        assert done.status_code == 200
        assert (await stage.redeem(code)).status_code == status


async def test_a_code_can_be_typed_in_and_a_wrong_one_is_told() -> None:
    async with staged(logged_in=False) as stage:
        code = await stage.ask_for_code()
        page = await stage.http.get(code["verification_uri"])
        assert '<input name="user_code"' in page.text
        wrong = await stage.http.get(code["verification_uri"], params={"user_code": "NOPE"})
        assert "No such code" in wrong.text
        typed = f"{code['user_code'][:4]}-{code['user_code'][4:]}".lower()
        right = await stage.http.get(code["verification_uri"], params={"user_code": typed})
        assert "Allow" in right.text


async def test_it_can_allow_by_itself() -> None:
    async with staged(logged_in=False, automatic=True) as stage:
        answer = await stage.redeem(await stage.ask_for_code())
        assert answer.status_code == 200
        assert answer.json()["gcid"] == GCID


# --- one account with several cars ------------------------------------------------------------


async def test_each_car_of_the_account_answers_every_question() -> None:
    async with staged() as stage:
        listed = (await stage.get("vehicles/mappings")).json()
        assert {entry["vin"]: entry["mappingType"] for entry in listed} == dict.fromkeys(
            (MINI_VIN, BMW_VIN, ICE_VIN, BEV_VIN), "PRIMARY"
        )
        for car in CARS:
            vin = car.spec.vin
            data = await stage.telematic(vin, *DEFAULT_CONTAINER)
            assert data[LOCK]["value"] in ("SECURED", "LOCKED", "UNLOCKED")
            assert len(data) > 30
            assert (await stage.get(f"vehicles/{vin}/basicData")).json()["modelName"]
            assert (await stage.get(f"vehicles/{vin}/smartMaintenanceTyreDiagnosis")).status_code == 200
        assert stage.fake.rest.quota.used("account", stage.clock.now()) == 1 + 4 * 4


async def test_history_places_and_image_are_as_the_car_has_them() -> None:
    async with staged(per_day=500) as stage:
        times = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-19T00:00:00Z"}
        found, token = [], {}
        while True:
            page = (await stage.get(f"vehicles/{BMW_VIN}/chargingHistory", **times, **token)).json()
            found += page["data"]
            if "next_token" not in page:
                break
            token = {"nextToken": page["next_token"]}
        assert len(found) > 10
        assert [entry["startTime"] for entry in found] == sorted(entry["startTime"] for entry in found)
        places = (await stage.get(f"vehicles/{BMW_VIN}/locationBasedChargingSettings")).json()
        assert len(places["data"]) == 2
        none = await stage.get(f"vehicles/{ICE_VIN}/locationBasedChargingSettings")
        assert none.json()["exveErrorId"] == "CU-127"
        assert (await stage.get(f"vehicles/{ICE_VIN}/image")).json()["exveErrorId"] == "CU-126"
        assert (await stage.get(f"vehicles/{BEV_VIN}/image")).content.startswith(b"\x89PNG")


async def test_a_descriptor_that_there_is_not_is_refused() -> None:
    async with staged() as stage:
        body = {"name": "t", "purpose": "t", "technicalDescriptors": [ODOMETER, "vehicle.wings"]}
        assert (await stage.post("containers", body)).json()["exveErrorId"] == "CU-402"


async def test_who_has_no_token_or_an_old_one_is_told_so() -> None:
    async with staged() as stage:
        bare = await stage.http.get(f"{PREFIX}/customers/containers", headers={"x-version": "v1"})
        assert bare.json()["exveErrorId"] == "CU-100"
        await stage.clock.advance(HOUR)
        assert (await stage.get("containers")).json()["exveErrorId"] == "CU-102"
        await stage.refresh()
        assert (await stage.get("containers")).status_code == 200


async def test_the_state_tells_of_requests_quota_and_stream() -> None:
    async with staged() as stage, stage.listening():
        await stage.get("vehicles/mappings")
        shown = (await stage.http.get("/_sim/state")).json()["cardata"]
        assert shown["requests"] == {"GET /customers/vehicles/mappings": 1}
        assert shown["quota"] == {"per_day": 50, "day": "utc", "spent": {"account": 1}}
        assert shown["stream"] == {"subscribers": 1, "connects": 1, "messages": 0}
        assert len(shown["vehicles"]) == 4


# --- the stream -------------------------------------------------------------------------------


async def test_the_stream_tells_of_all_cars_and_ends_with_the_token() -> None:
    async with staged() as stage, stage.listening() as heard:
        stage.fake.streaming.burst()
        await stage.clock.advance(300)
        await until(lambda: len({message["vin"] for message in heard}) == 4)
        assert stage.fake.broker.subscribers(GCID) == 1
        await stage.clock.advance(HOUR)
        await until(lambda: not stage.fake.broker.subscribers(GCID))


async def test_nobody_without_a_token_listens_and_nobody_to_another() -> None:
    async with staged() as stage:
        async with stage.client(aiomqtt.ProtocolVersion.V5) as client:
            assert [code.value for code in await client.subscribe("someone-else/+")] == [135]
        stage.tokens["id_token"] = "e30.e30.forged"
        with pytest.raises(aiomqtt.MqttError):
            await stage.client().__aenter__()


async def test_where_nothing_is_ticked_nobody_can_subscribe() -> None:
    async with staged() as stage:
        stage.fake.streaming.ticked = dict.fromkeys((car.spec.vin for car in CARS), ())
        async with stage.client() as client:
            assert [code.value for code in await client.subscribe(f"{GCID}/+")] == [128]


# --- each thing that goes wrong, on order -----------------------------------------------------


async def code_of(stage: Stage, path: str = "vehicles/mappings") -> str:
    """What REST says: "well", or the code of its error."""
    answer = await stage.get(path)
    return "well" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['exveErrorId']}"


async def connects(stage: Stage) -> str:
    """Whether the stream lets somebody in."""
    try:
        async with stage.client() as client:
            await client.subscribe(f"{GCID}/+")
    except aiomqtt.MqttCodeError:
        return "refused"
    except aiomqtt.MqttError:
        return "unreachable"
    return "well"


async def budget_spent(stage: Stage) -> None:
    await stage.order(kind="budget_spent")
    assert await code_of(stage) == "403 CU-429"
    assert stage.fake.rest.quota.made["account"] == []
    stage.clock.jump(18 * HOUR)
    await stage.refresh()
    assert await code_of(stage) == "well", "a new day"


async def cardata_error(stage: Stage) -> None:
    await stage.order(kind="cardata_error", code="CU-104", vin=BEV_VIN, path=f"{PREFIX}/customers/vehicles")
    assert await code_of(stage, f"vehicles/{MINI_VIN}/basicData") == "well"
    assert await code_of(stage, f"vehicles/{BEV_VIN}/basicData") == "403 CU-104"
    assert await code_of(stage, f"vehicles/{BEV_VIN}/basicData") == "well", "one request"
    assert len(stage.fake.rest.quota.made["account"]) == 3, "those that fail count as well"


async def login_error(stage: Stage) -> None:
    await stage.order(kind="login_error", error="invalid_grant", count=1)
    assert (await stage.refresh()).json()["error"] == "invalid_grant"
    assert (await stage.refresh()).status_code == 200
    await stage.order(kind="login_error", error="gateway_fault", count=1)
    code = await stage.ask_for_code()
    assert (await stage.redeem(code)).status_code == 500
    assert (await stage.redeem(code)).json()["error"] == "access_denied", "the code is spoiled"


async def login_lost(stage: Stage) -> None:
    await stage.order(kind="login_lost")
    assert await code_of(stage) == "401 CU-102"
    assert (await stage.refresh()).json()["error"] == "invalid_grant"
    await stage.log_in()
    assert await code_of(stage) == "well"


async def scope_missing(stage: Stage) -> None:
    await stage.order(**{"kind": "scope_missing", "scope": "stream", "for": "1h"})
    await stage.refresh()
    assert "cardata:streaming:read" not in stage.tokens["scope"]
    assert await code_of(stage) == "well"
    assert await connects(stage) == "refused"
    await stage.clock.advance(HOUR)
    await stage.refresh()
    assert await connects(stage) == "refused", "ticked again, it needs a new login"
    await stage.log_in()
    assert await connects(stage) == "well"
    await stage.order(**{"kind": "scope_missing", "for": "1h"})
    await stage.refresh()
    assert await code_of(stage) == "403 CU-103"


async def not_mapped(stage: Stage) -> None:
    await stage.order(**{"kind": "not_mapped", "vin": BEV_VIN, "for": "1h"})
    entries = (await stage.get("vehicles/mappings")).json()
    assert {e["vin"] for e in entries if e["mappingType"] == "SECONDARY"} == {BEV_VIN}
    assert await code_of(stage, f"vehicles/{BEV_VIN}/basicData") == "403 CU-104"
    await stage.clock.advance(HOUR)
    await stage.refresh()
    assert await code_of(stage, f"vehicles/{BEV_VIN}/basicData") == "well"


async def second_program(stage: Stage) -> None:
    broker = stage.fake.broker
    async with stage.listening():
        await stage.order(**{"kind": "second_program", "for": "1h"})
        await until(lambda: not broker.subscribers(GCID))
    async with stage.listening():
        assert broker.subscribers(GCID) == 1, "let in again"
        await stage.clock.advance(2)
        await until(lambda: not broker.subscribers(GCID))
    await stage.clock.advance(HOUR)
    await stage.refresh()
    async with stage.listening():
        await stage.clock.advance(10)
        assert broker.subscribers(GCID) == 1


async def stream_down(stage: Stage) -> None:
    async with stage.listening():
        await stage.order(**{"kind": "stream_down", "for": "1h"})
        await until(lambda: not stage.fake.broker.subscribers(GCID))
    assert await connects(stage) == "unreachable"
    assert await code_of(stage) == "well"
    await stage.clock.advance(HOUR)
    await stage.refresh()
    assert await connects(stage) == "well"


async def stream_refused(stage: Stage) -> None:
    await stage.order(**{"kind": "stream_refused", "for": "1h"})
    assert await connects(stage) == "refused"
    await stage.clock.advance(HOUR)
    await stage.refresh()
    assert await connects(stage) == "well"


async def silent_car(stage: Stage) -> None:
    """It says nothing by either way, although it drives."""
    async with stage.listening() as heard:
        before = await stage.telematic(BMW_VIN, ODOMETER)
        await stage.order(**{"kind": "silent_car", "vin": BMW_VIN, "for": "50m"})
        await stage.clock.advance(0.8 * HOUR)
        await until(lambda: heard)
        assert BMW_VIN not in {message["vin"] for message in heard}
        assert await stage.telematic(BMW_VIN, ODOMETER) == before
        await stage.clock.advance(0.1 * HOUR)
    assert (await stage.telematic(BMW_VIN, ODOMETER))[ODOMETER] != before[ODOMETER]


async def burst(stage: Stage) -> None:
    async with stage.listening() as heard:
        await stage.order(kind="burst", vin=BEV_VIN)
        await stage.clock.advance(60)
        await until(lambda: len(heard) > 40)
        assert {message["vin"] for message in heard} == {BEV_VIN}


async def late_messages(stage: Stage) -> None:
    async with stage.listening() as heard:
        await stage.order(**{"kind": "late_messages", "for": "1h"})
        await stage.order(kind="burst", vin=BEV_VIN)
        await stage.clock.advance(100)
        assert heard == []
        await stage.clock.advance(1200)
        await until(lambda: heard)


async def repeated_messages(stage: Stage) -> None:
    async with stage.listening() as heard:
        await stage.order(**{"kind": "repeated_messages", "for": "1h"})
        await stage.order(kind="burst", vin=BEV_VIN)
        await stage.clock.advance(400)
        sent = stage.fake.streaming.sent
        await until(lambda: len(heard) == sent)
        copies = Counter(json.dumps(message["data"]) for message in heard)
        assert Counter(copies.values()).most_common(1)[0][0] == 3


ON_ORDER: dict[str, Callable[[Stage], Awaitable[None]]] = {
    check.__name__: check
    for check in (
        cardata_error, budget_spent, login_error, login_lost, scope_missing, not_mapped, second_program,
        stream_down, stream_refused, silent_car, late_messages, repeated_messages, burst,
    )
}  # fmt: skip


def test_every_kind_of_cardatas_is_looked_at_here() -> None:
    kinds = get_args(Kind)
    assert tuple(ON_ORDER) == kinds[kinds.index("cardata_error") :]


@pytest.mark.parametrize("kind", ON_ORDER)
async def test_what_is_ordered_comes_true_and_ends(kind) -> None:
    async with staged() as stage:
        await ON_ORDER[kind](stage)


async def test_every_answer_can_be_ordered_by_name() -> None:
    async with staged() as stage:
        for code, (status, _) in SHAPES.items():
            await stage.order(kind="cardata_error", code=code)
            answer = await stage.get("containers")
            assert answer.status_code == status
            assert len(code) > 6 or not code.startswith("CU-") or answer.json()["exveErrorId"] == code


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": "cardata_error", "code": "CU-999"}, "code: unknown: known: CU-100 | "),
        ({"kind": "silent_car"}, 'silent_car needs for = "2h"'),
        ({"kind": "burst", "for": "1h"}, "for: it happens once"),
        ({"kind": "reset", "scope": "api"}, 'scope: belongs to kind = "scope_missing"'),
        ({"kind": "login_error", "error": "invalid_grnt"}, 'error: unknown: is "invalid_grant" meant?'),
    ],
)
async def test_an_order_that_cannot_be_is_refused_with_the_mend(fault, problem) -> None:
    async with staged(logged_in=False) as stage:
        answer = await stage.http.post("/_sim/faults", json=fault)
        assert answer.status_code == 400
        assert problem in str(answer.json()["problems"])


async def test_without_internet_the_stream_is_gone_as_well() -> None:
    async with staged() as stage:
        await stage.order(**{"kind": "unreachable", "for": "1h"})
        with pytest.raises(httpx.ConnectError):
            await stage.get("containers")
        assert await connects(stage) == "unreachable"
        await stage.clock.advance(HOUR)
        await stage.refresh()
        assert await connects(stage) == "well"
        assert await code_of(stage) == "well"


async def test_a_path_keeps_a_fault_to_one_of_the_two_apis() -> None:
    async with staged() as stage:
        await stage.order(kind="maintenance", path=PREFIX)
        await App(stage.http).enter()
        assert (await stage.get("containers")).status_code == 503


async def test_what_ends_midway_through_leaves_no_task_behind() -> None:
    """A second program that is on the stream when the simulator is stopped."""
    async with staged() as stage:
        await stage.order(**{"kind": "second_program", "for": "ever"})
        await stage.order(**{"kind": "stream_down", "for": "ever"})
        assert await connects(stage) == "unreachable"
