"""`poller_source_silent`: a metered source says itself why it is silent, of others the last failure tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from poller.runtime.metrics import Metrics
from poller.runtime.status import DaemonStatus, Failure, QuotaStatus, Silence, SourceStatus

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SOURCE = SourceStatus("bmw", "mybmw", "failing", 900)


def silent(source: SourceStatus) -> list[str]:
    metrics = Metrics()
    metrics.expose(lambda: DaemonStatus("1", NOW, NOW, (source,)))
    samples = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "poller_source_silent"
    ]
    assert len(samples) == 5
    return [sample.labels["condition"] for sample in samples if sample.value]


@pytest.mark.parametrize(
    ("reason", "condition"),
    [
        ("login_required", "refused"),
        ("blocked", "refused"),
        ("network", "no_network"),
        ("server", "no_network"),
        ("quota", "budget_spent"),
        ("rate_limited", "budget_spent"),
    ],
)
def test_a_failure_means_a_condition(reason, condition) -> None:
    assert silent(replace(SOURCE, failure=Failure(NOW, reason, "…"))) == [condition]


def test_a_fault_of_ours_is_no_condition_of_the_source() -> None:
    assert silent(replace(SOURCE, failure=Failure(NOW, "malformed", "…"))) == []


def test_what_is_well_is_not_silent() -> None:
    assert silent(replace(SOURCE, state="ok", failure=Failure(NOW, "network", "one car of two"))) == []


def test_of_a_metered_source_that_says_nothing_the_last_failure_tells() -> None:
    source = replace(SOURCE, quota=QuotaStatus(50, 40), failure=Failure(NOW, "server", "…"))
    assert silent(source) == ["no_network"]


def test_a_metered_source_knows_better_than_its_last_failure() -> None:
    silences = [Silence("stream_down", "…"), Silence("car_quiet", "…")]
    source = replace(
        SOURCE, quota=QuotaStatus(50, 40), silences=silences, failure=Failure(NOW, "network", "…")
    )
    assert silent(source) == ["stream_down", "car_quiet"]
