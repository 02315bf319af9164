"""``poller privacy``: what leaves the house, from the configuration, without asking anybody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import poller
from poller.app import App
from poller.cli.main import run
from poller.cli.privacy import lines
from poller.commands import TABLE
from poller.disclosure import MADE, Disclosure, disclosures, report
from poller.settings import load
from poller.settings.tree import SINKS, SOURCES
from poller.vehicle.records import KINDS

SECRETS = ("hunter2", "xaat-secret", "owner@example.com", "WMW00000000000001", "12345678-90ab")
CONFIG = """
data_dir = "data"
[sources.bmw]
type = "mybmw"
username = "owner@example.com"
password = "hunter2"
[sources.home]
type = "cardata"
client_id = "12345678-90ab-4cde-8f01-234567890abc"
[sources.loop]
type = "command"
command = ["bimmerconnected", "status", "-j", "owner@example.com", "hunter2", "rest_of_world"]
[sources.dumps]
type = "recorded"
directory = "dumps"
[vehicles.mini]
vin = "WMW00000000000001"
[sinks.files]
type = "json_files"
[sinks.axiom]
type = "axiom"
dataset = "cars"
token = "xaat-secret"
vin = "hash"
[sinks.prometheus]
type = "prometheus"
"""


@pytest.fixture
def told(tmp_path: Path):
    """A configuration's text → what it tells, by part."""

    def tell(text: str = CONFIG) -> dict[str, Disclosure]:
        path = tmp_path / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        settings = load(path, environ={"TZ": "UTC"}).settings
        return {one.part.partition(" (")[0]: one for one in disclosures(settings)}

    return tell


def test_whom_each_source_asks_and_by_which_login(told) -> None:
    parts = told()
    assert parts["source bmw"].to == ("cocoapi.bmwgroup.com", "the login server that it names")
    assert parts["source bmw"].credentials == ("username", "password")
    assert parts["source home"].to == (
        "customer.bmwgroup.com",
        "api-cardata.bmwgroup.com",
        "customer.streaming-cardata.bmwgroup.com:9000",
    )
    assert parts["source home"].credentials == ("client_id",)
    assert parts["source loop"].to == ("whomever bimmerconnected asks",)
    assert parts["source dumps"].to == ()


def test_what_each_sink_gets(told) -> None:
    parts = told()
    assert parts["sink files"].to == ()
    axiom = parts["sink axiom"]
    assert axiom.to == ("us-east-1.aws.edge.axiom.co",)
    assert axiom.shows == {"location": "rounded", "vin": "hash"}
    assert axiom.credentials == ("token",)
    assert "name of a car: mini; any other: car-… by the hash" in axiom.sends
    assert parts["sink prometheus"].to == ("this machine, at port 9877",)
    assert "position: never" in parts["sink prometheus"].sends


@pytest.mark.parametrize(
    ("web", "words", "anybody"),
    [
        pytest.param('listen = "[::]:1"', "/metrics and health only", True, id="open_without_password"),
        pytest.param('listen = "[::]:1"\npassword = "hunter2"', "by password", True, id="open_with_password"),
        pytest.param('listen = ""', "not served", False, id="not_served"),
        pytest.param('listen = "[::1]:1"', "page and API", False, id="loopback"),
    ],
)
def test_who_may_see_the_page(told, web, words, anybody) -> None:
    page = told(f"{CONFIG}[web]\n{web}\n")["page"]
    assert words in page.sends[0]
    assert ("whoever reaches it, at port 1" in page.to) is anybody


def test_a_way_that_is_not_encrypted_is_named(told) -> None:
    text = CONFIG.replace('dataset = "cars"', 'dataset = "cars"\nurl = "http://nas.example.org:8080/hunter2"')
    assert told(text)["sink axiom"].to == ("nas.example.org:8080, in clear",)


def test_a_server_on_this_machine_is_said_to_be_here(told) -> None:
    text = CONFIG.replace('type = "mybmw"', 'type = "mybmw"\nbase_url = "http://127.0.0.1:9999"')
    assert told(text)["source bmw"].to == ("127.0.0.1:9999 (this machine)",)


def test_who_looks_addresses_up_is_named_and_can_be_nobody(told) -> None:
    assert told()["geocoder of source bmw"].to == ("nominatim.openstreetmap.org",)
    assert "geocoder of source bmw" not in told(
        CONFIG.replace('type = "mybmw"', 'type = "mybmw"\ngeocoder = ""')
    )


def test_it_fits_a_terminal_and_shows_no_secret(tmp_path, told) -> None:
    told()
    text = list(lines(report(load(tmp_path / "config.toml", environ={"TZ": "UTC"}))))
    path = str(tmp_path)
    assert [line for line in text if len(line.replace(path, "/etc/poller")) > 80] == []
    assert [secret for secret in SECRETS if secret in "\n".join(text)] == []


def test_as_json_for_programs(tmp_path, told, capsys) -> None:
    told()
    assert run(["privacy", "--json", "-c", str(tmp_path / "config.toml")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["leaves"][0]["part"] == "source bmw (mybmw)"
    assert set(said["leaves"][0]) == {"part", "to", "sends", "credentials", "shows"}
    assert said["stays"]
    assert [secret for secret in SECRETS if secret in json.dumps(said)] == []


def test_the_makers_own_answers_are_named_where_they_go_along(told) -> None:
    text = CONFIG.replace('type = "json_files"', 'type = "json_files"\nformat = "bimmerconnected"')
    assert any("BMW's own answers" in words for words in told(text)["sink files"].sends)
    assert not any("BMW's own answers" in words for words in told()["sink files"].sends)


def test_a_message_holds_neither_position_nor_vin_whatever_is_set(tmp_path, told, capsys) -> None:
    text = f"""{CONFIG}
[sinks.people]
type = "notify"
urls = ["ntfys://ntfy.example.org/topic"]
location = "exact"
vin = "full"
"""
    people = told(text)["sink people"]
    words = "alerts in words: no position, no VIN"
    assert people.sends == (words, "name of a car: mini; any other: its brand and model")
    assert people.shows is None
    assert run(["check", "-c", str(tmp_path / "config.toml")]) == 0
    assert f"sink     people: notify, {words}" in capsys.readouterr().out.splitlines()


async def test_a_running_poller_tells_it_where_the_configuration_cannot_be_read(tmp_path, told) -> None:
    """Secrets that only the service is given make the file incomplete for everybody else."""
    told()
    loaded = load(tmp_path / "config.toml", environ={"TZ": "UTC"})
    assert await TABLE["privacy"](App(loaded), {}) == report(loaded)


def test_every_kind_is_told_of() -> None:
    """A new kind has to be thought of here: what it sends is a promise to the owner."""
    assert set(SOURCES) == {"mybmw", "cardata", "command", "recorded"}
    assert set(SINKS) == {"json_files", "axiom", "prometheus", "mqtt", "notify", "webhook"}


def test_addresses_that_hold_secrets_are_not_shown(told) -> None:
    """Of a webhook its host, of Apprise's addresses only the kind: there even the host may be one."""
    parts = told(f"""{CONFIG}
[sinks.hook]
type = "webhook"
url = "https://hooks.example.org/services/hunter2?key=hunter2"
secret = "hunter2"
[sinks.people]
type = "notify"
urls = ["tgram://123456:hunter2/42", "mailto://me:hunter2@mail.example.org"]
[sinks.home]
type = "mqtt"
url = "mqtts://broker.example.org"
username = "hunter2"
password = "hunter2"
location = "rounded"
""")
    assert parts["sink hook"].to == ("hooks.example.org",)
    assert parts["sink hook"].credentials == ("url", "secret")
    assert parts["sink people"].to == ("tgram (Apprise)", "mailto (Apprise)")
    assert parts["sink people"].credentials == ("urls",)
    assert parts["sink home"].to == ("broker.example.org",)
    assert "position: rounded to about 1 km" in parts["sink home"].sends
    assert "hunter2" not in repr(parts)


def test_what_a_sink_gets_are_the_kinds_of_records_that_somebody_makes(told) -> None:
    """Charging sessions and trips have a name, and no maker yet: none leaves the house, none is listed."""
    sources = "\n".join(path.read_text() for path in Path(poller.__file__).parent.rglob("*.py"))
    assert set(re.findall(r'\bkind="(\w+)"', sources)) & set(KINDS) == set(MADE)
    sends = " ".join(told()["sink files"].sends)
    assert "snapshots with all readings, alerts, what you ordered a car to do" in sends
    assert "trip" not in sends


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ('["alert"]', "alerts"),
        ('["trip"]', "nothing: of its kinds no record is made yet"),
        ('["trip", "snapshot"]', "snapshots with all readings"),
    ],
)
def test_what_a_sink_of_certain_kinds_gets(told, kinds, words) -> None:
    text = CONFIG.replace('type = "json_files"', f'type = "json_files"\nkinds = {kinds}')
    assert told(text)["sink files"].sends[1] == words
