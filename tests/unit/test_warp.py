"""Who may have a warped clock: only a configuration that speaks to nobody outside this machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from poller.derive.alerts.settings import Alerts
from poller.errors import ConfigError
from poller.runtime.quantities import StrictTable
from poller.settings import Loaded
from poller.sinks.settings import AxiomSettings, JsonFilesSettings, PrometheusSettings
from poller.sources.cardata.settings import CarDataSettings
from poller.sources.mybmw.settings import MyBmwSettings
from poller.sources.settings import CommandSettings, RecordedSettings
from poller.warp import refuse_warping, reloading_warped

HERE = "http://127.0.0.1:8080"
API = "https://api.maker.invalid"


class Unheard(StrictTable):
    """A sink of a kind that nobody thought of here."""

    type: str = "smoke_signals"
    hill: str = "the high one"


def cardata(**more) -> CarDataSettings:
    return CarDataSettings(type="cardata", client_id="00000000-0000-4000-8000-00000000c11e", **more)


def mybmw(**more) -> MyBmwSettings:
    return MyBmwSettings(type="mybmw", username="demo@example.com", **more)


def axiom(**more) -> AxiomSettings:
    return AxiomSettings(type="axiom", dataset="cars", token="xaat-1", **more)


def loaded(sources=(), sinks=(), heartbeat=None) -> Loaded:
    """Settings with these tables, named by letters."""
    named = [dict(zip("abc", tables, strict=False)) for tables in (sources, sinks)]
    alerts = Alerts(heartbeat_url=heartbeat)
    settings = SimpleNamespace(sources=named[0], sinks=named[1], alerts=alerts)
    return Loaded(settings, None, Path(), ())  # type: ignore[arg-type]  # the tables are all that is looked at


@pytest.mark.parametrize(
    "url",
    [HERE, "http://localhost:1", "http://[::1]:8080", "https://127.9.9.9", "http://cloud.localhost:80/x"],
)
def test_what_stays_on_this_machine_may_be_warped(url) -> None:
    sources = [mybmw(base_url=url), RecordedSettings(type="recorded", directory="dumps")]
    sinks = [axiom(url=url), JsonFilesSettings(type="json_files"), PrometheusSettings(type="prometheus")]
    refuse_warping(loaded(sources, sinks))
    refuse_warping(loaded([cardata(auth_url=url, api_url=url, stream_url="")]))
    refuse_warping(loaded([cardata(auth_url=url, api_url=url, stream_url="mqtts://localhost:8883")]))


REFUSED = {
    "the maker's own servers": ([mybmw()], [], "sources.a.base_url is not set"),
    "another machine's simulator": ([mybmw(base_url="http://192.168.1.5:80")], [], "http://192.168.1.5)"),
    "a name that only begins well": (
        [mybmw(base_url="http://127.0.0.1.example.org")],
        [],
        "sources.a.base_url (http://127.0.0.1.example.org) is not on this machine",
    ),
    "every address of this machine": ([mybmw(base_url="http://0.0.0.0:80")], [], "sources.a.base_url"),
    "a command": ([CommandSettings(type="command", command=["true"])], [], "sources.a: what a command asks"),
    "Axiom's own address": ([], [axiom()], "sinks.a.url (https://us-east-1.aws.edge.axiom.co)"),
    "a stream": (
        [cardata(auth_url=HERE, api_url=HERE)],
        [],
        "sources.a.stream_url (mqtts://customer.streaming-cardata.bmwgroup.com)",
    ),
    "a kind without an address": ([], [Unheard()], "sinks.a: what a smoke_signals"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_leave_this_machine_is_refused_by_its_setting(case) -> None:
    sources, sinks, words = REFUSED[case]
    with pytest.raises(ConfigError) as refused:
        refuse_warping(loaded(sources, sinks))
    [problem] = refused.value.problems
    assert problem.startswith("--speed is refused: ")
    assert words in problem
    assert refused.value.exit_code == 2


def test_all_that_is_wrong_is_told_at_once_without_paths() -> None:
    with pytest.raises(ConfigError) as refused:
        refuse_warping(loaded([mybmw(), cardata(api_url=f"{API}/secret-path")], [axiom()]))
    assert len(refused.value.problems) == 5
    assert "secret-path" not in str(refused.value)


def test_a_reload_is_judged_too() -> None:
    good, bad = loaded([mybmw(base_url=HERE)]), loaded([mybmw()])
    assert reloading_warped(lambda: good)() is good
    with pytest.raises(ConfigError):
        reloading_warped(lambda: bad)()


def test_a_rehearsal_does_not_beat_for_the_real_one() -> None:
    """A dead-man service must not hear from it; its address is a secret, and stays one."""
    refuse_warping(loaded(heartbeat=f"{HERE}/ping/secret"))
    with pytest.raises(ConfigError) as refused:
        refuse_warping(loaded(heartbeat="https://dead-man.invalid/ping/secret"))
    assert "heartbeat_url is not on this machine" in str(refused.value)
    assert "secret" not in str(refused.value)
