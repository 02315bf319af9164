"""Which vehicle, at which account, an owner means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poller.app import App
from poller.commands.base import unknown
from poller.errors import ConfigError, LoginRequired, SourceError, SourceUnavailable
from poller.road import Road
from poller.sources.remote import Remote
from poller.vehicle.naming import goes_by
from poller.vehicle.privacy import Rendering
from poller.vehicle.records import Json


@dataclass(frozen=True, slots=True)
class Chosen:
    """One vehicle at one account. `slug` is our name for it, `title` what a person calls it."""

    source: str
    vin: str = field(repr=False)
    slug: str
    title: str

    def shown(self, app: App) -> Json:
        """For the owner; `file` is the configuration that names the account."""
        return {
            "vehicle": self.slug,
            "title": self.title,
            "vin": self.vin,
            "source": self.source,
            "file": str(app.loaded.path) if app.loaded.path else None,
        }


async def choose(app: App, road: Road, args: Mapping[str, Any]) -> Chosen:
    """The one that is meant by ``vehicle`` and ``source``; asks the maker which there are.

    A vehicle goes by its VIN in any case, the last seven of it, our name or the maker's; it may be
    left out if there is only one. Raises ConfigError if it is none, or not one; SourceError if the maker
    could not be asked.
    """
    accounts = _accounts(road, args.get("source"))
    known, failed = await _vehicles(app, road, accounts)
    wanted = str(args.get("vehicle") or "").strip()
    if failed is not None and not any(_is_ours(one, wanted) for one in known):
        raise failed
    return _only(_meant(app, known, wanted), known, wanted)


def _accounts(road: Road, wanted: str | None) -> list[str]:
    accounts = {name: source for name, source in road.sources.items() if isinstance(source, Remote)}
    if not accounts:
        raise ConfigError(
            ["no source can tell a car anything"],
            hint='it takes one of type "mybmw"; CarData and captured answers only tell of cars',
        )
    if wanted is not None and wanted not in accounts:
        raise unknown("source that can tell a car anything", wanted, accounts)
    return [name for name in accounts if wanted in (None, name)]


async def _vehicles(app: App, road: Road, accounts: Sequence[str]) -> tuple[list[Chosen], SourceError | None]:
    """All vehicles of these accounts, and why one of them did not tell."""
    known: list[Chosen] = []
    failed: SourceError | None = None
    for name in accounts:
        try:
            _respect_wait(road, name)
            async with road.using(name) as source:
                targets = await source.targets()
        except SourceError as error:
            failed = error
            continue
        known += [_named(app, name, target.vin) for target in targets]
    return known, failed


def _respect_wait(road: Road, name: str) -> None:
    """Raise SourceError if a server or a missing login forbids to ask now."""
    told = road.rounds[name].told_to_wait()
    if told is None:
        return
    if told["reason"] == LoginRequired.reason:
        raise LoginRequired(told["error"], hint=told["hint"])
    raise SourceUnavailable(told["error"], hint=told["hint"], reason=told["reason"])


def _named(app: App, source: str, vin: str) -> Chosen:
    slug = Rendering(app.loaded.settings.names).slug(vin)
    model = _model(app, vin)
    return Chosen(source, vin, slug, f"{slug} ({model})" if model else slug)


def _model(app: App, vin: str) -> str:
    view = app.fleet.view(vin)
    model = view.readings.get("model") if view else None
    return str(model[0].value) if model else ""


def _meant(app: App, known: Sequence[Chosen], wanted: str) -> list[Chosen]:
    """Those that go by this name; all if there is none."""
    return [
        one
        for one in known
        if not wanted or goes_by(wanted, vin=one.vin, slug=one.slug, model=_model(app, one.vin))
    ]


def _is_ours(one: Chosen, wanted: str) -> bool:
    """Whether that means this car and no other; there may be more of its model where nobody answered."""
    return goes_by(wanted, vin=one.vin, slug=one.slug, model="")


def _only(meant: Sequence[Chosen], known: Sequence[Chosen], wanted: str) -> Chosen:
    if len(meant) == 1:
        return meant[0]
    if not meant:
        there = ", ".join(sorted({one.title for one in known}))
        raise ConfigError([f"no vehicle is {wanted}"], hint=f"known: {there}")
    if len({one.vin.upper() for one in meant}) == 1:
        accounts = [one.source for one in meant]
        raise ConfigError(
            [f"several accounts know {meant[0].slug}: {', '.join(accounts)}"],
            hint=f"say which: --source {accounts[0]}",
        )
    words = f"several vehicles are {wanted}" if wanted else "there are several vehicles"
    raise ConfigError([words], hint=f"say which: {_told_apart(meant, wanted)}")


def _told_apart(meant: Sequence[Chosen], wanted: str) -> str:
    names, vins = {one.slug for one in meant}, {one.vin for one in meant}
    clear = len(names) == len(vins) and wanted.casefold() not in names
    return ", ".join(sorted(names if clear else vins))
