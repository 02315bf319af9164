"""One TLS context for the whole process: each costs 20 ms and a megabyte."""

from __future__ import annotations

import functools
import ssl


@functools.lru_cache(maxsize=1)
def shared_context() -> ssl.SSLContext:
    """The system's trust, or the file that ``SSL_CERT_FILE`` names."""
    return ssl.create_default_context()
