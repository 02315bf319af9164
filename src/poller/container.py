"""``python -m poller.container``: what the image starts.

With arguments it is ``poller``. Without any it runs the owner's configuration or, where there is none,
the demo, so that a first ``docker compose up`` has something to show.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from poller import health
from poller.__main__ import main as poller
from poller.errors import PollerError

#: In the volume, away from what an owner's poller keeps there.
DEMO = Path("/data/demo")
_DEMO = """\
There is no {config}, so this is the DEMO: simulated cars, nothing is real.
For your own car put config.toml into the folder mounted at {folder}, then
`docker compose down --volumes` (the simulated cars are forgotten) and `docker compose up`.
"""


def configured(environ: Mapping[str, str]) -> bool:
    """Whether the owner says what to run: by variables, or by a file, even one that cannot be read."""
    if any(name.startswith("POLLER_SOURCES__") for name in environ) or not environ.get("POLLER_CONFIG"):
        return True
    try:
        os.lstat(environ["POLLER_CONFIG"])
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # the command line says what is wrong
    return True


def main() -> None:
    """Run, and exit with the command line's codes."""
    if sys.argv[1:] or configured(os.environ):
        sys.argv[1:] = sys.argv[1:] or ["run"]
        poller()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # until the daemon takes signals
    sys.exit(_demo(Path(os.environ["POLLER_CONFIG"])))


def _demo(config: Path) -> int:
    """``poller demo`` on all addresses of the container, which only a published port reaches."""
    from poller.cli.demo import rehearse
    from poller.cli.main import print_error
    from poller.journal.place import prepare_folder

    sys.stderr.write(_DEMO.format(config=config, folder=config.parent))
    try:
        prepare_folder(DEMO.parent)
        rehearse(DEMO, ("0.0.0.0", health.PORT))  # noqa: S104  # as the image's POLLER_WEB__LISTEN
    except PollerError as error:
        print_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    main()
