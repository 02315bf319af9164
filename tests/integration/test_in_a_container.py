"""What the image starts, and what it says where it may not read or write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poller.container import configured
from poller.errors import JournalError
from poller.journal.place import prepare_folder
from poller.settings.places import unreadable

#: Nobody's number here.
SOMEBODY = 54321
#: As the image sets it.
IMAGE = {"POLLER_CONFIG": "/config/config.toml"}


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")


@pytest.fixture
def public(as_root) -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="poller-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_with_nothing_said_it_is_the_demo(tmp_path) -> None:
    assert not configured({"POLLER_CONFIG": str(tmp_path / "config.toml")})
    assert not configured({"POLLER_CONFIG": str(tmp_path / "gone/config.toml"), "POLLER_DATA_DIR": "/data"})


def test_with_a_file_or_a_source_in_variables_it_is_the_owners_car(tmp_path) -> None:
    config = tmp_path / "config.toml"
    config.symlink_to("nowhere")
    assert configured({"POLLER_CONFIG": str(config)}), "a broken one is an error, not a demo"
    missing = {"POLLER_CONFIG": str(tmp_path / "missing.toml")}
    assert configured({**missing, "POLLER_SOURCES__BMW__TYPE": "mybmw"})
    assert configured({"POLLER_CONFIG": ""})


def test_with_arguments_it_is_the_command_line(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "poller.container", "--version"],
        env={"POLLER_CONFIG": str(tmp_path / "config.toml")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()[0]) == (0, "poller")


def test_a_file_of_somebody_else_is_told_with_the_command_that_opens_it(tmp_path, as_root) -> None:
    path = tmp_path / "its name.toml"
    path.touch()
    os.chown(path, SOMEBODY, SOMEBODY)
    assert unreadable(path, IMAGE) == f"cannot be read by uid 0: chown 0:0 '{path}'"
    said = unreadable(path, IMAGE, '"$POLLER_X_FILE"')
    assert said == 'cannot be read by uid 0: chown 0:0 "$POLLER_X_FILE"'


def test_a_file_of_our_own_needs_another_mode(tmp_path) -> None:
    path = tmp_path / "config.toml"
    path.touch()
    assert unreadable(path, {}).endswith(f": chmod u+rX {path}")


@pytest.mark.parametrize("name", ["", "poller.lock", "journal.db"])
def test_a_data_directory_of_somebody_else_is_told_with_the_command_that_mends_it(tmp_path, as_root, name):
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o1777 if name else 0o755)
    if name:
        (folder / name).touch(mode=0o600)
    said = refused(folder)
    assert f"belongs to uid 0, and uid {SOMEBODY} may not write it" in said
    assert f"chown -R {SOMEBODY}:{SOMEBODY} ." in said


@pytest.mark.parametrize(
    ("mode", "group", "environ", "mend"),
    [
        (
            0o640,
            "mail",
            {},
            "run it with sudo, or join the group that owns it: `sudo usermod -aG mail $USER`",
        ),
        (0o640, "mail", IMAGE, f"chown {SOMEBODY}:{SOMEBODY}"),
        (0o600, "mail", {}, "run it with sudo"),
        (0o640, "root", {}, "run it with sudo"),
    ],
)
def test_a_file_of_the_machine_stays_the_machines(public, mode, group, environ, mend) -> None:
    """Who takes /etc/poller for himself takes it from the service."""
    path = public / "config.toml"
    path.touch()
    path.chmod(mode)
    shutil.chown(path, group=group)
    said = as_somebody(public, lambda: unreadable(path, environ))
    words = said.partition(f"cannot be read by uid {SOMEBODY}: ")[2]
    assert words.partition(", then log in again")[0].removesuffix(f" {path}") == mend


def refused(folder: Path) -> str:
    """What somebody else is told who would keep a journal in `folder`."""

    def prepare() -> str:
        try:
            prepare_folder(Path())
        except JournalError as error:
            return f"{error.message}\n{error.hint}"
        return ""

    return as_somebody(folder, prepare)


def as_somebody(folder: Path, say: Callable[[], str]) -> str:
    """What `say` gives to somebody else, who stands in the folder: those above it are closed to him."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.setgroups([])
        os.setgid(SOMEBODY)
        os.setuid(SOMEBODY)
        try:
            os.write(writing, say().encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()
