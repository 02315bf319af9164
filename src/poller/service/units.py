"""The texts of the service: units and drop-ins, with the way to this poller filled in."""

from __future__ import annotations

import re
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Final

from poller.errors import PollerError


class Extra(StrEnum):
    """A drop-in that an owner asks for."""

    COMMAND_SOURCE = "command-source"
    ENCRYPTED_SECRETS = "encrypted-secrets"


#: What the texts say in place of the installed poller.
_AS_WRITTEN: Final = "/opt/poller/bin/poller"
#: Characters that mean nothing to systemd in a command line.
_PLAIN: Final = re.compile(r"[\w/.@+-]+", re.ASCII)


def text(name: str) -> str:
    """A file of ``texts/`` as it is."""
    return resources.files(__package__).joinpath("texts", name).read_text("utf-8")


def unit(executable: Path, *, user: bool = False) -> str:
    """The unit that runs that poller. Raises PollerError for a path that no unit can name."""
    if not _PLAIN.fullmatch(str(executable)):
        raise PollerError(
            f"{executable} cannot be named in a unit: its path has spaces or signs",
            hint="install poller at a plain path, such as /opt/poller",
        )
    return text("poller-user.service" if user else "poller.service").replace(_AS_WRITTEN, str(executable))
