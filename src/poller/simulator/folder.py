"""A garage of captured answers: a folder in the fingerprint layout, at any depth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from poller.simulator.garage import mapping
from poller.sources.fingerprint import FingerprintName, read_name


class FolderGarage:
    """Serves every answer byte for byte, at whatever time is asked for.

    Vehicle lists are merged over all folders; a vehicle with a state but no list entry is listed
    all the same (a capture keeps only its last ten answers). Of several answers of one vehicle
    the last in path order counts. Raises OSError or ValueError for a file that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._mappings: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._answers: dict[tuple[str, str], bytes] = {}
        for path in sorted(folder.rglob("*.json")):
            name = read_name(path.name)
            if name is not None and name.what is not None:
                self._take_in(name, name.what, path.read_bytes())
        if not any(self._mappings.values()):
            raise ValueError(f"{folder} holds no captured answers (bmw-eadrax-….json, at any depth)")

    def mappings(self, brand: str) -> Sequence[Mapping[str, Any]]:
        """The merged list of one brand."""
        return tuple(self._mappings.get(brand, {}).values())

    def profile(self, vin: str) -> bytes | None:
        """The captured profile."""
        return self._answers.get(("profile", vin))

    def state(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # a capture knows one time
        """The captured state, the same at all times."""
        return self._answers.get(("state", vin))

    def charging(self, vin: str, at: datetime) -> bytes | None:  # noqa: ARG002  # a capture knows one time
        """The captured settings; ``{}`` for a vehicle that was captured without."""
        if ("state", vin) not in self._answers:
            return None
        return self._answers.get(("charging_settings", vin), b"{}")

    def _take_in(self, name: FingerprintName, what: str, body: bytes) -> None:
        listed = self._mappings.setdefault(name.brand, {})
        if what == "list":
            for entry in json.loads(body).get("mappingInfos") or ():
                listed[entry["vin"]] = entry
        elif name.vin is not None:
            self._answers[what, name.vin] = body
            if what == "state":
                listed.setdefault(name.vin, mapping(name.vin))
