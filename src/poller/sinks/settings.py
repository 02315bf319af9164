"""Settings that every sink has, and those of each kind."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from poller.runtime.quantities import (
    Count,
    Duration,
    EmptyIsNone,
    FileMode,
    Items,
    PositiveDuration,
    StrictTable,
    WebAddress,
)
from poller.vehicle.alert import Severity
from poller.vehicle.privacy import Location, VinMode

RecordKind = Literal["snapshot", "charging_session", "trip", "alert", "command"]


#: A lock that has been open for longer is no news any more.
ALERT_AGE = 6 * 3600.0
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\x20-\x7e\xa1-\xff]*")


def _any_web_address(value: SecretStr) -> SecretStr:
    """A query is welcome: that is where many keep the key."""
    try:
        url = urlsplit(value.get_secret_value())
        good = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", value.get_secret_value()):
        raise ValueError('expected an address such as "https://host/path?key=…"')
    return value


def _header(value: SecretStr) -> SecretStr:
    if not _HEADER.fullmatch(value.get_secret_value()):
        raise ValueError('expected "Name: value"')
    return value


def _broker_address(value: str) -> str:
    wrong = ValueError('expected an address such as "mqtt://host", "mqtts://host:8883"')
    try:
        url = urlsplit(value)
        good = url.scheme in ("mqtt", "mqtts") and bool(url.hostname) and url.port != 0
    except ValueError:
        raise wrong from None
    if url.username is not None or url.password is not None:
        raise ValueError("an address holds no user name or password: they have settings of their own")
    if not good or url.path.strip("/") or url.query or url.fragment:
        raise wrong
    return value.rstrip("/")


def _topic(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", value):
        raise ValueError('expected words with / between them, such as "cars/poller"')
    return value


Topic = Annotated[str, AfterValidator(_topic)]


class SinkSettings(StrictTable):
    """Common to all sinks."""

    kinds: Annotated[tuple[RecordKind, ...], Items] = Field(
        (), description="Only these kinds of record; empty: all."
    )
    only: Literal["", "changes"] = Field("", description='"changes": leave out unchanged snapshots.')
    location: Location = Field("exact", description="exact, rounded (about 1 km) or none.")
    vin: VinMode = Field("full", description="full, short (last seven) or hash.")
    batch_size: Count = Field(500, ge=1, le=10_000, description="Records in one delivery at most.")
    max_age: Duration = Field(
        0.0, description="Records older than this are not delivered any more but dropped, counted; 0 never."
    )
    max_backlog_age: PositiveDuration = Field(
        86_400.0, description="A record that waits longer than this turns /readyz red."
    )


class LibraryForm(SinkSettings):
    """Of a sink that can also write what the bimmer_connected library wrote."""

    format: Literal["", "bimmerconnected"] = Field(
        "", description='"bimmerconnected": snapshots in the JSON of that library; empty: records.'
    )
    data: bool = Field(True, description="With that format: also BMW's own answers, under data.")

    @model_validator(mode="before")
    @classmethod
    def _snapshots(cls, given: Any) -> Any:
        """That library knew nothing else."""
        if isinstance(given, dict) and given.get("format") and not given.get("kinds"):
            return {**given, "kinds": ["snapshot"]}
        return given

    @model_validator(mode="after")
    def _only_snapshots(self) -> Self:
        if self.format and self.kinds != ("snapshot",):
            raise ValueError('format = "bimmerconnected" is for snapshots: leave out kinds')
        return self


class JsonFilesSettings(LibraryForm):
    """One JSON file a record, or one NDJSON file a day."""

    type: Literal["json_files"] = Field(description="JSON files in folders by vehicle and day.")
    directory: str = Field("snapshots", min_length=1, description="Relative to data_dir.")
    layout: Literal["snapshot", "daily"] = Field("snapshot", description="A file a record, or a day.")
    keep: Duration = Field(0.0, description='Delete files after this long ("90d"); 0 keeps them.')
    mode: FileMode = Field(0o640, description="Permissions of the files, octal.")


class AxiomSettings(LibraryForm):
    """Axiom's ingest API."""

    type: Literal["axiom"] = Field(description="Axiom's ingest API.")
    url: WebAddress = Field(
        "https://us-east-1.aws.edge.axiom.co", description="The edge domain, or a full ingest URL."
    )
    dataset: str = Field(min_length=1, max_length=128, description="The dataset's name.")
    token: SecretStr = Field(min_length=1, description="An API token (xaat-…) that may ingest.")
    org_id: Annotated[str | None, EmptyIsNone] = Field(
        None, description="Only with a personal token (xapt-…)."
    )
    location: Location = Field("rounded", description="exact, rounded (about 1 km) or none.")
    data: bool = Field(
        False, description="With that format: also BMW's own answers; they take hundreds of fields."
    )


class PrometheusSettings(SinkSettings):
    """Gauges at /metrics of [web]."""

    type: Literal["prometheus"] = Field(description="Gauges at /metrics of [web].")
    location: Location = Field("none", description="exact, rounded (about 1 km) or none.")
    vin: VinMode = Field("short", description='"full" adds the vin label to vehicle_info.')
    max_age: Duration = Field(0.0, description="Withhold a vehicle's values when older than this; 0 never.")
    signal_times: bool = Field(False, description="Also show when the car measured each signal.")


#: How to get what `notify` needs; said by `poller check` and by the sink.
INSTALL_APPRISE: Final = (
    "`pip install apprise` with the poller's own pip; with pipx: `pipx inject bmw-poller apprise`; in a "
    "container: build the image with `--build-arg LOCK=requirements-notify.txt`"
)


class NotifySettings(SinkSettings):
    """Messages to people, over Apprise."""

    type: Literal["notify"] = Field(description="Alerts as messages, by mail, ntfy, Telegram and more.")
    kinds: Annotated[tuple[RecordKind, ...], Items] = Field(
        ("alert",), description="Only these kinds of record; only alerts have words for a message."
    )
    max_age: Duration = Field(
        ALERT_AGE, description="Alerts older than this are not sent any more but dropped, counted; 0 never."
    )
    urls: Annotated[tuple[SecretStr, ...], Items] = Field(
        min_length=1, description="Apprise's addresses, one a channel; each holds its secrets."
    )
    severity: Severity = Field("info", description="The least that is sent: info, warning or critical.")


class WebhookSettings(SinkSettings):
    """An HTTP request a record."""

    type: Literal["webhook"] = Field(description="An HTTP request a record, signed if wanted.")
    kinds: Annotated[tuple[RecordKind, ...], Items] = Field(
        ("alert",), description="Only these kinds of record; empty: all."
    )
    location: Location = Field("none", description="exact, rounded (about 1 km) or none.")
    vin: VinMode = Field("short", description="full, short (last seven) or hash.")
    url: Annotated[SecretStr, AfterValidator(_any_web_address)] = Field(
        description="Where to; a secret, for many hold one."
    )
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="POST, PUT or PATCH.")
    headers: Annotated[tuple[Annotated[SecretStr, AfterValidator(_header)], ...], Items] = Field(
        (), description='More headers, each as "Name: value".'
    )
    secret: Annotated[SecretStr | None, EmptyIsNone] = Field(
        None, description="Signs each request with HMAC-SHA256; empty: no signature."
    )
    template: str = Field(
        "", description="The body as a Jinja template over the record; empty: the record as JSON."
    )
    content_type: str = Field(
        "application/json", pattern=r"^[\w.+-]+/[\w.+-]+(; *[\w.+-]+=[\w.+-]+)*$", description="Of the body."
    )
    severity: Severity = Field("info", description="The least alert that is sent: info, warning or critical.")


class MqttSettings(SinkSettings):
    """Retained topics at a broker, with Home Assistant's discovery."""

    type: Literal["mqtt"] = Field(description="Topics at an MQTT broker, and Home Assistant's discovery.")
    kinds: Annotated[tuple[RecordKind, ...], Items] = Field(
        ("alert",), description="Records that are published beside the state, not retained; empty: all."
    )
    vin: VinMode = Field(
        "short", description="full, short (last seven) or hash; also in Home Assistant's ids."
    )
    max_age: Duration = Field(
        ALERT_AGE,
        description="Records older than this are not published any more but dropped, counted; 0 never.",
    )
    url: Annotated[str, AfterValidator(_broker_address)] = Field(
        description="The broker: mqtt://host:1883, or mqtts:// for TLS."
    )
    username: str = Field("", description="Empty: none.")
    password: Annotated[SecretStr | None, EmptyIsNone] = Field(None, description="Empty: none.")
    protocol: Literal["5", "3.1.1"] = Field("5", description="Of MQTT: 5, or 3.1.1 for an old broker.")
    tls_ca: str = Field("", description="Another CA file (PEM); empty: the system's.")
    tls_certificate: str = Field("", description="A client certificate (PEM), where the broker wants one.")
    tls_key: str = Field("", description="Its key, if it is in a file of its own.")
    topic: Topic = Field("poller", description="What all topics begin with.")
    discovery: Annotated[str, AfterValidator(lambda text: text and _topic(text))] = Field(
        "homeassistant", description="Home Assistant's discovery prefix; empty: no discovery."
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """`discovery`/status is Home Assistant's own word: ours, retained, would say that it is gone."""
        if self.topic == self.discovery:
            raise ValueError("topic and discovery must differ")
        return self
