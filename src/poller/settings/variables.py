"""What is given outside the file: environment variables and secret files, as plain strings.

A variable is ``POLLER_`` and the setting's path in capitals, levels joined by two underscores, a
dash written as an underscore. A secret file bears the same name in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from poller.settings.places import unreadable
from poller.settings.problems import PREFIX, Place, Problem, spelt

#: What container platforms set for a service called "poller".
_PLATFORM = ("SERVICE_", "PORT")
_FILE = "_FILE"
AXIOM_TOKEN = "AXIOM_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Given:
    """One value. `spelling`: its path as the name spells it; `origin`: for messages."""

    spelling: Place
    text: str = field(repr=False)
    origin: str


class Variables:
    """Everything outside, read once.

    `folders` hold secret files, later ones win; `config`, should it lie there, is not one. `given` is
    in rising precedence; `axiom_token` is that of Axiom's own tools; `problems` says what could not be
    read or is given twice.
    """

    def __init__(
        self, environ: Mapping[str, str], folders: Iterable[Path] = (), *, config: Path | None = None
    ) -> None:
        self.given: list[Given] = []
        self.axiom_token: Given | None = None
        self.problems: list[Problem] = []
        self._environ = environ
        for folder in folders:
            self._take_folder(folder, config)
        self._take_environment()
        if token := environ.get(AXIOM_TOKEN):
            self.axiom_token = Given((), token, f"the variable {AXIOM_TOKEN}")

    def _take_folder(self, folder: Path, config: Path | None) -> None:
        try:
            files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
        except PermissionError:
            self.problems.append(Problem((), unreadable(folder, self._environ), "the folder of secret files"))
            return
        except OSError:
            return
        for name, rest in self._ours(files, "the secret file"):
            if config is None or not files[name].samefile(config):
                self._take_file(_split(rest), files[name], f"the secret file {files[name]}")

    def _take_environment(self) -> None:
        environ = self._environ
        ours = self._ours(environ, "the variable")
        for name, rest in ours:
            if rest.endswith(_FILE):
                # Its value is never shown: a password put there by mistake stays a secret.
                origin = f"the file that {name} names"
                self._take_file(_split(rest.removesuffix(_FILE)), Path(environ[name]), origin, f'"${name}"')
        for name, rest in ours:
            if not rest.endswith(_FILE):
                self.given.append(Given(_split(rest), environ[name], f"the variable {name}"))

    def _take_file(self, spelling: Place, path: Path, origin: str, shown: str | None = None) -> None:
        text = self._read(spelling, path, origin, shown)
        if text is not None:
            self.given.append(Given(spelling, text, origin))

    def _ours(self, names: Iterable[str], what: str) -> list[tuple[str, str]]:
        """(name, what follows the prefix in capitals) of those that are settings, sorted."""
        first: dict[str, str] = {}
        for name in sorted(names):
            rest = spelt(name).removeprefix(PREFIX)
            if rest == spelt(name) or rest == "CONFIG" or rest.startswith(_PLATFORM):
                continue
            if rest in first:
                text = f"is given twice, by {first[rest]} and {name}: keep one"
                self.problems.append(Problem(_split(rest), text, f"{what} {name}"))
            first.setdefault(rest, name)
        return [(name, rest) for rest, name in first.items()]

    def _read(self, place: Place, path: Path, origin: str, shown: str | None) -> str | None:
        """Its text; `shown` stands for its path in messages, if that must not be shown."""
        reason = "cannot be read: there is no such regular file"
        try:
            if path.is_file():
                return path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            reason = "cannot be read: it is not UTF-8 text"
        except PermissionError:
            reason = unreadable(path, self._environ, shown)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or 'the system refuses it'}"
        self.problems.append(Problem(place, reason, origin))
        return None


def _split(rest: str) -> Place:
    return tuple(rest.lower().split("__"))
