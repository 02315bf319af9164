"""Where and as whom to ingest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from poller import __version__
from poller.errors import SinkMisconfigured
from poller.runtime.quantities import is_loopback
from poller.sinks.settings import AxiomSettings

#: Hosts that know only the old path; every other host is taken for an edge deployment.
_API_HOSTS = frozenset({"api.axiom.co", "api.eu.axiom.co"})
_PERSONAL_TOKEN = "xapt-"  # noqa: S105  # the prefix of a kind of token, not a token


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The full address of a POST and its headers (the token is among them)."""

    url: str
    headers: Mapping[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        """The host's name, for messages."""
        return urlsplit(self.url).hostname or ""

    @property
    def exposed(self) -> bool:
        """Whether the token crosses a network unencrypted."""
        return self.url.startswith("http:") and not is_loopback(self.host)


def endpoint_of(settings: AxiomSettings) -> Endpoint:
    """The endpoint as configured; SinkMisconfigured if no server could accept it.

    An address with a path is used as it is. Without one, the API host gets the old path and any
    other the edge path, as Axiom's own clients do it.
    """
    token = settings.token.get_secret_value()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise SinkMisconfigured(
            "the token has characters that no token has", hint="copy the token again, without spaces"
        )
    url = _url(settings)
    personal = token.startswith(_PERSONAL_TOKEN)
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/x-ndjson",
        "Content-Encoding": "gzip",
        "Accept": "application/json",
        "User-Agent": f"bmw-poller/{__version__}",
    }
    if personal:
        headers["X-Axiom-Org-Id"] = _organisation(settings, url)
    return Endpoint(url, headers)


def _url(settings: AxiomSettings) -> str:
    parts = urlsplit(settings.url)
    if parts.path.strip("/"):
        return settings.url
    dataset = quote(settings.dataset, safe="")
    api = parts.hostname in _API_HOSTS
    path = f"/v1/datasets/{dataset}/ingest" if api else f"/v1/ingest/{dataset}"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _organisation(settings: AxiomSettings, url: str) -> str:
    """The organisation that a personal token needs; SinkMisconfigured if it cannot work."""
    if "/v1/ingest/" in url:
        raise SinkMisconfigured(
            "an edge address takes no personal token (xapt-…)",
            hint="make an API token (xaat-…) that may ingest into the dataset",
        )
    if not settings.org_id:
        raise SinkMisconfigured(
            "a personal token (xapt-…) needs org_id", hint="set org_id, or use an API token (xaat-…)"
        )
    return settings.org_id
