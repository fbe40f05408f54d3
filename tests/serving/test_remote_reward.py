"""A reward on a server is a reward: the same scores, every failure a row's, and no changed model unnoticed."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from assay.media import Image
from assay.models.endpoints.patience import Patience
from assay.records import Record
from assay.records.record import Response
from assay.rewards import rules
from assay.rewards.base import fingerprint, score, spec_of
from assay.runs.score import score_file
from assay.scores import Scores, Status
from assay.serving.admission import MediaPolicy
from assay.serving.app import create_app
from assay.serving.client import (
    ChangedRewardError,
    RemoteError,
    RemoteReward,
    ServerLostError,
    connect,
    from_reference,
)
from assay.serving.loopback import on_loopback
from assay.serving.service import Entry, Service

QUICK = Patience(attempts=3, first=0.01, longest=0.5)


@contextmanager
def serving(policy=None, tokens=(), **rewards):
    entries = [Entry(name, lambda kept=reward: kept) for name, reward in rewards.items()]
    with on_loopback(create_app(Service(entries), policy=policy, tokens=tokens)) as url:
        ends = time.monotonic() + 60
        while True:
            try:
                connect(url, token=tokens[0] if tokens else None)
                break
            except RemoteError:
                assert time.monotonic() < ends
                time.sleep(0.02)
        yield url


RECORDS = [
    Record.of(f"question {i}", [f"{'word ' * (i % 5)}{i}", "", "★ \x00 ‮"], id=f"r{i}", answer=str(i)) for i in range(30)
]
ODD = [Record.of("\ud800 alone", ["\udfff", "a\x00b", "👩‍👩‍👧 " * 3], id="\ud801", answer="\ud800")]


def close(ours, theirs, tolerance=0.0):
    assert ours.ids == theirs.ids
    assert ours.status == theirs.status
    assert ours.group.tolist() == theirs.group.tolist()
    assert torch.allclose(ours.values.double(), theirs.values.double(), rtol=0, atol=tolerance, equal_nan=True)


@pytest.fixture(scope="module")
def text():
    from assay.testing import learned_reward

    return learned_reward()


@pytest.fixture(scope="module")
def url(text):
    with serving(words=rules.length(per_words=1), text=text, exact=rules.exact_match()) as found:
        yield found


def test_scores_over_http_are_those_of_the_reward_itself(url, text):
    remote = connect(url, "text", batch=7, at_once=3)
    close(score(remote, RECORDS), score(text, RECORDS), 1e-5)
    assert spec_of(remote) == replace(spec_of(text))
    assert remote.fingerprint() == fingerprint(text)


def test_no_record_gives_no_row(url):
    assert len(connect(url, "words")([])) == 0


def test_records_of_one_id_are_scored_as_here(url):
    records = [Record.of("q", ["a b", "c"], id="x"), Record.of("q", ["a"], id="x~1"), Record.of("q", ["a b c"], id="x")]
    records += [Record.of("q", ["same"]), Record.of("q", ["same"])]
    found = connect(url, "words")(records)
    close(found, score(rules.length(per_words=1), records))
    assert found.ids == ("x/0", "x/1", "x~1/0", "x/0", *(f"{record.id}/0" for record in records[3:]))


def test_a_forked_process_makes_connections_of_its_own():
    clients = []

    class Noting(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self):
            found = super().get_request()
            clients.append(found[1])
            return found

    with scripted(GOOD, server=Noting) as (url, _):
        connect(url)
        child = os.fork()
        if child == 0:
            try:
                RemoteReward(url)._asked()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        connect(url)
    assert len(clients) == 2, "one connection of each process, which is kept"


def test_needed_columns_are_sent_and_others_are_not(url):
    remote = connect(url, "exact")
    assert remote.spec.needs
    close(score(remote, RECORDS), score(rules.exact_match(), RECORDS))


def test_odd_text_arrives_as_it_is(url):
    close(score(connect(url, "words"), ODD), score(rules.length(per_words=1), ODD))
    close(score(connect(url, "exact"), ODD), score(rules.exact_match(), ODD))


def test_a_picture_reward_over_http_gives_what_it_gives_here(picture, tmp_path):
    from assay.testing import learned_reward, tiny_llava

    reward = learned_reward(tiny_llava())
    path = tmp_path / "shown.png"
    path.write_bytes(picture(seed=1).read())
    shown = [
        Image.from_path(path),
        picture(seed=2),
        picture(seed=3).cropped(4, 4, 40, 40),
        Image.from_path(tmp_path / "missing.png"),
    ]
    records = [Record.of([image, "which colour?"], ["red", "blue or so"], id=f"p{i}") for i, image in enumerate(shown)]
    with serving(pictures=reward) as url:
        found = connect(url)(records)
    here = score(reward, records)
    close(found, here, 1e-5)
    assert found.status[-2:] == (Status.UNREADABLE_MEDIA,) * 2
    assert "missing.png" in found.messages[-1]


def test_a_run_over_http_is_journalled_under_the_servers_fingerprint(url, text, tmp_path):
    remote = from_reference(f"{url}/text")
    summary = score_file(remote, RECORDS, tmp_path / "scores.jsonl", batch=8)
    again = score_file(from_reference(f"{url}/text@{fingerprint(text)[:10]}"), RECORDS, tmp_path / "scores.jsonl")
    assert summary.fingerprint == again.fingerprint == fingerprint(remote)
    assert again.resumed == len(RECORDS) * 3


def test_a_name_with_a_slash_is_written_with_its_escape(text):
    with serving(**{"org/text": text}) as url:
        assert from_reference(f"{url}/org%2Ftext").known.name == "org/text"


def test_the_async_twin_runs_beside_other_work(url, text):
    async def both():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        beside = asyncio.create_task(tick())
        found = await connect(url, "text").score_async(RECORDS)
        beside.cancel()
        return found, ticks

    found, ticks = asyncio.run(both())
    close(found, score(text, RECORDS), 1e-5)
    assert ticks > 3


def test_a_remote_reward_is_a_value(url):
    import pickle

    one, two = RemoteReward(url, "words"), RemoteReward(url + "/", "words")
    assert one == two
    assert repr(RemoteReward(url, "words", token="secret", batch=3)) == f"RemoteReward({url!r}, 'words')"
    assert repr(RemoteReward(url, follow=True)) == f"RemoteReward({url!r}, None, follow=True)"
    copied = pickle.loads(pickle.dumps(connect(url, "words")))
    assert len(copied(RECORDS[:1])) == 3


@pytest.mark.parametrize("wrong", ["ftp://x", "http://", "http://user:pass@host", "http://host/?x=1", "nothing"])
def test_an_address_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="address"):
        RemoteReward(wrong)


def test_what_cannot_be_asked_is_said(url):
    with pytest.raises(RemoteError, match="does not serve nobody; it serves words@"):
        connect(url, "nobody")
    with pytest.raises(RemoteError, match="cannot be asked"):
        connect("http://127.0.0.1:9", patience=QUICK)


def test_rows_of_a_server_that_is_not_there_are_unavailable_or_end_the_run():
    scores = RemoteReward("http://127.0.0.1:9", patience=QUICK)(RECORDS[:2])
    assert set(scores.status) == {Status.UNAVAILABLE}
    with pytest.raises(ServerLostError, match="run it again"):
        RemoteReward("http://127.0.0.1:9", patience=QUICK, insist=True)(RECORDS[:2])


def test_a_token_is_needed_and_given(monkeypatch):
    with serving(words=rules.length(per_words=1), tokens=("s3cret",)) as url:
        with pytest.raises(RemoteError, match="wants a token"):
            connect(url, patience=QUICK)
        with pytest.raises(RemoteError, match="wants a token"):
            connect(url, token="other", patience=QUICK)
        monkeypatch.setenv("ASSAY_TOKEN", "s3cret")
        assert connect(url)(RECORDS[:1]).status[0] is Status.OK


def test_a_token_does_not_leave_this_machine_unencrypted():
    assert "Authorization" not in RemoteReward("http://example.com", token="s")._headers()
    assert "Authorization" in RemoteReward("https://example.com", token="s")._headers()
    assert "Authorization" in RemoteReward("http://example.com", token="s", insecure=True)._headers()


def test_a_record_too_large_for_the_server_is_a_row_and_the_others_are_scored():
    with serving(policy=MediaPolicy(max_body=5_000), words=rules.length(per_words=1)) as url:
        records = [Record.of("q", ["a b" if i != 3 else "long " * 2_000], id=f"r{i}") for i in range(6)]
        scores = connect(url)(records)
        assert [status is Status.OK for status in scores.status] == [True, True, True, False, True, True]
        assert scores.status[3] is Status.INVALID
        assert "413" in scores.messages[3]


# A server that answers as it is told, and counts what it was asked.


@contextmanager
def scripted(*replies, served=None, server=ThreadingHTTPServer):
    """``replies``: (code, headers, body or function of the request) in turn, the last for ever; the first is spent on
    what is served."""
    served = served or SERVED
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((time.monotonic(), self.path, body))
            told = replies[min(len(asked), len(replies)) - 1]
            code, headers, content = (200, {}, served) if self.path == "/v1/rewards" else told
            if code is None:
                self.close_connection = True
                return
            found = content(json.loads(body)) if callable(content) else content
            data = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(code)
            for name, value in {"Content-Length": len(data), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = reply  # noqa: N815

        def log_message(self, *_):
            pass

    server = server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


PRINT = "f" * 64
SPEC = {"modalities": ["text"], "needs": []}
SERVED = {"rewards": [{"name": "a", "fingerprint": PRINT, "recipe": "r", "spec": SPEC, "current": True, "ready": True}]}


def answered(body, fingerprint=PRINT):
    rows = [
        {"id": f"{row['id']}/{i}", "value": 1.0, "status": "ok", "message": ""}
        for row in body["records"]
        for i in range(len(row["responses"]))
    ]
    return {"reward": "a", "fingerprint": fingerprint, "rows": rows}


GOOD = (200, {}, answered)


def test_an_overloaded_server_is_asked_again_when_it_says():
    busy = (429, {"Retry-After": "1"}, {"error": {"code": "overloaded", "message": "full"}})
    with scripted(GOOD, busy, GOOD) as (url, asked):
        remote = connect(url, patience=Patience(attempts=3, first=0.01, longest=5))
        assert set(remote(RECORDS[:1]).status) == {Status.OK}
    _, (first, _, _), (last, _, _) = asked
    assert last - first >= 1.0


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ((503, {}, {"error": {"code": "draining", "message": "stopping"}}), Status.UNAVAILABLE),
        ((500, {}, b"oops"), Status.UNAVAILABLE),
        ((504, {}, b""), Status.TIMEOUT),
        ((429, {"Retry-After": "3600"}, b""), Status.UNAVAILABLE),
        ((None, {}, b""), Status.UNAVAILABLE),
        ((422, {}, {"error": {"code": "unprocessable", "message": "no"}}), Status.INVALID),
        ((401, {}, b""), Status.UNAVAILABLE),
        ((302, {"Location": "http://elsewhere/"}, b""), Status.INVALID),
        ((200, {}, b"<html>"), Status.UNPARSABLE),
        ((200, {}, {"rows": [], "fingerprint": PRINT}), Status.UNPARSABLE),
        (
            (200, {}, {"rows": [{"id": "r0/0", "value": "x", "status": "ok"}] * 3, "fingerprint": PRINT}),
            Status.UNPARSABLE,
        ),
        ((200, {}, [1]), Status.UNPARSABLE),
    ],
)
def test_every_failure_is_a_status(reply, status):
    with scripted(GOOD, reply) as (url, asked):
        scores = connect(url, patience=QUICK)(RECORDS[:1])
    assert set(scores.status) == {status}
    assert all(scores.messages)
    assert len(asked) <= 1 + QUICK.attempts
    assert all("elsewhere" not in path for _, path, _ in asked)


def test_a_server_that_is_silent_is_a_timeout_within_its_seconds(monkeypatch):
    monkeypatch.setattr("assay.serving.client._GRACE", 0.1)

    def late(body):
        time.sleep(3)
        return answered(body)

    with scripted(GOOD, (200, {}, late)) as (url, _):
        remote = connect(url, patience=QUICK)
        started = time.monotonic()
        scores = replace(remote, seconds=0.3)(RECORDS[:1])
        assert time.monotonic() - started < 2.5
        assert set(scores.status) == {Status.TIMEOUT}


def test_a_call_ends_in_time_whatever_the_server_says():
    with scripted(GOOD, (503, {}, b"")) as (url, _):
        remote = RemoteReward(url, within=0.4, patience=Patience(attempts=100, first=0.1, longest=0.2))
        started = time.monotonic()
        scores = remote(RECORDS[:1])
        assert time.monotonic() - started < 3
        assert set(scores.status) <= {Status.TIMEOUT, Status.UNAVAILABLE}


def test_a_changed_model_is_an_error_unless_it_is_followed():
    other = (200, {}, lambda body: answered(body, "e" * 64))
    with scripted(GOOD, other) as (url, asked):
        with pytest.raises(ChangedRewardError, match="answered as a@eeee"):
            connect(url)(RECORDS[:1])
        assert set(connect(url, follow=True)(RECORDS[:1]).status) == {Status.OK}
    assert json.loads(asked[1][2])["reward"] == f"a@{PRINT[:32]}"
    assert json.loads(asked[-1][2])["reward"] == "a"
    gone = (404, {}, {"error": {"code": "unknown_reward", "message": "gone"}})
    with scripted(GOOD, gone) as (url, _), pytest.raises(ChangedRewardError, match="no longer has"):
        connect(url)(RECORDS[:1])


def test_an_expected_version_that_is_not_served_is_an_error():
    with scripted(GOOD) as (url, _), pytest.raises(RemoteError, match="it serves a@ffff"):
        connect(url, "a@0000")


def test_requests_are_bounded_in_number_and_size():
    under_way, most = 0, 0
    lock = threading.Lock()

    def slow(body):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return answered(body)

    with scripted((200, {}, slow)) as (url, asked):
        scores = connect(url, batch=6, at_once=3)(RECORDS)
    assert len(scores) == 90
    assert most == 3
    assert max(len(json.loads(body)["records"]) for _, path, body in asked if path == "/v1/scores") == 2


def test_a_reward_that_depends_on_order_is_sent_whole():
    ordered = {**SPEC, "order_invariant": False}
    served = {"rewards": [{**SERVED["rewards"][0], "spec": ordered}]}
    with scripted(GOOD, served=served) as (url, asked):
        connect(url, batch=2)(RECORDS)
    assert [len(json.loads(body)["records"]) for _, path, body in asked if path == "/v1/scores"] == [30]


def test_the_command_line_scores_by_a_server(url, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"q{i}", "responses": ["a " * i, "b"]}) + "\n" for i in range(9)))
    command = [
        sys.executable,
        "-m",
        "assay",
        "score",
        f"{url}/words",
        str(data),
        "-o",
        str(tmp_path / "s.jsonl"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == {"ok": 18}
    values = [json.loads(line)["value"] for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert values[0::2] == list(range(9))


def test_responses_with_steps_keep_them(url):
    records = [Record.of("q", [Response.from_steps(["one", "two three"])], id="s")]
    found = connect(url, "words")(records)
    assert isinstance(found, Scores)
    close(found, score(rules.length(per_words=1), records))
