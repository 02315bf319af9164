"""From file, variables and command line to settings, or to every problem at once."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from poller.errors import ConfigError
from poller.settings.layers import Layers
from poller.settings.places import (
    SYSTEM_CONFIG,
    SYSTEM_DATA,
    Found,
    default_data_dir,
    expand_home,
    find_file,
    secret_folders,
    system_zone,
    unreadable,
)
from poller.settings.problems import Place, Problem, dotted
from poller.settings.rules import problems_in, warnings_about
from poller.settings.tree import Settings
from poller.settings.variables import Given, Variables
from poller.settings.wording import problems_of
from poller.sources.settings import CommandSettings

NO_FILE = "(no configuration file)"
COMMAND_LINE = "the command line"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where they come from.

    `path`: the file used, None if there is none; `base`: its folder, or the working directory, from
    which the relative paths of sources count; `warnings`: one line each.
    """

    settings: Settings
    path: Path | None
    base: Path
    warnings: tuple[str, ...]


def load(
    config: Path | None = None,
    *,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Loaded:
    """Read everything once. Raises ConfigError with all problems, each with file and path.

    `overrides`: dotted path → text, from the command line. `environ` and `cwd`: the process's own
    unless given.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd.absolute()
    found = find_file(config, environ, cwd)
    file = str(found.path) if found.path else NO_FILE
    layers = Layers(_read(found.path, environ) if found.path else {})
    variables = Variables(environ, secret_folders(environ), config=found.path)
    warnings = _lay(layers, variables, overrides or {})
    base = found.path.parent if found.path else cwd
    warnings += _lay_defaults(layers, environ, found, cwd)
    try:
        settings, wrong = layers.settings(), []
    except ValidationError as error:
        settings, wrong = None, problems_of(error, layers)
    wrong += [*variables.problems, *layers.problems, *_broken_rules(layers, found)]
    if settings is None or wrong:
        raise ConfigError(_lines(wrong, file))
    warnings += [*warnings_about(settings), *_careless(settings, layers, found)]
    return Loaded(settings, found.path, base, tuple(f"{file}: {warning}" for warning in warnings))


def _lines(problems: list[Problem], file: str) -> list[str]:
    """One line each, without repetition, in the order in which tables stand in the docs."""
    order = list(Settings.model_fields)
    ranked = sorted(problems, key=lambda p: order.index(p.place[0]) if p.place[0] in order else -1)
    return list(dict.fromkeys(problem.render(file) for problem in ranked))


def _read(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        reason = "is not UTF-8 text: save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        reason = f'is not valid TOML: {error}; text stands in "quotes", a table begins with [its.name]'
    except (ValueError, RecursionError):
        reason = "is not valid TOML: a number is too long or lists are nested too deep"
    except PermissionError:
        reason = unreadable(path, environ)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or 'the system refuses it'}"
    raise ConfigError([f"{path}: {reason}"])


def _lay(layers: Layers, variables: Variables, overrides: Mapping[str, str]) -> list[str]:
    """Lay all that is given outside over the document, in rising precedence; gives warnings."""
    for given in variables.given:
        layers.lay(given.spelling, given.text, given.origin)
    for path, text in overrides.items():
        layers.lay(path.split("."), text, COMMAND_LINE)
    return list(_lay_axiom_token(layers, variables.axiom_token))


def _lay_axiom_token(layers: Layers, given: Given | None) -> Iterator[str]:
    sinks = layers.tree.get("sinks")
    if given is None or not isinstance(sinks, dict):
        return
    for name, sink in sinks.items():
        place = ("sinks", name, "token")
        if not isinstance(sink, dict) or sink.get("type") != "axiom":
            continue
        if (layers.origin(place) or "").startswith(("the variable", COMMAND_LINE)):
            continue  # said for this very sink
        if sink.get("token") not in (None, given.text):
            yield f"{dotted(place)}: {given.origin} is used instead of the token set here"
        layers.lay(place, given.text, given.origin)


def data_dir_despite(
    config: Path | None,
    overrides: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[Path | None, Path | None]:
    """The file and the data directory of a configuration that `load` refuses, each None if nothing tells it.

    Enough to find a daemon that runs on what stood there before.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd.absolute()
    found = find_file(config, environ, cwd)
    layers = Layers(_legible(found.path, environ) if found.path else {})
    _lay(layers, Variables(environ, secret_folders(environ), config=found.path), overrides)
    _lay_defaults(layers, environ, found, cwd)
    folder = layers.tree.get("data_dir")
    return found.path, Path(folder) if isinstance(folder, str) else None


def _legible(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The document; of one that is not valid TOML, `data_dir` if that line is."""
    try:
        return _read(path, environ)
    except ConfigError:
        try:
            text = path.read_text("utf-8-sig", errors="replace")
            before_tables = re.split(r"(?m)^\s*\[", text, maxsplit=1)[0]
            line = re.search(r"(?m)^\s*data_dir\s*=.*$", before_tables)
            return tomllib.loads(line[0]) if line else {}
        except (OSError, ValueError):
            return {}


def _lay_defaults(layers: Layers, environ: Mapping[str, str], found: Found, cwd: Path) -> list[str]:
    """Defaults that depend on the machine, and the full path of data_dir; gives warnings."""
    tree = layers.tree
    warnings: list[str] = []
    base = found.path.parent if found.path else cwd
    if tree.get("data_dir", "") == "":
        # The service's own, whoever asks: another's would look as if everything were lost.
        system = os.geteuid() == 0 or found.path == SYSTEM_CONFIG
        chosen = default_data_dir(environ, system=system)
        if chosen is not None:
            tree["data_dir"] = str(cwd / chosen)
        own = found.path is not None and not found.path.is_relative_to(SYSTEM_CONFIG.parent)
        if own and chosen == SYSTEM_DATA and not environ.get("STATE_DIRECTORY"):
            # A try by root with a file of his own would be in the service's journal.
            warnings.append(f"root's data are in {chosen}, as the service's: for others set data_dir")
    elif isinstance(tree["data_dir"], str):
        beside = cwd if layers.origin(("data_dir",)) == COMMAND_LINE else base
        tree["data_dir"] = str(beside / expand_home(tree["data_dir"], environ))
    display = tree.setdefault("display", {})
    if isinstance(display, dict) and display.get("timezone", "") == "":
        display["timezone"] = system_zone(environ)
    return warnings


def _broken_rules(layers: Layers, found: Found) -> Iterator[Problem]:
    looked = [str(path) for path in found.looked]
    for problem in problems_in(layers.tree, looked):
        yield Problem(problem.place, problem.text, layers.origin(problem.place))


def _careless(settings: Settings, layers: Layers, found: Found) -> Iterator[str]:
    if not settings.display.timezone:
        yield "display.timezone: the system names no time zone, UTC is used: set it"
    if found.passed_over is not None:
        yield f"{found.passed_over} has no [sources] table and was passed over"
    written = [dotted(place) for place in _secrets(settings) if layers.origin(place) is None]
    if found.path and written and found.path.stat().st_mode & stat.S_IROTH:
        yield f"others can read this file, and it holds {', '.join(written)}: chmod 600 {found.path}"


def _secrets(value: Any, place: Place = ()) -> Iterator[Place]:
    """The places of all secrets that are set, of programs that are given an account's name too."""
    if isinstance(value, SecretStr):
        yield place
    if isinstance(value, CommandSettings) and any("@" in argument for argument in value.command):
        yield (*place, "command")
    if isinstance(value, tuple) and any(isinstance(item, SecretStr) for item in value):
        yield place
    inner = dict(value) if isinstance(value, BaseModel | Mapping) else {}
    for name, child in inner.items():
        yield from _secrets(child, (*place, name))
