"""What the tests of remote services share: a poller over cars that do as they are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poller.app import App
from poller.commands import TABLE
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.sources import VIN, FakeSource
from poller.vehicle.records import Record

OTHER = "WBA00000000000002"
BMW = '[sources.bmw]\ntype = "recorded"\ndirectory = "dumps"\n'
WIFE = '[sources.wife]\ntype = "recorded"\ndirectory = "more"\n'
NAMES = f'[vehicles.mini]\nvin = "{VIN}"\n'
FILES = '[sinks.files]\ntype = "json_files"\n'
HEAD = 'data_dir = "data"\nshutdown_grace = "0.5s"\n[web]\nlisten = "127.0.0.1:0"\n'


class OrderHouse:
    """A configuration in a folder, and the app made from it: sources of type recorded are doubles.

    `cars`: source → VINs. `built`: every double that was ever made, by name, the newest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "config.toml"
        self.clock = ManualClock()
        self.cars: dict[str, list[str]] = {"bmw": [VIN], "wife": [OTHER]}
        self.built: dict[str, FakeSource] = {}
        self.app: App

    def load(self, text: str | None = None):
        if text is not None:
            self.path.write_text(HEAD + text)
            self.path.chmod(0o600)
        return load(self.path, environ={"TZ": "UTC"})

    def make(self, text: str = BMW + NAMES + FILES) -> App:
        self.app = App(self.load(text), clock=self.clock, source_builders={"recorded": self._source})
        return self.app

    async def open(self, text: str = BMW + NAMES + FILES) -> App:
        await self.make(text).open()
        return self.app

    async def ask(self, command: str, **args: Any) -> dict[str, Any]:
        return await TABLE[command](self.app, args)

    async def order(self, service: str = "horn", arguments: Mapping[str, Any] | None = None, **args: Any):
        return await self.ask("vehicle-order", service=service, arguments=dict(arguments or {}), **args)

    async def journalled(self) -> list[Record]:
        """The orders that are in the journal now."""
        seen = await self.app.journal.peek("files", limit=100, after=0)
        return [queued.record for queued in seen.records if queued.record.kind == "command"]

    def _source(self, name, _settings, _context) -> FakeSource:
        self.built[name] = FakeSource(self.clock, name=name, vins=self.cars[name])
        return self.built[name]
