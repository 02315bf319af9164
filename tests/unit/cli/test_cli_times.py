"""Times as a person types them behind ``--from``, ``--since`` and ``--at``."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from poller.cli.options import moment
from poller.errors import ConfigError


@pytest.fixture
def in_tokyo(monkeypatch):
    """A machine nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a_time_without_a_zone_is_the_machines_own() -> None:
    assert moment("--from", "2026-11-21") == datetime(2026, 11, 20, 15, tzinfo=UTC)
    assert moment("--from", "2026-11-21T14:00:00Z") == datetime(2026, 11, 21, 14, tzinfo=UTC)
    assert moment("--from", "2026-11-21T14:00:00+02:00") == datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.usefixtures("in_tokyo")
@pytest.mark.parametrize("text", ["soon", "", "21.11.2026", "0001-01-01"])
def test_what_is_no_time_is_refused_with_its_option(text) -> None:
    with pytest.raises(ConfigError, match="--from: cannot read") as refused:
        moment("--from", text)
    assert refused.value.exit_code == 2
