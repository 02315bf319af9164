"""A folder of captures that somebody has already, made anonymous file by file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from poller.errors import MalformedAnswer
from poller.fingerprint import readme
from poller.fingerprint.anonymous import Anonymiser
from poller.sources.captured import content
from poller.sources.fingerprint import read_name

_TEXTS: Final = (".json", ".txt", ".html", ".xml", ".ndjson")
#: A folder that is named by a time tells nobody anything.
_TIME: Final = re.compile(r"\d[\dTZ._:-]*(-quarantined)?(-\d+)?")
_VIN: Final = re.compile(r"[A-Z0-9]{17}")


class Folder:
    """Its files under names that tell nothing; folders are numbered. What cannot be read is left out."""

    def __init__(self, folder: Path, anonymiser: Anonymiser) -> None:
        self.anonymiser = anonymiser
        self._folder = folder
        self._numbers: dict[tuple[str, ...], int] = {}
        self._taken: set[str] = set()

    def written(self) -> Iterator[tuple[str, str]]:
        """Path below the new folder → content, the README last; nothing at all if nothing can be read."""
        paths = sorted(path for path in self._folder.rglob("*") if path.is_file() and not _hidden(path))
        for path in paths:
            known = read_name(path.name)
            if known is not None and known.vin is not None:
                self.anonymiser.pseudonym(known.vin)
            self._text(path)
        self.anonymiser.replaced.clear()
        left_out = 0
        for path in paths:
            text = self._text(path)
            if text is None:
                left_out += 1
                continue
            yield self._name(path), text
        if self._taken:
            others = [f"{left_out} files that are no answers, or cannot be read"] if left_out else []
            yield readme.NAME, readme.readme(self.anonymiser.replaced, {}, others)

    def _text(self, path: Path) -> str | None:
        if Path(path.name.removesuffix(".gz")).suffix not in _TEXTS:
            return None
        try:
            return self.anonymiser.body(content(path))
        except (MalformedAnswer, OSError):
            return None

    def _name(self, path: Path) -> str:
        folder = "".join(f"{part}/" for part in self._places(path.relative_to(self._folder).parts[:-1]))
        plain = path.name.removesuffix(".gz")
        known, ending = read_name(path.name), Path(plain).suffix
        if known is not None:
            name = (
                plain if known.vin is None else plain.replace(known.vin, self.anonymiser.pseudonym(known.vin))
            )
            return self._unused(folder, name.removesuffix(ending), ending)
        return self._unused(folder, "answer-1", ending)

    def _places(self, parts: tuple[str, ...]) -> Iterator[str]:
        for depth, part in enumerate(parts, 1):
            if _TIME.fullmatch(part) and not _VIN.fullmatch(part):
                yield part
            else:
                yield f"{self._numbers.setdefault(parts[:depth], len(self._numbers) + 1):02}"

    def _unused(self, folder: str, stem: str, ending: str) -> str:
        number, path = 1, f"{folder}{stem}{ending}"
        while path in self._taken:
            number += 1
            path = f"{folder}{re.sub(r'-1$', '', stem)}-{number}{ending}"
        self._taken.add(path)
        return path


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == readme.NAME
