"""Settings that every sink has, and those of each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

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
from poller.vehicle.privacy import Location, VinMode

RecordKind = Literal["snapshot", "charging_session", "trip", "alert", "command"]


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
        86_400.0, description="A backlog older than this turns /readyz red."
    )


class JsonFilesSettings(SinkSettings):
    """One JSON file a record, or one NDJSON file a day."""

    type: Literal["json_files"] = Field(description="JSON files in folders by vehicle and day.")
    directory: str = Field("snapshots", min_length=1, description="Relative to data_dir.")
    layout: Literal["snapshot", "daily"] = Field("snapshot", description="A file a record, or a day.")
    keep: Duration = Field(0.0, description='Delete files after this long ("90d"); 0 keeps them.')
    mode: FileMode = Field(0o640, description="Permissions of the files, octal.")


class AxiomSettings(SinkSettings):
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


class PrometheusSettings(SinkSettings):
    """Gauges at /metrics of [web]."""

    type: Literal["prometheus"] = Field(description="Gauges at /metrics of [web].")
    location: Location = Field("none", description="exact, rounded (about 1 km) or none.")
    vin: VinMode = Field("short", description='"full" adds the vin label to vehicle_info.')
    max_age: Duration = Field(0.0, description="Withhold a vehicle's values when older than this; 0 never.")
    signal_times: bool = Field(False, description="Also show when the car measured each signal.")
