"""Commands on sinks: deliver again, let one go, try the channels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from poller.app import App
from poller.commands.base import unknown
from poller.errors import JournalError, PollerError
from poller.sinks.base import Rehearsed
from poller.vehicle.alert import Alert, alert_record
from poller.vehicle.records import Json, Record, parse_time


async def resend(app: App, args: Mapping[str, Any]) -> Json:
    """Move a sink's cursor back to ``from``, an RFC 3339 time; what it gets again is marked ``replayed``."""
    sink = str(args["sink"])
    if sink not in app.road.deliveries:
        raise unknown("queued sink", sink, app.road.deliveries)
    count = await app.journal.rewind(sink, parse_time(str(args["from"])))
    # Notes that these wait only from now on, also for a daemon that is started later.
    with suppress(JournalError):
        await app.road.deliveries[sink].refresh()
    app.road.wake()
    return {"sink": sink, "records": count}


async def forget_sink(app: App, args: Mapping[str, Any]) -> Json:
    """Drop the cursor of a sink that left the configuration."""
    sink = str(args["sink"])
    if sink in app.road.deliveries:
        raise PollerError(
            f"sink {sink} is configured", hint=f"take [sinks.{sink}] out of the configuration first"
        )
    if not await app.journal.forget(sink):
        orphans = (await app.journal.stats()).orphans
        raise unknown("sink that left the configuration", sink, orphans)
    return {"sink": sink, "forgotten": True}


async def alerts_test(app: App, args: Mapping[str, Any]) -> Json:
    """Send a sample through each channel, past queue and filters: what came of each, and `exit_code`.

    Arguments: `sinks`, the names in the file now; `unread` are those that we do not know.
    """
    road = app.road
    unread = [name for name in args.get("sinks", ()) if name not in app.loaded.settings.sinks]
    channels = {name: sink for name, sink in road.sinks.items() if isinstance(sink, Rehearsed)}
    if not channels:
        hint = "configure one: docs/sinks/notify.md, docs/sinks/webhook.md or docs/sinks/mqtt.md"
        if unread:
            hint = "the running poller has not read the file since it changed: reload it"
        raise PollerError("no sink leads to a person", hint=hint)
    sample = _sample(app.clock.now())
    tried: list[Json] = []
    for name, sink in channels.items():
        rendered = road.rendering(app.loaded.settings.sinks[name]).render(sample)
        tried += [{"sink": name, **asdict(one)} for one in await sink.rehearse(rendered)]
    return {"channels": tried, "unread": unread, "exit_code": int(any(one["error"] for one in tried))}


def _sample(now: datetime) -> Record:
    """An alert about nothing; each one is another, for channels remember what they had."""
    return alert_record(
        Alert(
            rule="test",
            state="raised",
            severity="info",
            subject="",
            raised_at=now,
            told_at=now,
            title="Test from the poller",
            text="Alerts reach you here. Nothing is wrong: somebody ran `poller alerts test`.",
            event=True,
        )
    )
