"""Commands that show how things stand: nobody is asked, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from poller.app import App
from poller.commands.base import unknown
from poller.disclosure import report
from poller.sinks.base import LIBRARY
from poller.sources.findings import Examined
from poller.vehicle.privacy import Rendering, short_vin
from poller.vehicle.records import Json, rfc3339


async def status(app: App, _args: Mapping[str, Any]) -> Json:
    """Everything that the page knows."""
    return {"running": app.running, **await app.status_json()}


async def vehicles(app: App, args: Mapping[str, Any]) -> Json:
    """The newest of every vehicle at every source: `record`, and `library`, its keys as in bimmerconnected.

    For the owner: positions and VINs are whole. Arguments: `units`, in place of the configured ones;
    `format`, without which `library` is left out.
    """
    display = app.loaded.settings.display
    offer = app.road.offer(Rendering(app.loaded.settings.names), units=args.get("units"))
    records = [record for record in await app.journal.newest() if record.source in app.road.sources]
    shown: list[Json] = []
    # One by one: an answer may be long, and they are many.
    for record in records:
        entry: Json = {"vehicle": offer.rendering.slug(record.vin), "record": offer.rendering.render(record)}
        if args.get("format") == LIBRARY:
            answers = await app.journal.answers_of([record])
            entry["library"] = offer.keys_of(record, answers.get(record.id))
        shown.append(entry)
    return {
        "now": rfc3339(app.clock.now()),
        "units": offer.units,
        "timezone": str(display.zone),
        "vehicles": shown,
    }


async def descriptors(app: App, args: Mapping[str, Any]) -> Json:
    """What to tick in the maker's portal, by feature, and what has arrived; of one source, or of all."""
    known = {name: source for name, source in app.road.sources.items() if isinstance(source, Examined)}
    wanted = args.get("source")
    if wanted is not None and wanted not in known:
        raise unknown("source with descriptors", str(wanted), known)
    shown = [
        {"name": name, "descriptors": [asdict(one) for one in source.wanted()]}
        for name, source in known.items()
        if wanted in (None, name)
    ]
    return {"sources": shown, "vehicles": _titles(app)}


async def privacy(app: App, _args: Mapping[str, Any]) -> Json:
    """What leaves the house, by the configuration that is in force."""
    return report(app.loaded)


def _titles(app: App) -> dict[str, str]:
    """Short VIN → what the owner calls the vehicle: his name for it, else its model."""
    titles: dict[str, str] = {}
    for view in app.fleet.views():
        model = view.readings.get("model")
        title = str(model[0].value) if model is not None else app.rendering.slug(view.vin)
        titles[short_vin(view.vin)] = app.rendering.names.get(view.vin, title)
    return titles
