"""What a command need not load; asked of a fresh interpreter, for here everything is loaded already."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import poller.runtime.log
before = [name for name in sys.modules if name.partition(".")[0] == "rich"]
import rich
print(json.dumps([before, rich.__name__]))
"""


def test_logging_does_without_rich_and_leaves_it_to_others() -> None:
    """It would be an eighth of each start, and some megabytes of every daemon."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], "rich"]
