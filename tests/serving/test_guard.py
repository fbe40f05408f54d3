import base64
import secrets

import pytest
from asked import client

TOKENS = ["first-secret", "second-secret"]
ROW = {"records": [{"prompt": "?", "responses": ["a"]}]}


@pytest.fixture(scope="module")
def http():
    with client(tokens=TOKENS) as asked:
        yield asked


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


GOOD = [
    "Bearer first-secret",
    "bearer second-secret",
    "Bearer  first-secret",
    basic(":first-secret"),
    basic("first-secret:"),
    basic("me:second-secret"),
]
BAD = [
    None,
    "",
    "Bearer",
    "Bearer first",
    "Bearer first-secret2",
    "Basic first-secret",
    basic("first-secret:x"),
    "Token first-secret",
    "Bearer first-secret, Bearer x",
    "Basic %%%",
]


@pytest.mark.parametrize("header", GOOD)
def test_a_token_lets_in(http, header):
    assert http.post("/v1/scores", json=ROW, headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("header", BAD)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/scores",
        "/score",
        "/v1/models",
        "/metrics",
        "/openapi.json",
        "/nowhere",
        "/v1/health",
        "/health/",
        "//health",
    ],
)
def test_nothing_else_does(http, header, path):
    headers = {} if header is None else {"Authorization": header}
    answer = http.request("POST" if "score" in path else "GET", path, json=ROW, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"
    assert "secret" not in answer.text


def test_two_headers_are_one_too_many(http):
    headers = [("Authorization", "Bearer first-secret"), ("Authorization", "Bearer other")]
    assert http.post("/v1/scores", json=ROW, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_is_open(http, path):
    assert http.get(path).status_code == 200


def test_the_body_of_a_stranger_is_not_read(http):
    answer = http.post("/v1/scores", content=b"not json at all")
    assert answer.status_code == 401


def test_every_token_is_compared_in_constant_time(http, monkeypatch):
    compared = []

    def compare(known, token):
        compared.append(known)
        return real(known, token)

    real = secrets.compare_digest
    monkeypatch.setattr(secrets, "compare_digest", compare)
    http.get("/v1/models", headers={"Authorization": "Bearer first-secret"})
    assert compared == [b"first-secret", b"second-secret"]


def test_the_document_says_that_a_token_is_needed(http):
    document = http.get("/openapi.json", headers={"Authorization": "Bearer first-secret"}).json()
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"token": []}]
