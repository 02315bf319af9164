"""The page's own files: read once from the package, addressed by their content."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """`version` changes when the content does."""

    media_type: str
    content: bytes
    version: str


@functools.cache
def files() -> Mapping[str, StaticFile]:
    """Name → file, of everything in ``static/``."""
    found = {}
    for file in (resources.files("poller.web") / "static").iterdir():
        kind = _TYPES.get("." + file.name.rpartition(".")[2])
        if kind is not None:
            content = file.read_bytes()
            version = hashlib.blake2b(content, digest_size=6).hexdigest()
            found[file.name] = StaticFile(kind, content, version)
    return found


def links(base_path: str) -> Mapping[str, str]:
    """Name → address as the page writes it; ``base`` goes before all others."""
    found = {name: f"{base_path}/static/{name}?v={file.version}" for name, file in files().items()}
    return {"base": base_path, **found}
