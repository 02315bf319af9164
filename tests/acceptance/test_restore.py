"""The installed command: a backup beside a poller that runs, and a poller that goes on from it."""

from __future__ import annotations

import json
import shutil
import tarfile

#: Seconds within which a daemon must be gone, and what two cores under load may add.
WITHIN = 6 + 2


def written(folder) -> set[str]:
    """The ids of all records that the files sink has written."""
    return {json.loads(file.read_text())["id"] for file in (folder / "data" / "snapshots").rglob("*.json")}


async def test_a_poller_goes_on_from_its_backup(rehearsal):
    """As docs/operating/backup.md says: nothing that a sink had is lost, and nothing is asked of a human."""
    folder = rehearsal.folder
    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    code, said, error = await rehearsal.command("backup", str(folder / "copy.db"), "--with-logins")
    assert code == 0, said + error
    before = len(daemon.acknowledged())
    await daemon.until("poll.completed", count=before + 2)
    assert await daemon.terminate(within=WITHIN) == 0
    had = written(folder)

    data = folder / "data"
    for file in (*data.glob("journal.db*"), data / "installation.key"):
        file.unlink()
    shutil.rmtree(data / "accounts")
    shutil.copy(folder / "copy.db", data / "journal.db")
    with tarfile.open(folder / "copy.db.logins.tar") as tar:
        tar.extractall(data, filter="data")

    daemon = await rehearsal.start("run")
    await daemon.until("poll.completed", count=2)
    code, said, error = await rehearsal.command("status", "--json")
    assert code == 0, error
    status = json.loads(said)
    assert [source["state"] for source in status["sources"]] == ["ok"]
    assert status["journal"]["set_aside"] == []
    assert await daemon.terminate(within=WITHIN) == 0
    # What the grace was too short for: it stays in the journal, and goes with the next delivery.
    code, said, error = await rehearsal.command("once")
    assert code == 0, said + error
    # What went out after the backup is not taken back, and is not in the way of what comes now.
    assert written(folder) >= had | daemon.acknowledged()
