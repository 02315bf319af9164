"""Who gives up waiting for a car is told what goes on, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from poller.cli.vehicle.addressed import Addressed
from poller.cli.vehicle.ordering import send
from poller.errors import PollerError


class Interrupted(Addressed):
    """Ctrl-C comes while the order is under way; `source` says whether a daemon has it."""

    def ask(self, _command: str, **_arguments: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    def has_daemon(self) -> bool:
        return self.source == "daemon"


@pytest.mark.parametrize("source", ["daemon", None])
def test_only_a_daemon_goes_on_after_ctrl_c(source) -> None:
    with pytest.raises(PollerError, match="nobody knows whether the car was told") as caught:
        send(Interrupted(None, source, None, None), "light_flash")
    assert ("the running poller goes on" in (caught.value.hint or "")) == (source == "daemon")
