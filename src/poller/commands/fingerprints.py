"""What the poller knows of the cars, without what tells who and where: for bug reports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from poller.app import App
from poller.vehicle.records import Json


async def fingerprint(app: App, _args: Mapping[str, Any]) -> Json:
    """The newest answer of each vehicle at each source, and what is in quarantine, made anonymous.

    `files`: path → content; `replaced`: what was replaced, in words. Made here, so that who may operate
    the poller need not be one who may know all.
    """
    from poller.fingerprint.from_journal import bundle_hiding, newest
    from poller.fingerprint.readme import summary

    answers = await newest(app.journal)
    settings = app.loaded.settings
    vins = {stored.answer.vin for stored in answers} | set(settings.names)
    bundle = bundle_hiding(vins, settings.sources.values())
    # A second of work, perhaps.
    files = await asyncio.to_thread(lambda: dict(bundle.written(lambda: answers)))
    return {"files": files, "replaced": summary(bundle.anonymiser.replaced)}
