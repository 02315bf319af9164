"""What is given outside the file: environment variables and secret files, as plain strings.

A variable is ``POLLER_`` and the setting's path in capitals, levels joined by two underscores, a
dash written as an underscore. A secret file bears the same name in any case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poller.settings.problems import PREFIX, Problem, spelt
from poller.settings.places import CONTAINER_SECRETS

#: What container platforms set for a service called "poller", and the way to the file itself.
_NOT_OURS = ("SERVICE_", "PORT")
_CONFIG = "CONFIG"
_FILE = "_FILE"
AXIOM_TOKEN = "AXIOM_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Given:
    """One value. `spelling`: the path as the variable spells it; `origin`: for messages."""

    spelling: tuple[str, ...]
    text: str = field(repr=False)
    origin: str


class Variables:
    """Reads once; `given` is in rising precedence, `problems` says what could not be read."""

    def __init__(self, environ: Mapping[str, str], *, config: Path | None) -> None:
        self._environ = environ
        self._config = config
        self.problems: list[Problem] = []
        credentials = environ.get("CREDENTIALS_DIRECTORY")
        folders = [CONTAINER_SECRETS, *([Path(credentials)] if credentials else [])]
        self.given: Sequence[Given] = [
            *(given for folder in folders for given in self._folder(folder)),
            *self._named_files(),
            *self._plain(),
        ]

    def axiom_token(self) -> Given | None:
        """The token that Axiom's own tools use, from ``AXIOM_TOKEN`` or the file it names."""
        if text := self._environ.get(AXIOM_TOKEN):
            return Given((), text, f"the variable {AXIOM_TOKEN}")
        if path := self._environ.get(AXIOM_TOKEN + _FILE):
            origin = f"the file that {AXIOM_TOKEN}{_FILE} names"
            text = self._read(Path(path), (), origin)
            return Given((), text, origin) if text else None
        return None

    def _plain(self) -> Iterator[Given]:
        ours = self._ours(self._environ, "the variable ")
        for name, rest in ours.items():
            if not rest.endswith(_FILE):
                yield from self._given(rest, self._environ[name], f"the variable {name}")

    def _named_files(self) -> Iterator[Given]:
        for name, rest in self._ours(self._environ).items():
            if rest.endswith(_FILE):
                # The value is not shown: a password put there by mistake stays one.
                origin = f"the file that {name} names"
                place = _split(rest.removesuffix(_FILE))
                text = self._read(Path(self._environ[name]), place, origin)
                if text is not None:
                    yield from self._given(rest.removesuffix(_FILE), text, origin)

    def _folder(self, folder: Path) -> Iterator[Given]:
        try:
            files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
        except OSError:
            return
        for name, rest in self._ours(files, f"the secret file {folder}/").items():
            origin = f"the secret file {files[name]}"
            if self._config is not None and files[name].resolve() == self._config.resolve():
                continue
            text = self._read(files[name], _split(rest), origin)
            if text is not None:
                yield from self._given(rest, text, origin)

    def _given(self, rest: str, text: str, origin: str) -> Iterator[Given]:
        yield Given(_split(rest), text, origin)

    def _ours(self, names: Mapping[str, object], label: str = "") -> dict[str, str]:
        """Name → what follows the prefix, in capitals; with a `label`, twins are a problem."""
        found = {name: spelt(name) for name in names if spelt(name).startswith(PREFIX)}
        rests = {name: full.removeprefix(PREFIX) for name, full in found.items()}
        ours = {n: rest for n, rest in rests.items() if rest != _CONFIG and not rest.startswith(_NOT_OURS)}
        for rest, times in Counter(ours.values()).items():
            if times > 1 and label:
                twins = " and ".join(label + name for name, other in ours.items() if other == rest)
                self.problems.append(Problem(_split(rest), f"is given twice, by {twins}: keep one"))
        return ours

    def _read(self, path: Path, place: tuple[str, ...], origin: str) -> str | None:
        try:
            if path.is_file():
                return path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
            reason = "there is no such regular file"
        except UnicodeDecodeError:
            reason = "it is not UTF-8 text"
        except OSError as error:
            reason = error.strerror or "it cannot be read"
        self.problems.append(Problem(place, f"cannot be read: {reason}", origin))
        return None


def _split(rest: str) -> tuple[str, ...]:
    return tuple(rest.lower().split("__"))
