"""What all tests share: a clean environment, the captured answers beside the checkout, sizes and seed."""

from __future__ import annotations

import gc
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from poller.runtime.log import structlog  # as the poller has it: without rich's tracebacks, 60 ms each

ROOT = Path(__file__).resolve().parents[1]
#: A certificate whose key is lost, as the only one that is trusted.
NOBODY = Path(__file__).with_name("nobody.pem")
#: Run only when asked for: marker → why it is skipped otherwise.
ON_DEMAND = {"soak": "full size: make soak", "system": "needs a real system: make system"}
# Thousands of tests and what they import stay to the end: looking through them for garbage is a third of the
# time in which they are collected, and a thirtieth of that in which they run.
gc.disable()

_OURS = ("POLLER_", "AXIOM_", "XDG_")
_FOREIGN = {
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir", "notify_socket",
    "watchdog_usec", "watchdog_pid", "state_directory", "runtime_directory", "credentials_directory",
    "pythondontwritebytecode",
}  # fmt: skip

hypothesis.settings.register_profile("plain", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("soak", deadline=None, database=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the full sizes too")
    parser.addoption("--system", action="store_true", help="run the tests that need a real system too")
    parser.addoption("--seed", type=int, default=1, help="seed of everything random (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("soak" if _wanted(config, "soak") else "plain")


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.getoption('seed')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, reason in ON_DEMAND.items():
        if _wanted(config, marker):
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def _wanted(config: pytest.Config, marker: str) -> bool:
    return config.getoption(marker) or marker in config.getoption("markexpr")


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the developer's own environment or home reaches a test or a process it starts.

    No server is trusted but those that a test names itself, which also saves reading the system's
    certificates for each client and process.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(_OURS) or name.lower() in _FOREIGN:
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("SSL_CERT_FILE", str(NOBODY))
        patch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")
        yield


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """A test that starts the poller in this process leaves no log level, processors or umask to the next."""
    before, handlers, level = structlog.get_config(), logging.root.handlers[:], logging.root.level
    umask = os.umask(0o022)
    yield
    os.umask(umask)
    structlog.configure(**before)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real cars' captured answers, which lies beside the checkout and not in it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared with captured answers beside this checkout")
    return folder


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that `--seed` repeats; each test has its own stream."""
    return random.Random(f"{request.config.getoption('seed')} {request.node.nodeid}")
