"""Where to ingest, and as whom."""

from __future__ import annotations

import pytest

from poller.errors import SinkMisconfigured
from poller.sinks.axiom.endpoint import endpoint_of
from poller.sinks.settings import AxiomSettings


def endpoint(url: str = "https://edge.example", token: str = "xaat-secret", **more):
    settings = {"type": "axiom", "url": url, "dataset": "cars", "token": token, **more}
    return endpoint_of(AxiomSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://us-east-1.aws.edge.axiom.co", "https://us-east-1.aws.edge.axiom.co/v1/ingest/cars"),
        ("https://eu-central-1.aws.edge.axiom.co/", "https://eu-central-1.aws.edge.axiom.co/v1/ingest/cars"),
        ("https://api.axiom.co", "https://api.axiom.co/v1/datasets/cars/ingest"),
        ("https://api.eu.axiom.co", "https://api.eu.axiom.co/v1/datasets/cars/ingest"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/ingest/cars"),
        ("https://proxy.example/axiom/in", "https://proxy.example/axiom/in"),
    ],
)
def test_the_path_follows_the_host_unless_it_is_given(url, expected) -> None:
    assert endpoint(url).url == expected


def test_the_dataset_cannot_change_the_path() -> None:
    assert endpoint(dataset="a/../b?c").url.endswith("/v1/ingest/a%2F..%2Fb%3Fc")


def test_an_api_token_goes_without_an_organisation() -> None:
    headers = endpoint(org_id="acme").headers
    assert headers["Authorization"] == "Bearer xaat-secret"
    assert "X-Axiom-Org-Id" not in headers


def test_a_personal_token_names_its_organisation() -> None:
    headers = endpoint("https://api.axiom.co", "xapt-secret", org_id="acme").headers
    assert headers["X-Axiom-Org-Id"] == "acme"


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("https://api.axiom.co", "xapt-secret", "org_id"),
        ("https://edge.example", "xapt-secret", "personal token"),
        ("https://edge.example", "xaat-secret\n", "characters"),
        ("https://edge.example", "xaat-…", "characters"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(url, token, words) -> None:
    with pytest.raises(SinkMisconfigured, match=words) as caught:
        endpoint(url, token)
    assert caught.value.hint
    assert "secret" not in caught.value.message


def test_the_token_is_not_in_the_endpoint_s_text() -> None:
    assert "secret" not in repr(endpoint())


@pytest.mark.parametrize(
    ("url", "exposed"),
    [("http://collector.example", True), ("http://127.0.0.1:1", False), ("https://collector.example", False)],
)
def test_a_token_in_the_open_is_noticed(url, exposed) -> None:
    assert endpoint(url).exposed is exposed
