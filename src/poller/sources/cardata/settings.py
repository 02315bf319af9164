"""Settings of a CarData account."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from poller.runtime.quantities import Count, EmptyIsNone, Items, WebAddress, is_loopback
from poller.sources.settings import SourceSettings

KIND: Final = "cardata"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def plain_client_id(value: str) -> str:
    """A client id as the login server takes it: the portal shows capitals to some, which it refuses."""
    return value.strip().strip("\"'{}").lower()


def _client_id(value: str) -> str:
    text = plain_client_id(value)
    if not _UUID.fullmatch(text):
        raise ValueError(
            "expected the client id as BMW's portal shows it under BMW CarData, Technical access: "
            "36 characters such as 12345678-90ab-4cde-8f01-234567890abc"
        )
    return text


def _secure(value: str) -> str:
    url = urlsplit(value)
    if url.scheme != "https" and not is_loopback(url.hostname or ""):
        raise ValueError("expected https://: a login must not travel in clear (http:// only to this machine)")
    return value


def _broker(value: str) -> str:
    if not value:
        return value
    wrong = ValueError('expected "mqtts://host:port", "mqtt://host:port", or "" for no stream')
    try:
        url = urlsplit(value)
        good = url.scheme in ("mqtt", "mqtts") and bool(url.hostname) and url.port != 0
    except ValueError:
        raise wrong from None
    if not good or re.search(r"\s", value) or url.path.strip("/") or url.query or url.fragment:
        raise wrong
    if url.username is not None or url.password is not None:
        raise ValueError("the address holds no user name or password: set stream_username, stream_password")
    return value.rstrip("/")


def _descriptor(value: str) -> str:
    text = value.strip()
    if not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z0-9_]+)+", text):
        raise ValueError('expected a key of the catalogue, such as "vehicle.isMoving"')
    return text


ClientId = Annotated[str, AfterValidator(_client_id)]
SecureAddress = Annotated[WebAddress, AfterValidator(_secure)]
BrokerAddress = Annotated[str, AfterValidator(_broker)]
Descriptor = Annotated[str, AfterValidator(_descriptor)]


class CarDataSettings(SourceSettings):
    """BMW CarData: REST with 50 calls a day, and a stream, behind a device login."""

    type: Literal["cardata"] = Field(description="BMW CarData, for owners in Europe and the UK.")
    client_id: ClientId = Field(description="From BMW's portal: BMW CarData, Technical access.")
    auth_url: SecureAddress = Field(
        "https://customer.bmwgroup.com", description="The login server; https, but on this machine."
    )
    api_url: SecureAddress = Field(
        "https://api-cardata.bmwgroup.com", description="The REST server; https, but on this machine."
    )
    stream_url: BrokerAddress = Field(
        "mqtts://customer.streaming-cardata.bmwgroup.com:9000",
        description='The stream: BMW\'s, or your own broker that carries its messages; "" turns it off.',
    )
    tls_ca: str = Field("", description="Another CA file for the stream; relative to the configuration file.")
    stream_username: str = Field("", description="For your own broker; BMW's takes the login.")
    stream_password: Annotated[SecretStr | None, EmptyIsNone] = Field(
        None, description="For your own broker; BMW's takes the login."
    )
    stream_topic: str = Field(
        "", validate_default=True, description="For your own broker: its topics, with + and #."
    )
    quota_per_day: Count = Field(50, ge=1, le=10_000, description="REST calls that an account has a day.")
    reserve: Count = Field(
        10, ge=0, validate_default=True, description="Calls of these that routine polls never touch."
    )
    descriptors: Annotated[tuple[Descriptor, ...], Items] = Field(
        (), description="Asked for besides the default ones."
    )

    @property
    def own_broker(self) -> bool:
        """Whether the stream comes from a broker of the owner's: it is never sent BMW's login."""
        return bool(self.stream_username or self.stream_password or self.stream_topic)

    @field_validator("stream_topic")
    @classmethod
    def _stays_private(cls, value: str, info: ValidationInfo) -> str:
        url = urlsplit(info.data.get("stream_url", ""))
        own = value or info.data.get("stream_username") or info.data.get("stream_password")
        if url.scheme == "mqtt" and not own and not is_loopback(url.hostname or ""):
            raise ValueError(
                "BMW's login must not travel in clear: with mqtt:// to your own broker set stream_topic, "
                "else write mqtts:// in stream_url"
            )
        return value

    @field_validator("reserve")
    @classmethod
    def _leaves_some(cls, value: int, info: ValidationInfo) -> int:
        quota: Any = info.data.get("quota_per_day", value + 1)
        if value >= quota:
            raise ValueError(f"leaves nothing for polls: quota_per_day is {quota}")
        return value


def account_key(settings: CarDataSettings) -> str:
    """``cardata:<hash of the client id>``: the same after a rename of the table."""
    return f"{KIND}:{_hash(settings.client_id)}"


def owner_key(gcid: str) -> str:
    """``cardata:<hash of BMW's own number of the account>``; "" if it is not known."""
    return f"{KIND}:{_hash(gcid)}" if gcid else ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
