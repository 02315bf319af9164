"""``poller vehicle …`` in the terminal: what is asked, what is sent to the poller, what is said."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import pty
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poller.cli.main import run
from poller.errors import ConfigError, LoginRequired
from poller.library.words import VehicleViewDirection
from poller.sources.mybmw.remote.views import VIEWS
from poller.web.control import SOCKET_NAME, ControlServer

VIN = "WMW00000000000001"
CHOSEN = {"vehicle": "mini", "title": "mini (Cooper SE)", "vin": VIN, "source": "bmw", "file": "/etc/c.toml"}
RECORD = {"id": "0" * 32, "kind": "command", "revision": 2, "state": "executed"}
REPORT = {
    **CHOSEN, "record": RECORD, "found": None, "stale": False, "hint": None, "unkept": None, "exit_code": 0,
}  # fmt: skip
PLACE = {"latitude": 48.17718, "longitude": 11.55672, "heading": 90, "address": "Am Hart 1"}


class Poller:
    """A running poller that does nothing; `asked` has what reaches it, `report` is what it says.

    A report that is an exception is raised; None: the daemon is stopped over it.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.report: dict[str, Any] | Exception | None = REPORT
        self.reread: dict[str, Any] = {"error": None}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = ControlServer(
            folder / SOCKET_NAME,
            {
                "vehicle-choose": self._choose,
                "vehicle-order": self._order,
                "vehicle-reread": self._again,
                "vehicle-pictures": self._order,
            },
        )

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(5)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def orders(self) -> list[tuple[str, dict[str, Any]]]:
        return [(args["service"], args["arguments"]) for name, args in self.asked if name == "vehicle-order"]

    async def _choose(self, args: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("vehicle-choose", args))
        return CHOSEN

    async def _again(self, args: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("vehicle-reread", args))
        return self.reread

    async def _order(self, args: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("vehicle-order" if "service" in args else "vehicle-pictures", args))
        if self.report is None:
            raise asyncio.CancelledError
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[Poller, Path]]:
    folder = tmp_path_factory.mktemp("daemon")
    poller = Poller(folder)
    poller.start()
    config = folder / "config.toml"
    config.write_text('data_dir = "."\n[sources.bmw]\ntype = "recorded"\ndirectory = "dumps"\n')
    yield poller, config
    poller.stop()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Line:
    """The command line of an owner; `typed`: what is typed at a question, None: nobody is there."""

    def __init__(self, poller: Poller, config: Path, monkeypatch, capsys) -> None:
        self.poller = poller
        self._config = config
        self._patch = monkeypatch
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str, typed: str | io.TextIOBase | None = None) -> int:
        stdin = Terminal(typed) if isinstance(typed, str) else typed or io.StringIO()
        self._patch.setattr("sys.stdin", stdin)
        code = run(["vehicle", *words, "--config", str(self._config)])
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def line(running, monkeypatch, capsys) -> Line:
    poller, config = running
    poller.asked.clear()
    poller.report, poller.reread = REPORT, {"error": None}
    return Line(poller, config, monkeypatch, capsys)


PLACE_IN_WORDS = "--name N --street S --city C --postalcode P --country D"
WORDS = [
    ("lightflash", "light_flash", {}),
    ("horn --yes", "horn", {}),
    ("lock -y", "lock", {}),
    ("unlock -y", "unlock", {}),
    ("climate start -y", "climate_start", {}),
    ("climate stop", "climate_stop", {}),
    ("charge start", "charge_start", {}),
    ("charge STOP", "charge_stop", {}),
    ("vehiclefinder", "vehicle_finder", {}),
    ("vehiclefinder 48.1 -11.5", "vehicle_finder", {"observer_latitude": 48.1, "observer_longitude": -11.5}),
    ("chargingsettings --target-soc 80", "charging_settings", {"target_soc": 80}),
    ("chargingsettings --ac-limit 16", "charging_settings", {"ac_limit": 16}),
    ("chargingprofile --charging-mode no_action", "charging_profile", {"charging_mode": "NO_ACTION"}),
    ("sendpoi -33.8688 151.2093", "send_poi", {"latitude": -33.8688, "longitude": 151.2093}),
    (
        f"sendpoi 48.1 11.5 {PLACE_IN_WORDS}",
        "send_poi",
        {"latitude": 48.1, "longitude": 11.5}
        | {"name": "N", "street": "S", "city": "C", "postal_code": "P", "country": "D"},
    ),
    ("sendpoi_from_address -n Work -a Am Hart 1", "send_poi", {"address": "Am Hart 1", "name": "Work"}),
    ("sendpoi_from_address -a Am Hart 1 --source bmw", "send_poi", {"address": "Am Hart 1"}),
    ("call -y light-flash", "call", {"path": "light-flash"}),
    (
        "call -y climate-now --param action=START --param a=b=c --body {}",
        "call",
        {"path": "climate-now", "params": {"action": "START", "a": "b=c"}, "body": {}},
    ),
]


def test_words_become_orders(line) -> None:
    for words, service, arguments in WORDS:
        assert line(*words.split()) == 0, line.err
        assert line.poller.orders.pop() == (service, arguments), words
        assert line.poller.asked.pop()[1]["vehicle"] is None
        assert line.err == ""
        assert line.out.startswith("mini (Cooper SE)")
        assert "/etc/c.toml" not in line.out


def test_an_order_says_when_it_was_given(line) -> None:
    """The poller may find it late, and its minute is over then."""
    before = time.time()
    assert line("unlock", "-y") == 0, line.err
    assert before <= line.poller.asked.pop()[1]["ordered_at"] <= time.time()


def test_the_vehicle_stands_first_or_behind_v(line) -> None:
    for words in (
        "lightflash",
        "charge start",
        "sendpoi 1 2",
        "vehiclefinder 1 2",
        "sendpoi_from_address -a B 1",
    ):
        name, *rest = words.split()
        for given in ([name, "wmw1", *rest], [name, *rest, "-v", "wmw1"]):
            assert line(*given) == 0, line.err
            assert line.poller.asked.pop()[1]["vehicle"] == "wmw1", given
    assert line("vehiclefinder", "wmw1", "--vin", "WMW1") == 0
    assert line("lightflash", "one", "-v", "two") == 2
    assert "two vehicles: one and --vin two" in line.err


def test_what_cannot_be_told_to_anybody_is_refused_here(line) -> None:
    for words in (
        ("lightflash", "caf\udce9"),
        ("sendpoi", "1", "2", "--name", "caf\udce9"),
        ("call", "-y", "x", "--body", '{"a": NaN}'),
    ):
        assert line(*words) == 2, words
        assert "an argument is no text or no number" in line.err
    assert line("call", "-y", "x", "--body", '{"a":' * 9999) == 2
    assert line.poller.asked == []


@pytest.mark.parametrize(
    ("word", "value"),
    [("True", True), ("False", False), ("yes", True), ("no", False), ("ON", True), ("off", False)],
)
def test_preconditioning_is_really_true_or_false(line, word, value) -> None:
    assert line("chargingprofile", "--precondition-climate", word) == 0
    assert line.poller.orders == [("charging_profile", {"precondition_climate": value})]


WRONG = [
    ("charge", "start|stop"),
    ("charge fly", "expected start or stop"),
    ("charge a b stop", "expected start or stop"),
    ("chargingsettings", "--target-soc"),
    ("chargingsettings --target-soc much", "'--target-soc': 'much' is no whole number"),
    ("chargingprofile", "--charging-mode"),
    (
        "chargingprofile --charging-mode NOW",
        "expected IMMEDIATE_CHARGING or DELAYED_CHARGING or NO_ACTION, not 'NOW'",
    ),
    ("chargingprofile --precondition-climate perhaps", "expected true or false"),
    ("sendpoi mini", "expected latitude and longitude"),
    ("sendpoi 91 11", "no latitude"),
    ("sendpoi 48 x", "no longitude"),
    ("sendpoi nan 1", "no latitude"),
    ("vehiclefinder a 1 2 3", "expected a VIN"),
    ("sendpoi_from_address -a", "--address"),
    ("sendpoi_from_address", "--address"),
    ("call -y p --param x", "expected K=V"),
    ("call -y p --body [1]", "JSON object"),
    ("horn a b", "too many words"),
    ("lightflash --fly", "--fly"),
    ("image --directory /dev/null", "/dev/null is no folder"),
    ("sendpoi mini 48.1 11.5 --nmae X", "No such option: --nmae (Possible options: --name"),
    ("vehiclefinder mini --jsn", "No such option: --jsn (Possible options: --json"),
    ("vehiclefinder mini 54.1", "the longitude is missing"),
    ("vehiclefinder -54.1", "the longitude is missing"),
    ("sendpoi mini -54.1", "the longitude is missing"),
    ("status -i", "--units imperial"),
    ("status --format json", "expected bimmerconnected, not 'json'"),
]


def test_what_makes_no_sense_is_refused_before_anybody_is_asked(line) -> None:
    for words, said in WRONG:
        assert line(*words.split()) == 2, (words, line.out)
        assert said in line.err, (words, line.err)
        assert line.out == ""
    assert line.poller.asked == []


LOGINS = [
    "status -j owner@example.com Geheim1 rest_of_world",
    "status owner@example.com Geheim1",
    "charge start owner@example.com Geheim1",
    "lightflash 8613800138000 Geheim1 china WMW1",
    "charge owner@example.com Geheim1 north_america WMW1 start",
    "sendpoi owner Geheim1 rest_of_world WMW1 48.1 -11.5",
    "sendpoi_from_address owner Geheim1 rest_of_world WMW1 -a Am Hart 1",
    "fingerprint owner -Geheim1 x rest_of_world",
    "lightflash --captcha-token Geheim1",
    "lightflash --oauth-store=Geheim1",
]


def test_a_login_on_the_command_line_is_refused_and_not_repeated(line) -> None:
    for words in LOGINS:
        assert line(*words.split()) == 2, words
        assert line.err.startswith("poller: user name, password and region stand in the configuration\n")
        assert "docs/from-bimmer-connected.md" in line.err
        assert not [word for word in ("Geheim", "owner", "8613800138000") if word in line.err + line.out]
    assert line("sendpoi_from_address", "mini", "-a", "a@b", "china", "1", "--name", "china") == 0
    assert [name for name, _ in line.poller.asked] == ["vehicle-order"]


class TestConsent:
    @pytest.mark.parametrize(
        ("words", "consequence"),
        [
            ("horn", "The horn will sound."),
            ("lock", "The doors will be locked."),
            ("unlock", "The doors will be unlocked."),
            ("climate start", "The climate control will start"),
            ("call horn-blow", "horn-blow will be called"),
        ],
    )
    def test_what_moves_sounds_or_opens_is_asked_about_first(self, line, words, consequence) -> None:
        assert line(*words.split()) == 2
        assert "nobody is here to ask" in line.err
        assert "--yes" in line.err
        assert line.poller.asked == []
        assert line(*words.split(), typed="n\n") == 1
        for told in ("mini (Cooper SE)", VIN, "account bmw of /etc/c.toml", consequence, "Go on? [y/N]"):
            assert told in line.err
        assert line.err.endswith("Nothing was sent.\n")
        assert line.poller.orders == []
        assert line(*words.split(), typed="y\n") == 0
        (order,) = [args for name, args in line.poller.asked if name == "vehicle-order"]
        assert (order["vehicle"], order["source"]) == (VIN, "bmw")

    def test_an_empty_answer_an_end_of_input_and_ctrl_c_are_no(self, line) -> None:
        class Interrupted(Terminal):
            def readline(self, _size: int = -1, /) -> str:
                raise KeyboardInterrupt

        for typed in ("\n", "", Interrupted()):
            assert line("horn", typed=typed) == 1
            assert line.err.endswith("Nothing was sent.\n")
            assert "Aborted" not in line.err
        assert line.poller.orders == []

    def test_without_a_configuration_that_is_said_first(self, tmp_path, monkeypatch, capsys) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert run(["vehicle", "horn", "--config", str(tmp_path / "none.toml")]) == 2
        said = capsys.readouterr().err
        assert "none.toml" in said
        assert "--yes" not in said

    def test_a_key_that_was_hit_before_the_question_is_no_answer(self, line) -> None:
        """On a real terminal: who has not seen which car is meant has agreed to nothing."""
        keys, terminal = pty.openpty()

        class Late(io.TextIOWrapper):
            def readline(self, size: int = -1, /) -> str:
                os.write(keys, b"n\n")
                return super().readline(size)

        os.write(keys, b"y\n")
        with Late(os.fdopen(terminal, "rb", 0)) as stdin:
            line.poller.asked.clear()
            assert line("unlock", typed=stdin) == 1
        os.close(keys)
        assert line.poller.orders == []

    def test_the_question_does_not_spoil_the_json(self, line) -> None:
        assert line("horn", "-j", typed="y\n") == 0
        assert json.loads(line.out) == RECORD


class TestSaid:
    def test_what_was_found_is_told_whole(self, line) -> None:
        line.poller.report = {**REPORT, "found": PLACE}
        assert line("vehiclefinder") == 0
        assert line.out.splitlines() == [
            "mini (Cooper SE): it was searched for",
            "  at 48.17718, 11.55672, heading 90°",
            "  Am Hart 1",
        ]
        assert line("vehiclefinder", "-j") == 0
        assert json.loads(line.out) == {**RECORD, "found": PLACE}
        line.poller.report = {**REPORT, "found": {**PLACE, "heading": None, "address": None}}
        assert line("vehiclefinder", "--json") == 0
        assert set(json.loads(line.out)["found"]) == {"latitude", "longitude"}

    def test_what_was_ignored_is_good_and_says_why(self, line) -> None:
        record = {**RECORD, "state": "ignored", "reason": "No charger is connected."}
        line.poller.report = {**REPORT, "record": record}
        assert line("charge", "stop") == 0
        assert line.out == "mini (Cooper SE): nothing was done: no charger is connected.\n"
        assert line("charge", "stop", "--source", "bmw") == 0
        assert line.out.startswith("mini (Cooper SE), account bmw: nothing was done")

    def test_what_failed_goes_to_stderr_and_as_json_to_both(self, line) -> None:
        record = {**RECORD, "state": "error", "reason": "The car refused."}
        line.poller.report = {**REPORT, "record": record, "exit_code": 1, "hint": "try the app"}
        assert line("lightflash") == 1
        assert (line.out, line.err) == (
            "",
            "poller: mini (Cooper SE): the car refused.\n  try the app\n",
        )
        assert line("lightflash", "-j") == 1
        assert json.loads(line.out) == record
        assert "the car refused." in line.err

    def test_arguments_are_called_as_their_options(self, line) -> None:
        record = {**RECORD, "state": "refused", "reason": "ac_limit must be more than 0 amperes"}
        line.poller.report = {**REPORT, "record": record, "exit_code": 2, "hint": None}
        assert line("chargingsettings", "--ac-limit", "-5") == 2
        assert line.err == "poller: mini (Cooper SE): --ac-limit must be more than 0 amperes\n"
        record["reason"] = "BMW took it."
        assert line("lightflash") == 2
        assert line.err == "poller: mini (Cooper SE): BMW took it.\n"

    def test_errors_keep_their_exit_codes(self, line) -> None:
        line.poller.report = LoginRequired(hint="run `poller login bmw`")
        assert line("lightflash") == 3
        assert "poller login bmw" in line.err
        line.poller.report = ConfigError(["no vehicle is x"])
        assert line("lightflash", "x") == 2

    def test_a_poller_that_stops_meanwhile_leaves_it_open_what_the_car_did(self, line) -> None:
        line.poller.report = None
        assert line("lightflash") == 1
        assert "nobody knows whether the car was told" in line.err
        assert "look at the car" in line.err

    def test_an_end_that_the_journal_could_not_take_is_told(self, line) -> None:
        line.poller.report = {**REPORT, "unkept": "the disk is full"}
        assert line("lightflash") == 0
        assert "not in the journal: the disk is full" in line.err


class TestAfterwards:
    def test_a_car_that_changed_is_asked_anew_at_the_same_account(self, line) -> None:
        line.poller.report = {**REPORT, "stale": True}
        assert line("lock", "-y") == 0
        name, args = line.poller.asked[-1]
        assert (name, args["source"]) == ("vehicle-reread", "bmw")
        assert line.err == ""

    def test_that_this_failed_takes_nothing_from_the_order(self, line) -> None:
        line.poller.report, line.poller.reread = {**REPORT, "stale": True}, {"error": "the quota is spent"}
        assert line("lock", "-y") == 0
        assert line.err == "poller: the car was not asked anew: the quota is spent\n"


class TestImage:
    def test_a_file_for_each_view(self, line, tmp_path) -> None:
        line.poller.report = {
            **CHOSEN,
            "pictures": {view: base64.b64encode(view.encode()).decode() for view in VIEWS},
        }
        folder = tmp_path / "pictures" / "new"
        assert line("image", "-o", str(folder)) == 0
        *files, end = line.out.splitlines()
        assert files == [str(folder / f"{view}.png") for view in VIEWS]
        assert end == f"Pictures of mini (Cooper SE) written to {folder}: 12 files."
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            f"{view}.png": view.encode() for view in VIEWS
        }
        assert line("image", "--directory", str(folder), "--json") == 0
        assert len(json.loads(line.out)["files"]) == 12

    def test_what_there_is_no_picture_of_is_named(self, line, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        line.poller.report = {**CHOSEN, "pictures": {"front": base64.b64encode(b"x").decode()}}
        assert line("image", "mini") == 0
        assert line.out == "front.png\nPictures of mini (Cooper SE) written to this folder: 1 file.\n"
        assert "no PNG picture of frontside, side" in line.err
        line.poller.report = {**CHOSEN, "pictures": {}}
        assert line("image") == 1

    def test_the_views_are_the_librarys_and_the_makers(self) -> None:
        known = [view for view in VehicleViewDirection if view.name != "UNKNOWN"]
        assert {view.name.lower(): view.value for view in known} == VIEWS
