"""Wherever somebody is asked to report something, he is told what belongs into the report."""

from __future__ import annotations

import re

import pytest

import poller.sources.cardata.portal as words
from poller.cli.main import run

#: How it is asked for; the journal's one tells of a start that failed, where the message is the report.
ASKED = re.compile(r"\breport (?:it|this)\b|\[(?:your )?report\]")
SECTION = "troubleshooting.md#what-belongs-into-a-report"


@pytest.fixture(scope="module")
def pages(root):
    return {
        path: path.read_text(encoding="utf-8")
        for path in [*(root / "docs").rglob("*.md"), root / "README.md"]
    }


def test_every_page_that_asks_for_a_report_leads_to_what_belongs_into_it(pages) -> None:
    asking = {path.name for path, text in pages.items() if ASKED.search(text)}
    leading = {path.name for path, text in pages.items() if SECTION in text}
    assert asking - {"troubleshooting.md"} == leading
    assert {"fingerprints.md", "axiom.md", "backup.md"} <= leading


def test_that_section_names_commands_that_there_are(pages, capsys) -> None:
    [text] = [text for path, text in pages.items() if path.name == "troubleshooting.md"]
    section = text.partition("## What belongs into a report")[2]
    commands = set(re.findall(r"`poller ([a-z -]+?)(?: --[a-z]+)?`", section)) - {"--version"}
    assert {"doctor", "status", "vehicle fingerprint"} <= commands
    for command in commands:
        assert run([*command.split(), "--help"]) == 0
    capsys.readouterr()


def test_a_message_that_asks_for_a_report_says_with_what(root) -> None:
    """And nobody invents an address: the project has none yet."""
    asked = {
        path.name: line.strip()
        for path in (root / "src").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"report (?:it|this)\b", line)
    }
    assert asked.keys() == {"portal.py", "migrate.py"}
    assert "`poller doctor` and `poller vehicle fingerprint`" in words.NEWER


def test_no_address_of_a_tracker_is_invented(pages) -> None:
    for text in pages.values():
        assert not re.search(r"/issues\b|issue tracker|open an issue", text)
