"""What the pages on backup and privacy show is what happens."""

from __future__ import annotations

import asyncio
import subprocess

from poller.cli.privacy import lines
from poller.disclosure import report
from poller.journal.backup import archive, backup
from poller.journal.base import Entry, Policy
from poller.journal.sqlite import SqliteJournal
from poller.settings import load
from poller.testing.clock import ManualClock
from poller.testing.records import record_number

CONFIG = """
[sources.home]
type = "cardata"
client_id = "12345678-90ab-4cde-8f01-234567890abc"
[vehicles.mini]
vin = "WMW00000000000001"
[sinks.axiom]
type = "axiom"
url = "https://eu-central-1.aws.edge.axiom.co"
dataset = "cars"
token = "xaat-0000"
vin = "hash"
"""


async def filled(folder, count: int) -> SqliteJournal:
    journal = SqliteJournal(folder / "journal.db", Policy(), ManualClock())
    await journal.open(["files"])
    for number in range(count):
        await journal.append(Entry(records=[record_number(number)]))
    return journal


async def test_the_way_back_as_the_page_has_it(pages, tmp_path) -> None:
    """Its own lines, run by a shell; only the two folders are others, and there is no service to stop."""
    data, home = tmp_path / "data", tmp_path / "root"
    home.mkdir()
    journal = await filled(data, 3)
    (data / "accounts").mkdir()
    (data / "accounts" / "home.json").write_text("{}")
    (data / "installation.key").write_bytes(b"k")
    copy = home / "poller-2026-11-21.db"
    backup(data / "journal.db", copy)
    archive(data, ["accounts", "installation.key"], copy.with_name(copy.name + ".logins.tar"))
    await journal.append(Entry(records=[record_number(3)]))
    await journal.close()
    (data / "installation.key").unlink()

    [block] = [text for _, text in pages["docs/operating/backup.md"].blocks() if "chown -R" in text]
    script = "\n".join(line for line in block.splitlines() if not line.startswith("systemctl"))
    script = script.replace("/var/lib/poller/", f"{data}/").replace("/root/", f"{home}/")
    await asyncio.to_thread(subprocess.run, ["/bin/sh", "-euc", script], check=True, capture_output=True)

    assert (data / "installation.key").read_bytes() == b"k"
    assert (data / "before" / "journal.db").is_file()
    restored = SqliteJournal(data / "journal.db", Policy(), ManualClock())
    await restored.open(["files"])
    assert (await restored.stats()).records == 3
    await restored.close()


def test_what_leaves_the_house_reads_as_on_the_page(pages, tmp_path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    said = list(lines(report(load(path, environ={"TZ": "UTC", "HOME": str(tmp_path)}))))
    [shown] = [text for _, text in pages["docs/operating/privacy.md"].blocks() if "poller privacy" in text]
    command, first, *rest = shown.splitlines()
    assert (command, first.startswith(said[0].partition(",")[0])) == ("$ poller privacy", True)
    assert [line for line in rest if line not in (*said, "…")] == []
