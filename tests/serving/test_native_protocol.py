import asyncio
import gzip
import json
import logging
import math
import socket
import time

import httpx
import pytest
from asked import Told, client, offline, told

from assay.media import Image
from assay.records import Record
from assay.rewards.base import score
from assay.serving.app import create_app
from assay.serving.loopback import on_loopback
from assay.serving.policy import MediaPolicy
from assay.serving.rows import read_rows
from assay.serving.service import Entry, Service

RED = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


@pytest.fixture(scope="module")
def http():
    with client() as asked:
        yield asked


def post(http, records, **more):
    return http.post("/v1/scores", json={"records": records, **more})


def test_scores_are_those_of_the_reward_itself(http):
    rows = [
        {"id": "a", "prompt": "What is 2 + 2?", "responses": ["4", "five"]},
        {
            "id": "b",
            "prompt": [{"role": "user", "content": "Hi"}],
            "responses": [[{"role": "assistant", "content": "Ho"}]],
        },
    ]
    answer = post(http, rows).json()
    expected = offline([Record.of("What is 2 + 2?", ["4", "five"]), Record.of("Hi", ["Ho"])])
    assert [row["value"] for row in answer["rows"]] == expected
    assert [row["id"] for row in answer["rows"]] == ["a/0", "a/1", "b/0"]
    assert answer["counts"] == {"ok": 3}
    assert answer["reward"] == "told"
    assert len(answer["fingerprint"]) == 64
    assert answer["rows"][0]["attributes"] == {"holds_label": [1.0, "ok"]}
    assert answer["rows"][0]["steps"] == [1.0]


def test_a_column_that_the_reward_needs_reaches_it_and_feedback_does_not(http):
    row = {
        "prompt": "?",
        "responses": ["4", "5"],
        "context": {"label": "4"},
        "feedback": [{"type": "rating", "response": 0, "value": 1.0}],
    }
    rows = post(http, [row]).json()["rows"]
    assert [row["attributes"]["holds_label"][0] for row in rows] == [1.0, 0.0]


def test_a_picture_by_its_bytes_is_seen(http):
    content = [{"type": "image_url", "image_url": {"url": RED}}, {"type": "text", "text": "?"}]
    with_picture = {"prompt": [{"role": "user", "content": content}], "responses": ["red"]}
    rows = post(http, [with_picture, {"prompt": "?", "responses": ["red"]}]).json()["rows"]
    assert rows[0]["value"] - rows[1]["value"] == 10


BAD = [
    ("a number", 7, "invalid", "prompt"),
    ("no responses", {"prompt": "?"}, "invalid", "responses"),
    ("an empty list", {"prompt": "?", "responses": []}, "invalid", "without a response"),
    (
        "a misspelt field",
        {"prompt": "?", "responses": ["a"], "contxt": {"label": "a"}},
        "invalid",
        "did you mean 'context'",
    ),
    ("a column", {"prompt": "?", "responses": ["a"], "label": "a"}, "invalid", "belong into context"),
    (
        "a path",
        {"prompt": [{"role": "user", "content": [{"type": "image", "path": "/etc/passwd"}]}], "responses": ["a"]},
        "unreadable_media",
        "path_not_allowed",
    ),
    (
        "an address",
        {"prompt": [{"role": "user", "content": [{"type": "image", "url": "http://x/y.png"}]}], "responses": ["a"]},
        "unreadable_media",
        "url_not_allowed",
    ),
    ("no role", {"prompt": [{"content": "?"}], "responses": ["a"]}, "invalid", ""),
    ("one response without a list", {"prompt": "?", "responses": "abc"}, "invalid", "give a list"),
    ("one message", {"prompt": "?", "responses": {"role": "assistant", "content": "a"}}, "invalid", "give a list"),
    ("messages", {"prompt": "?", "responses": [{"role": "assistant", "content": "a"}]}, "invalid", "a list of mess"),
    ("nothing", {"prompt": "?", "responses": [None]}, "invalid", "a response is a string"),
    ("a turn", {"prompt": {"role": "user", "content": "?"}, "responses": ["a"]}, "invalid", "into a list"),
    ("bad feedback", {"prompt": "?", "responses": ["a"], "feedback": [{"type": "x"}]}, "invalid", "feedback"),
]


@pytest.mark.parametrize(("row", "status", "cause"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_a_row_that_cannot_be_read_keeps_its_place_and_says_why(http, row, status, cause):
    good = {"prompt": "?", "responses": ["a"]}
    rows = post(http, [good, row, good]).json()["rows"]
    assert [each["status"] for each in rows] == ["ok", status, "ok"]
    assert rows[1]["value"] is None
    assert cause in rows[1]["message"]


def test_every_response_of_an_unreadable_row_is_answered(http):
    answer = post(http, [{"id": "x", "prompt": 3, "responses": ["a", "b", "c"]}]).json()
    assert [row["id"] for row in answer["rows"]] == ["x/0", "x/1", "x/2"]
    assert answer["counts"] == {"invalid": 3}


def test_equal_ids_are_refused_with_both_positions(http):
    answer = post(http, [{"id": "a", "prompt": "?", "responses": ["a"]}] * 2)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "duplicate_ids"
    assert "records 0 and 1" in answer.json()["error"]["message"]


def test_very_many_rows_without_a_response_are_refused_together(http):
    answer = http.post("/v1/scores", json={"records": [{}] * 70_000})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"records": [], "rewrd": "told"}, 422, "rewrd"),
        ({}, 422, "records"),
        ({"records": [], "seconds": -1}, 422, "seconds"),
        ({"records": [], "seconds": "NaN"}, 422, "seconds"),
        ({"records": [], "reward": "nobody"}, 404, "nobody"),
        ({"records": [], "reward": "told@00000000"}, 404, "told"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_words(http, body, code, said):
    answer = http.post("/v1/scores", json=body)
    assert answer.status_code == code
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"records": [' + b"[" * 5000])
def test_what_is_no_json_is_refused(http, body):
    answer = http.post("/v1/scores", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("body", "headers", "code", "said"),
    [
        (b'{"records": []}', {"content-type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
        (b'{"records": []}', {}, 415, "Content-Type: application/json"),
        (
            gzip.compress(b'{"records": []}', mtime=0),
            {"content-type": "application/json", "content-encoding": "gzip"},
            415,
            "gzip",
        ),
        ('{"reward": "é"}'.encode("latin-1"), {"content-type": "application/json"}, 400, "UTF-8"),
    ],
)
def test_a_body_of_another_kind_is_refused_in_words(http, body, headers, code, said):
    answer = http.post("/v1/scores", content=body, headers=headers)
    assert answer.status_code == code
    assert said in answer.json()["error"]["message"]


def test_a_compressed_stream_is_refused_and_one_that_is_not_is_taken(http):
    line = b'{"prompt": "a", "responses": ["b"]}\n'
    packed = http.post("/v1/scores/stream", content=gzip.compress(line), headers={"content-encoding": "gzip"})
    assert packed.status_code == 415
    plain = http.post("/v1/scores/stream", content=line, headers={"content-encoding": "identity"})
    assert json.loads(plain.text.splitlines()[-1])["summary"]["counts"] == {"ok": 1}


@pytest.mark.parametrize(
    "address",
    [
        RED[:40] + "\r\n" + RED[40:60] + "\n " + RED[60:],
        RED.replace("base64", "BASE64"),
        RED.replace("image/png", "image/png;charset=utf-8"),
        RED.replace("image/png", ""),
    ],
)
def test_a_data_uri_is_read_however_it_is_written(http, address):
    prompt = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": address}}]}]
    (row,) = post(http, [{"prompt": prompt, "responses": ["a"]}]).json()["rows"]
    assert (row["status"], row["value"]) == ("ok", 111.0)


def test_an_empty_picture_is_a_damaged_one_as_it_is_offline():
    from assay.testing import learned_reward, tiny_llava

    reward = learned_reward(tiny_llava())
    empty = Record.of([Image.from_bytes(b"")], ["a"])
    (expected,) = score(reward, [empty]).messages
    for picture in (
        {"type": "image", "data": ""},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
    ):
        with client(Entry("p", lambda: reward)) as asked:
            (row,) = post(asked, [{"prompt": [{"role": "user", "content": [picture]}], "responses": ["a"]}]).json()[
                "rows"
            ]
        assert (row["status"], row["message"]) == ("unreadable_media", expected)


def test_no_records_are_no_rows(http):
    assert post(http, []).json()["rows"] == []


def test_unpaired_surrogates_come_back_as_they_went(http):
    body = '{"records": [{"id": "\\ud83d", "prompt": "\\u0000\\ud800", "responses": ["\\u202eab"]}]}'
    answer = http.post("/v1/scores", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["rows"][0]["record"] == "\ud83d"


def test_an_unknown_address_and_method_are_json_too(http):
    assert http.get("/nowhere").json()["error"]["code"] == "not_found"
    assert http.get("/v1/scores").json()["error"]["code"] == "method_not_allowed"


def test_what_is_served_is_told(http):
    (told_of,) = http.get("/v1/rewards").json()["rewards"]
    assert told_of["name"] == "told"
    assert told_of["current"]
    assert told_of["spec"]["needs"] == ["label"]
    assert told_of["spec"]["modalities"] == ["image", "text", "video"]
    assert http.get("/health").json() == {"status": "ok", "rewards": {"told": ["ready"]}}
    assert b"assay" in http.get("/metrics").content


def test_every_example_of_the_openapi_document_works(http):
    posted = 0
    for path, item in http.get("/openapi.json").json()["paths"].items():
        for media in item.get("post", {}).get("requestBody", {}).get("content", {}).values():
            for name, example in media.get("examples", {}).items():
                answer = http.post(path, json=example["value"])
                assert answer.status_code == 200, (path, name, answer.text)
                posted += 1
            if "example" in media:
                assert http.post(path, content=media["example"]).status_code == 200
                posted += 1
    assert posted > 20


class TestStream:
    def lines(self, http, body, **query):
        answer = http.post("/v1/scores/stream", content=body, params=query)
        return answer, [json.loads(line) for line in answer.text.splitlines()]

    def test_rows_come_in_order_with_their_lines_and_a_summary(self, http):
        rows = [{"id": f"r{i}", "prompt": "?", "responses": ["a" * i, "b"]} for i in range(1, 200)]
        answer, lines = self.lines(http, "\n".join(json.dumps(row) for row in rows))
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        *scored, last = lines
        assert [row["id"] for row in scored] == [f"r{i}/{k}" for i in range(1, 200) for k in range(2)]
        assert [row["line"] for row in scored] == [i for i in range(1, 200) for _ in range(2)]
        expected = offline([Record.of("?", ["a" * i, "b"]) for i in range(1, 200)])
        assert [row["value"] for row in scored] == expected
        assert last["summary"]["counts"] == {"ok": 398}

    def test_a_bad_line_is_a_row_and_the_rest_goes_on(self, http):
        good = json.dumps({"prompt": "?", "responses": ["a"]})
        _, lines = self.lines(http, f"{good}\n{{\n\n[]\r\n{good}")
        assert [(row["line"], row["status"]) for row in lines[:-1]] == [
            (1, "ok"),
            (2, "invalid"),
            (4, "invalid"),
            (5, "ok"),
        ]
        assert "bad_json" in lines[1]["message"]
        assert lines[-1]["summary"]["counts"] == {"ok": 2, "invalid": 2}

    def test_a_line_over_the_limit_is_a_row_and_is_not_held(self):
        from assay.serving.policy import MediaPolicy

        good = json.dumps({"prompt": "?", "responses": ["a"]})
        with client(policy=MediaPolicy(max_body=10_000)) as http:
            _, lines = self.lines(http, f'{good}\n{{"prompt": "{"x" * 50_000}"\n{good}\n')
        assert [(row["line"], row["status"]) for row in lines[:-1]] == [(1, "ok"), (2, "invalid"), (3, "ok")]
        assert "too_large" in lines[1]["message"]

    def test_a_line_of_very_many_values_is_a_row_and_is_not_read(self):
        good = json.dumps({"prompt": "?", "responses": ["a"]})
        many = '{"prompt": "?", "responses": ["a"], "context": {"x": [' + "{}," * 1_000_000 + "1]}}"
        with client() as http:
            _, lines = self.lines(http, f"{good}\n{many}\n{good}\n")
        assert [(row["line"], row["status"]) for row in lines[:-1]] == [(1, "ok"), (2, "invalid"), (3, "ok")]
        assert "too_large" in lines[1]["message"]

    def test_what_the_queue_could_never_hold_is_a_row_and_the_rest_is_scored(self):
        from asked import Told
        from fastapi.testclient import TestClient

        from assay.serving.app import create_app
        from assay.serving.queue import QueueLimits
        from assay.serving.service import Entry, Service

        rows = [{"prompt": "?", "responses": ["a" * (9_000 if i == 3 else 300)]} for i in range(12)]
        service = Service([Entry("told", Told)], limits=QueueLimits(tokens=500))
        with TestClient(create_app(service)) as http:
            for _ in range(1_000):
                if http.get("/ready").status_code == 200:
                    break
                time.sleep(0.01)
            _, lines = self.lines(http, "\n".join(json.dumps(row) for row in rows))
        assert [row["line"] for row in lines[:-1]] == list(range(1, 13))
        assert [row["status"] for row in lines[:-1]] == ["ok"] * 3 + ["invalid"] + ["ok"] * 8
        assert "too_large" in lines[3]["message"]

    def test_an_empty_stream_has_a_summary(self, http):
        assert self.lines(http, "")[1][0]["summary"]["responses"] == 0

    def test_an_unknown_reward_is_refused_before_it_begins(self, http):
        assert self.lines(http, "", reward="nobody")[0].status_code == 404


class TestVersions:
    TOKEN = {"Authorization": "Bearer secret-token"}

    def test_two_versions_are_asked_side_by_side_promoted_and_rolled_back(self):
        with client(told("told"), told("told", more=0.5), tokens=["secret-token"], headers=self.TOKEN) as http:
            first, second = http.get("/v1/rewards").json()["rewards"]
            assert (first["current"], second["current"]) == (True, False)

            def value(name):
                return post(http, [{"prompt": "?", "responses": ["a"]}], reward=name).json()["rows"][0]["value"]

            plain = value("told")
            assert value(f"told@{second['fingerprint'][:8]}") == plain + 0.5
            assert http.post("/v1/rewards/told/promote", json={"fingerprint": second["fingerprint"][:12]}).json()[
                "current"
            ]
            assert value("told") == plain + 0.5
            assert value(f"told@{first['fingerprint'][:8]}") == plain
            assert http.post("/v1/rewards/told/rollback").status_code == 200
            assert value("told") == plain
            assert http.post("/v1/rewards/told/rollback").status_code == 422
            assert http.post("/v1/rewards/nobody/rollback").status_code == 404

    @pytest.mark.parametrize("name", ["org/model", "/models/mine"])
    def test_a_hub_id_or_a_directory_is_a_name(self, name):
        with client(told(name), told(name, more=0.5), tokens=["secret-token"], headers=self.TOKEN) as http:
            second = http.get("/v1/rewards").json()["rewards"][1]
            assert http.post(f"/v1/rewards/{name}/promote", json={"fingerprint": second["fingerprint"]}).json()[
                "current"
            ]
            asked = {"model": name, "input": "a", "use_activation": False}
            assert http.post("/pooling", json=asked).json()["model"].startswith(f"{name}@{second['fingerprint'][:8]}")
            assert http.post(f"/v1/rewards/{name}/rollback").status_code == 200

    def test_without_a_token_nobody_changes_what_is_served(self, http):
        answer = http.post("/v1/rewards/told/promote", json={"fingerprint": "0" * 8})
        assert answer.status_code == 403
        assert "token" in answer.json()["error"]["message"]

    def test_one_of_several_processes_changes_nothing(self):
        with client(tokens=["secret-token"], headers=self.TOKEN, alone=False) as http:
            assert http.post("/v1/rewards/told/rollback").status_code == 403


def test_a_reward_that_raises_is_a_failure_of_its_rows():
    from assay.serving.service import Entry

    def broken():
        def reward(records):
            raise RuntimeError("out of order")

        return reward

    with client(Entry("broken", broken), told("told")) as http:
        answer = post(http, [{"prompt": "?", "responses": ["a"]}]).json()
        assert answer["rows"][0]["status"] == "failed"
        assert "out of order" in answer["rows"][0]["message"]
        assert post(http, [{"prompt": "?", "responses": ["a"]}], reward="told").json()["counts"] == {"ok": 1}


def test_a_value_that_is_not_finite_is_null_with_a_status():
    from assay.serving.service import Entry

    def infinite():
        from assay.rewards.base import scores_of

        return lambda records: scores_of(records, [math.inf] * sum(len(record.responses) for record in records))

    with client(Entry("infinite", infinite)) as http:
        row = post(http, [{"prompt": "?", "responses": ["a"]}]).json()["rows"][0]
        assert (row["value"], row["status"]) == (None, "non_finite")


def test_native_values_keep_their_sign():
    with client(told("low", better="lower")) as http:
        value = post(http, [{"prompt": "?", "responses": ["a"]}]).json()["rows"][0]["value"]
        assert value == offline([Record.of("?", ["a"])], Told(better="lower"))[0]


def test_a_reward_that_cannot_be_loaded_is_never_ready():
    from fastapi.testclient import TestClient

    from assay.serving.app import create_app
    from assay.serving.service import Entry, Service

    def broken():
        raise RuntimeError("no weights here")

    said = []
    with TestClient(create_app(Service([Entry("broken", broken)]), started=said.append)) as http:
        for _ in range(1_000):
            if said:
                break
            time.sleep(0.01)
        assert isinstance(said[0], RuntimeError)
        answer = http.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "not_loaded"
        assert http.get("/health").status_code == 200
        assert http.post("/v1/scores", json={"records": [{"prompt": "?", "responses": ["a"]}]}).status_code == 503


def test_a_stream_is_answered_by_the_version_that_it_began_with():
    token = {"Authorization": "Bearer secret-token"}
    service = Service([told("told"), told("told", more=0.5)])
    with on_loopback(create_app(service, policy=MediaPolicy(), tokens=["secret-token"])) as url:
        while httpx.get(f"{url}/ready").status_code != 200:
            time.sleep(0.01)
        first, second = (
            each["fingerprint"] for each in httpx.get(f"{url}/v1/rewards", headers=token).json()["rewards"]
        )

        def lines():
            for number in range(600):
                if number == 300:
                    time.sleep(0.5)
                    moved = httpx.post(f"{url}/v1/rewards/told/promote", json={"fingerprint": second}, headers=token)
                    assert moved.json()["current"]
                yield f'{{"prompt": "p{number}", "responses": ["a"]}}\n'.encode()

        answer = httpx.post(f"{url}/v1/scores/stream", content=lines(), headers=token, timeout=30)
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert rows[-1]["summary"]["fingerprint"] == first
        assert len(rows) == 601
        assert {row["value"] % 1 for row in rows[:-1]} == {0.0}
        assert httpx.post(f"{url}/v1/scores", json={"records": []}, headers=token).json()["fingerprint"] == second


@pytest.mark.parametrize("path", ["/flow_grpo", "/api/reward/enqueue", "/v1/scores", "/v1/scores/stream"])
def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_the_server(caplog, path):
    app = create_app(Service([told("told")]), policy=MediaPolicy(), pickle=True)
    with caplog.at_level(logging.WARNING), on_loopback(app) as url:
        while httpx.get(f"{url}/ready").status_code != 200:
            time.sleep(0.01)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as left:
            head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
            left.sendall(f"POST {path} HTTP/1.1\r\n{head}".encode() + b"{}")
            time.sleep(0.2)
        time.sleep(0.2)
        assert httpx.get(f"{url}/health").status_code == 200
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_loop_turns_while_very_many_rows_are_read():
    async def turned() -> int:
        turns = 0

        async def turn():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.create_task(turn())
        read = await read_rows([{"prompt": f"p{i}", "responses": ["a"]} for i in range(5_000)], MediaPolicy())
        assert len(read) == 5_000
        turning.cancel()
        return turns

    assert asyncio.run(turned()) > 10
