"""What leaves the house, source by source and sink by sink, told from the configuration alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from poller.runtime.quantities import is_loopback
from poller.settings import Loaded, Settings
from poller.sinks import LIVE_KINDS
from poller.sources.mybmw.regions import SERVERS


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What one part of the configuration tells whom.

    `to`: hosts or listeners, never a path or a query; empty: nobody. `sends`: in words. `shows`: how
    `location` and `vin` are set, where they matter. `credentials`: settings by name, never their values.
    """

    part: str
    to: tuple[str, ...]
    sends: tuple[str, ...]
    credentials: tuple[str, ...] = ()
    shows: Mapping[str, str] | None = None


_POSITION: Final = {
    "exact": "position: exact",
    "rounded": "position: rounded to about 1 km",
    "none": "position: never",
}
#: Of a message to people: whatever `location` and `vin` say, its words hold neither.
IN_WORDS: Final = "alerts in words: no position, no VIN"
_VIN: Final = {
    "full": "VIN: in full",
    "short": "VIN: its last 7 characters",
    "hash": "VIN: a hash in its place, by a key that stays here",
}
#: Settings that say who we are, beside the secret ones.
_IDENTITIES: Final = ("username", "client_id", "stream_username", "org_id")
#: The kinds of records that are made, in words; others have a name and are none yet.
MADE: Final = {
    "snapshot": "snapshots with all readings",
    "alert": "alerts",
    "command": "what you ordered a car to do",
}


def report(loaded: Loaded) -> dict[str, Any]:
    """All of it as JSON has it: `file`, `leaves` (see `Disclosure`), `stays`."""
    return {
        "file": str(loaded.path) if loaded.path else None,
        "leaves": [asdict(one) for one in disclosures(loaded.settings)],
        "stays": stays(loaded.settings),
    }


def disclosures(settings: Settings) -> list[Disclosure]:
    """Every part that tells somebody something, in the order of the configuration."""
    return [
        *(_source(name, table) for name, table in settings.sources.items()),
        *(one for name, table in settings.sources.items() for one in _geocoder(name, table)),
        *(_sink(name, table, settings) for name, table in settings.sinks.items()),
        *_others(settings),
        _web(settings),
    ]


def stays(settings: Settings) -> list[str]:
    """What is kept on this machine and told to nobody."""
    return [
        f"{settings.data_dir}/journal.db: every answer as it came, full VINs and positions",
        f"{settings.data_dir}/accounts: logins; installation.key: the key of the VIN hashes",
        "the log: no VIN, no position, no login, no address of yours",
    ]


def _source(name: str, table: Any) -> Disclosure:
    told = _SOURCES.get(table.type, _unknown_source)
    to, sends = told(table)
    return Disclosure(f"source {name} ({table.type})", to, sends, _credentials(table))


def _geocoder(name: str, table: Any) -> Iterator[Disclosure]:
    """Who looks up addresses, where a source has somebody for that."""
    if address := getattr(table, "geocoder", None):
        told = ("a street address, when you send one to a car; nothing else",)
        yield Disclosure(f"geocoder of source {name}", (_shown(address),), told)


def _mybmw(table: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    to = _hosts(table)
    if not to:
        to = (_shown(SERVERS[table.region].host),)
        if table.region != "china":
            to += ("the login server that it names",)
    return to, (
        "your login, and which cars are asked for (full VIN)",
        "a device string, made up at the first login",
        "the password: only when you run `poller login`",
        "what you order a car to do, and where you say you are: only when you run `poller vehicle`",
    )


def _cardata(table: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    stream = "that somebody listens to the stream" if table.stream_url else "no stream"
    return _hosts(table), (f"your login, and which cars are asked for (full VIN); {stream}",)


def _command(table: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (f"whomever {table.command[0]} asks",), ("what that program sends: it is not ours",)


def _recorded(_table: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (), ("nothing: it reads files",)


def _unknown_source(table: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _hosts(table), ("a login, and which cars are asked for",)


_SOURCES: Final[Mapping[str, Callable[[Any], tuple[tuple[str, ...], tuple[str, ...]]]]] = {
    "mybmw": _mybmw,
    "cardata": _cardata,
    "command": _command,
    "recorded": _recorded,
}


def _sink(name: str, table: Any, settings: Settings) -> Disclosure:
    if table.type == "notify":
        return _messages(name, table, settings)
    match table.type:
        case "json_files":
            to: tuple[str, ...] = ()
            where = settings.data_dir / table.directory
            what = [f"files on this machine: {where} (mode {table.mode:04o})"]
        case "prometheus":
            to = _listeners(settings)
            what = ["the newest readings, at /metrics; no password is asked there"]
        case "mqtt":
            to = _hosts(table)
            what = ["the newest readings, kept by the broker"]
        case _:
            to = _hosts(table)
            what = ["the body that your template makes"] if getattr(table, "template", "") else []
    if table.type not in LIVE_KINDS:
        what.append(_records(table))
    sends = (*what, _POSITION[table.location], _VIN[table.vin], _called(table, settings))
    shows = {"location": table.location, "vin": table.vin}
    return Disclosure(f"sink {name} ({table.type})", to, sends, _credentials(table), shows)


def _messages(name: str, table: Any, settings: Settings) -> Disclosure:
    to = tuple(f"{_scheme(url)} (Apprise)" for url in table.urls)
    sends = (IN_WORDS, _named(settings, "its brand and model"))
    return Disclosure(f"sink {name} (notify)", to, sends, _credentials(table))


def _records(table: Any) -> str:
    kinds = [words for kind, words in MADE.items() if not table.kinds or kind in table.kinds]
    if not kinds:
        return "nothing: of its kinds no record is made yet"
    changed = (
        "; unchanged snapshots left out" if table.only == "changes" and MADE["snapshot"] in kinds else ""
    )
    answers = getattr(table, "format", "") and getattr(table, "data", False)
    own = "; BMW's own answers too, as position and VIN allow" if answers else ""
    return f"{', '.join(kinds)}{changed}{own}"


def _called(table: Any, settings: Settings) -> str:
    """How a car is named there, whatever `vin` says."""
    return _named(settings, "car-… by the hash" if table.vin == "hash" else "the last 7 of its VIN")


def _named(settings: Settings, unnamed: str) -> str:
    named = ", ".join(settings.vehicles)
    return f"name of a car: {named}; any other: {unnamed}" if named else f"name of a car: {unnamed}"


def _web(settings: Settings) -> Disclosure:
    to = _listeners(settings)
    if not to:
        return Disclosure("page (web)", (), ("nothing: it is not served",))
    open_ = "page and API: readings without position, alerts, the last orders, the last 7 of VINs"
    if settings.web.password is not None:
        return Disclosure("page (web)", to, (f"{open_}; by password",), ("password",))
    if all(is_loopback(host) for host, _ in settings.web.listen):
        return Disclosure("page (web)", to, (open_,))
    return Disclosure("page (web)", to, ("/metrics and health only: no password is set for the rest",))


def _others(settings: Settings) -> Iterator[Disclosure]:
    """Tables beside sources and sinks that name an address."""
    for name in type(settings).model_fields:
        table = getattr(settings, name)
        if isinstance(table, BaseModel) and name != "web" and (to := _hosts(table)):
            yield Disclosure(name, to, ("that the poller lives; nothing about a car",))


def _listeners(settings: Settings) -> tuple[str, ...]:
    def who(host: str) -> str:
        return "this machine" if is_loopback(host) else "whoever reaches it"

    return tuple(f"{who(host)}, at port {port}" for host, port in settings.web.listen)


def _hosts(table: BaseModel) -> tuple[str, ...]:
    """Hosts of the addresses that are set; no more of them: a path or a query may hold a secret."""
    found: list[str] = []
    for name in type(table).model_fields:
        value = getattr(table, name)
        if (name == "url" or name.endswith("_url")) and value:
            found.append(_shown(_plain(value)))
    return tuple(dict.fromkeys(found))


def _shown(url: str) -> str:
    address = urlsplit(url)
    host = address.hostname or "?"
    clear = ", in clear" if address.scheme in ("http", "mqtt") and not is_loopback(host) else ""
    port = f":{address.port}" if address.port else ""
    return f"{host}{port}{' (this machine)' if is_loopback(host) else ''}{clear}"


def _scheme(url: Any) -> str:
    # Of an address of Apprise even the host may be a secret.
    return _plain(url).partition("://")[0]


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _credentials(table: BaseModel) -> tuple[str, ...]:
    """The settings by which we are known, by name."""
    return tuple(
        name
        for name in type(table).model_fields
        if (value := getattr(table, name)) and (name in _IDENTITIES or _is_secret(value))
    )


def _is_secret(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(item, SecretStr) for item in value)
    return isinstance(value, SecretStr)
