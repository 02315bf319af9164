"""What the pages on backup and privacy show is what happens."""

from __future__ import annotations

import asyncio
import re
import subprocess

import pytest

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


def _of_a_service(pages) -> str:
    [block] = [text for _, text in pages["docs/operating/backup.md"].blocks() if "chown -R" in text]
    return block.replace("systemctl ", ": ").replace("/root/poller-2026-11-21.db", "/from/backup.db")


def _of_a_container(pages) -> str:
    blocks = [text for _, text in pages["docs/operating/container.md"].blocks() if "/from/backup.db" in text]
    [script] = re.findall(r"-c '([^']+)'", "".join(blocks))
    return f"cd /var/lib/poller/ && {script}"


@pytest.mark.parametrize("way", [_of_a_service, _of_a_container])
async def test_the_way_back_as_the_page_has_it(pages, tmp_path, way) -> None:
    """Its own lines, run by a shell; only the two folders are others, and there is no service to stop."""
    data, home = tmp_path / "data", tmp_path / "root"
    home.mkdir()
    journal = await filled(data, 3)
    (data / "accounts").mkdir()
    (data / "accounts" / "home.json").write_text("{}")
    (data / "installation.key").write_bytes(b"k")
    copy = home / "backup.db"
    backup(data / "journal.db", copy)
    archive(data, ["accounts", "installation.key"], copy.with_name(copy.name + ".logins.tar"))
    await journal.append(Entry(records=[record_number(3)]))
    await journal.close()
    (data / "installation.key").unlink()
    script = way(pages).replace("/var/lib/poller/", f"{data}/").replace("/from/", f"{home}/")
    clock = "$(date +%s)"
    assert clock in script, "the folder of what was before has another name each time"

    def restore(second: int) -> int:
        line = ["/bin/sh", "-c", script.replace(clock, str(second))]
        return subprocess.run(line, check=False, capture_output=True).returncode

    async def records(one_more: int) -> int:
        restored = SqliteJournal(data / "journal.db", Policy(), ManualClock())
        await restored.open(["files"])
        await restored.append(Entry(records=[record_number(one_more)]))
        count = (await restored.stats()).records
        await restored.close()
        return count

    for second in (1, 2):
        # What a process that was killed leaves beside the journal must not be laid over the new one.
        (data / "journal.db-wal").write_bytes(b"of another file")
        assert await asyncio.to_thread(restore, second) == 0
        assert sorted(path.name for path in data.glob("journal.db*")) == ["journal.db"]
        assert (data / f"before-{second}" / "journal.db-wal").is_file()
        assert (data / "installation.key").read_bytes() == b"k"
        assert await records(7) == 4, "three of the backup, and one that came after it"

    assert await asyncio.to_thread(restore, 2) != 0
    copy.unlink()
    assert await asyncio.to_thread(restore, 3) != 0
    assert await records(8) == 5, "a chain that fails has taken nothing away"


def test_what_is_typed_again_at_each_upgrade_has_a_name_of_its_own(pages) -> None:
    """A backup never replaces a file: a fixed name would fail the second time."""
    names = [name for page in pages.values() for name in re.findall(r"\S*before-upgrade\S*", page.text)]
    assert len(names) == 3
    assert [name for name in names if "before-upgrade-$(date" not in name] == []


def test_cron_is_given_the_whole_path(pages) -> None:
    """Debian's has /usr/bin and /bin in its PATH, and nothing else."""
    [line] = [text for _, text in pages["docs/operating/backup.md"].blocks() if text.startswith("17 3 ")]
    assert line.split()[5:7] == ["/usr/local/bin/poller", "backup"]


def test_what_leaves_the_house_reads_as_on_the_page(pages, tmp_path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    said = list(lines(report(load(path, environ={"TZ": "UTC", "HOME": str(tmp_path)}))))
    [shown] = [text for _, text in pages["docs/operating/privacy.md"].blocks() if "poller privacy" in text]
    command, first, *rest = shown.splitlines()
    assert (command, first.startswith(said[0].partition(",")[0])) == ("$ poller privacy", True)
    assert [line for line in rest if line not in (*said, "…")] == []
