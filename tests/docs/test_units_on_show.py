"""The units of systemd that the repository shows are those that the command writes."""

from __future__ import annotations

import re

import pytest

from poller.errors import ConfigError
from poller.service import units
from poller.settings import load


def test_the_units_on_show_are_those_that_install_service_writes(root) -> None:
    """Mend by copying: the source is src/poller/service/texts."""
    shown = {path.name: path.read_text(encoding="utf-8") for path in (root / "deploy/systemd").iterdir()}
    del shown["README.md"]
    assert shown == {name: units.text(name) for name in shown}
    shipped = {path.name for path in (root / "src/poller/service/texts").iterdir()}
    assert shipped - shown.keys() == {"config.toml"}


@pytest.mark.parametrize("name", ["poller.service", "poller-user.service"])
def test_the_unit_leaves_a_wrong_configuration_alone_and_waits_for_the_grace(name) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", units.text(name), re.MULTILINE))
    assert settings["RestartPreventExitStatus"] == "2"
    assert settings["Type"] == "notify"
    assert int(settings["TimeoutStopSec"].removesuffix("s")) > 6


def test_the_configuration_that_install_service_begins_is_one(tmp_path) -> None:
    """With the source that it shows, it loads; without, a source is all that is missing."""
    text = units.text("config.toml")
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={"TZ": "UTC", "HOME": str(tmp_path)})
    assert len(caught.value.problems) == 1
    path.write_text(
        re.sub(r"^#(\[sources|type|client_id)", r"\1", text, flags=re.MULTILINE), encoding="utf-8"
    )
    assert set(load(path, environ={"TZ": "UTC", "HOME": str(tmp_path)}).settings.sources) == {"home"}
