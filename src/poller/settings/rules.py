"""What no single setting can say: names, twins, and settings that contradict each other.

The rules look at the raw tree, so that they speak up together with the errors of single settings;
what is of the wrong type is passed over here and reported there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from poller.runtime.quantities import is_loopback, seconds
from poller.settings.problems import NAME, Problem, dotted, spelt
from poller.settings.tree import Settings
from poller.sinks.settings import INSTALL_APPRISE
from poller.sources.cardata.settings import plain_client_id
from poller.sources.mybmw.settings import INSTALL_CHINA

#: Seconds between polls at least. BMW's own hosts count calls by account and close accounts.
REAL_HOSTS_INTERVAL = 60
COMMAND_INTERVAL = 10
#: Where these kinds ask the maker; what is not given is the maker's own host.
_MAKERS_HOSTS = {"mybmw": ("base_url",), "cardata": ("auth_url", "api_url", "stream_url")}
_NAMED = ("sources", "vehicles", "sinks")
Tree = Mapping[str, Any]


def problems_in(tree: Tree, looked: Sequence[str]) -> Iterator[Problem]:
    """All rules over the merged tree; `looked`: the files that might have held a source."""
    for group in _NAMED:
        yield from _names(group, _tables(tree, group))
    yield from _no_source(tree, looked)
    yield from _account_twins(tree)
    yield from _vehicle_twins(tree)
    yield from _sink_twins(tree)
    yield from _hasty(tree)


def _tables(tree: Tree, group: str) -> dict[str, dict[str, Any]]:
    tables = tree.get(group)
    if not isinstance(tables, dict):
        return {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _names(group: str, tables: Tree) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in tables:
        if not NAME.fullmatch(name):
            mend = "lower-case letters and digits, single - or _ between them"
            yield Problem((group, name), f"cannot be a name: write {mend}")
        if spelt(name) in first:
            other = dotted((group, first[spelt(name)]))
            yield Problem((group, name), f"is spelt like {other} in a variable: rename one of them")
        first.setdefault(spelt(name), name)


def _no_source(tree: Tree, looked: Sequence[str]) -> Iterator[Problem]:
    if tree.get("sources", {}) == {}:
        where = f" (looked for {', '.join(looked)})" if looked else ""
        yield Problem(
            ("sources",),
            f"no source is configured{where}: `poller init` writes a configuration, "
            "`poller demo` shows everything without one",
        )


def _account_twins(tree: Tree) -> Iterator[Problem]:
    """One CarData client twice: two would spend the same calls, and take each other's stream and login."""
    first: dict[str, str] = {}
    for name, source in _tables(tree, "sources").items():
        client = source.get("client_id")
        if source.get("type") != "cardata" or not isinstance(client, str):
            continue
        client = plain_client_id(client)
        if client in first:
            other = dotted(("sources", first[client]))
            text = f"is the client of [{other}]: an account has one table, and `vins` chooses its cars"
            yield Problem(("sources", name, "client_id"), text)
        first.setdefault(client, name)


def _vehicle_twins(tree: Tree) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, vehicle in _tables(tree, "vehicles").items():
        vin = vehicle.get("vin")
        if not isinstance(vin, str):
            continue
        if vin.upper() in first:
            other = dotted(("vehicles", first[vin.upper()]))
            yield Problem(("vehicles", name, "vin"), f"is the same car as [{other}]: keep one of them")
        first.setdefault(vin.upper(), name)


def _sink_twins(tree: Tree) -> Iterator[Problem]:
    sinks = _tables(tree, "sinks")
    live = [name for name, sink in sinks.items() if sink.get("type") == "prometheus"]
    for name in live[1:]:
        text = f"there is one prometheus sink at most, and [{dotted(('sinks', live[0]))}] is one: keep one"
        yield Problem(("sinks", name, "type"), text)
    folders: dict[str, str] = {}
    for name, sink in sinks.items():
        folder = sink.get("directory", "snapshots")
        if sink.get("type") != "json_files" or not isinstance(folder, str):
            continue
        folder = posixpath.normpath(folder)
        if folder in folders:
            text = f"is the folder of [{dotted(('sinks', folders[folder]))}] too: give each its own"
            yield Problem(("sinks", name, "directory"), text)
        folders.setdefault(folder, name)


def _hasty(tree: Tree) -> Iterator[Problem]:
    poll = tree.get("poll", {})
    common = poll.get("interval") if isinstance(poll, dict) else None
    for name, source in _tables(tree, "sources").items():
        own = source.get("interval", "")
        least, why = _least_interval(source)
        try:
            given = seconds(common if own == "" else own)
        except ValueError:  # also where neither is given: the default is slow enough
            continue
        if 0 < given < least:
            place = ("poll", "interval") if own == "" else ("sources", name, "interval")
            whom = f" for [{dotted(('sources', name))}]" if own == "" else ""
            yield Problem(place, f"{least}s at least{whom}: {why}")


def _least_interval(source: Tree) -> tuple[int, str]:
    kind = source.get("type")
    hosts = _MAKERS_HOSTS.get(kind, ()) if isinstance(kind, str) else ()
    if not all(_asks_this_machine(source, setting) for setting in hosts):
        return REAL_HOSTS_INTERVAL, "the maker's own hosts are not asked more often"
    if kind == "command":
        return COMMAND_INTERVAL, "a program is not started more often"
    return 0, ""


def _asks_this_machine(source: Tree, setting: str) -> bool:
    url = source.get(setting)
    if setting == "stream_url" and url == "":
        return True  # turned off: asks nobody
    try:
        return is_loopback(urlsplit(url).hostname or "") if isinstance(url, str) else False
    except ValueError:
        return False


def warnings_about(settings: Settings) -> Iterator[str]:
    """What is allowed, but most likely not meant."""
    exposed = [host for host, _ in settings.web.listen if not is_loopback(host)]
    if exposed and settings.web.password is None:
        yield (
            f"web.listen: {', '.join(exposed)} can be reached by others: "
            "without web.password page and API are not served, only /metrics, /healthz and /readyz"
        )
    for name, sink in settings.sinks.items():
        if sink.type == "prometheus" and not settings.web.listen:
            yield f"{dotted(('sinks', name))}: nothing serves /metrics while web.listen is empty"
        if sink.type == "notify" and find_spec("apprise") is None:
            yield (
                f"{dotted(('sinks', name))}: Apprise is not installed, no message will be sent: "
                f"{INSTALL_APPRISE}"
            )
    for name, source in settings.sources.items():
        if source.type == "mybmw" and source.region == "china" and not _has_china():
            yield (
                f"{dotted(('sources', name))}: what a login in China needs is not installed: {INSTALL_CHINA}"
            )


def _has_china() -> bool:
    return all(find_spec(library) for library in ("cryptography", "PIL"))
