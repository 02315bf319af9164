"""What the documentation tells people to type exists, and every command is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer

from poller.cli.main import app

_SHELL = {"sh", "bash", "console", "shell"}
#: ``poller`` as a program, not as part of a path, an image's or a unit's name.
_CALL = re.compile(r"(?:^|(?<=[\s`(\"])|(?<=bin/))poller ((?:[a-z][a-z-]*|-)[^\n`#;|&]*)", re.MULTILINE)
#: Programs after whose arguments ``poller`` is a service or a container.
_NAMES_IT = re.compile(r"(systemctl|journalctl|systemd-analyze|docker|pip|pipx|usermod|groupadd)\b[^\n]*$")


@pytest.fixture(scope="module")
def cli():
    return typer.main.get_command(app)


def _group(command) -> dict:
    """The commands below a command; empty for one that does something itself."""
    return getattr(command, "commands", {})


def _code(page) -> Iterator[str]:
    for info, text in page.blocks():
        if info.partition(" ")[0] in _SHELL:
            yield from text.replace("\\\n", " ").splitlines()
    yield from page.spans()


def _calls(page) -> Iterator[list[str]]:
    for line in _code(page):
        for match in _CALL.finditer(line):
            if not _NAMES_IT.search(line[: match.start()].rpartition(" poller")[0] or line[: match.start()]):
                yield match[1].split()


def _problem(cli, words: list[str]) -> str | None:
    command, names = cli, []
    while words and _group(command) and not words[0].startswith("-"):
        word = words.pop(0).rstrip(",.:")
        options = [part for part in word.split("|") if part]
        missing = [part for part in options if part not in _group(command)]
        if word.isupper() or word == "…":
            return None
        if missing:
            return f"no command {' '.join([*names, *missing])}"
        command = _group(command)[options[0]]
        names.append(options[0])
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    given = {word.partition("=")[0].rstrip(",.:") for word in words if re.match(r"--?[a-z]", word)}
    unknown = given - known
    return f"{' '.join(names)} has no {', '.join(sorted(unknown))}" if unknown else None


def test_commands_and_options_that_pages_name_exist(page, cli) -> None:
    problems = [problem for words in _calls(page) if (problem := _problem(cli, words))]
    assert not problems


def _paths(group, prefix: str = "poller") -> Iterator[str]:
    for name, command in _group(group).items():
        path = f"{prefix} {name}"
        yield from _paths(command, path) if _group(command) else [path]


def test_every_command_is_on_the_commands_page(pages, cli) -> None:
    text = pages["docs/operating/commands.md"].text
    assert [path for path in _paths(cli) if f"`{path}`" not in text and f"`{path} " not in text] == []


def test_every_option_of_every_command_has_a_help_text(cli) -> None:
    def silent(group) -> Iterator[str]:
        for name, command in _group(group).items():
            yield from silent(command)
            for parameter in command.params:
                if not getattr(parameter, "help", None):
                    yield f"{name} {parameter.name}"

    assert list(silent(cli)) == []


def test_the_checker_sees_what_is_wrong(cli) -> None:
    assert _problem(cli, ["fly"])
    assert _problem(cli, ["run", "--sideways"])
    assert _problem(cli, ["dead-letters", "eat"])
    assert not _problem(cli, ["dead-letters", "list|retry"])


def test_make_verbs_that_pages_name_exist(page, root) -> None:
    verbs = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {match for line in _code(page) for match in re.findall(r"^make ([a-z]+)", line.strip())}
    assert named - verbs == set()
