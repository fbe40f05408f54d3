"""Requests made from the OpenAPI document, valid and not: none is the server's fault, and none goes unanswered."""

import json
import time

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

from assay.rewards import rules
from assay.serving.app import create_app
from assay.serving.loopback import on_loopback
from assay.serving.policy import MediaPolicy
from assay.serving.service import Entry, Service


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    """A stream: what is a list as its items a line each, anything else as one line."""
    return b"".join(json.dumps(item).encode() + b"\n" for item in (value if isinstance(value, list) else [value]))


@pytest.fixture(scope="module")
def url():
    entries = [Entry("length", lambda: rules.length(per_words=1)), Entry("exact", rules.exact_match)]
    with on_loopback(create_app(Service(entries), policy=MediaPolicy(max_body=1_000_000), pickle=True)) as found:
        while httpx.get(f"{found}/ready").status_code != 200:
            time.sleep(0.02)
        yield found


@pytest.fixture(scope="module")
def document(url):
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def operations():
    """Every operation of the document, by its label; that of an application that is not served."""
    made = create_app(Service([Entry("length", lambda: rules.length(per_words=1))]), pickle=True).openapi()
    return [f"{method.upper()} {path}" for path, item in made["paths"].items() for method in item]


def tried(url, document, label, examples):
    operation = next(each.ok() for each in document.get_all_operations() if each.ok().label == label)
    answered = []

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    @given(case=operation.as_strategy())
    def ask(case):
        response = case.call(base_url=url, timeout=20)
        answered.append(response.status_code)
        case.validate_response(response, checks=(not_a_server_error,))

    ask()
    return answered


@pytest.mark.parametrize("label", operations())
def test_no_request_is_the_server_s_fault(url, document, label):
    assert tried(url, document, label, 12)


@pytest.mark.slow
@pytest.mark.parametrize("label", operations())
def test_no_request_of_very_many_is_the_server_s_fault(url, document, label):
    assert tried(url, document, label, 100)


def test_the_server_still_answers(url):
    content = {"records": [{"prompt": "a", "responses": ["b c"]}]}
    assert httpx.post(f"{url}/v1/scores", json=content).json()["rows"][0]["value"] == 2
