"""`assay search` and `assay refine` with a model behind an address: at once, kept, within budget, asked again."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assay.cli.main import app
from assay.models.endpoints.written_out import EndpointReferenceError, endpoint_from, is_endpoint
from assay.records import read

REWARD = """
import threading
from assay.rewards.base import scores_of

inside = threading.Lock()


def goodness(records):
    assert inside.acquire(blocking=False), "called by two threads at once"
    try:
        return scores_of(records, [float(r.text.count("good")) for record in records for r in record.responses])
    finally:
        inside.release()
"""


class Lines(BaseHTTPRequestHandler):
    """Three lines of good or bad by the seed; a critic's verdict where it is asked for one; deaf to what is lost."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server: Any = self.server
        with server.lock:
            server.asked.append(asked)
            server.now += 1
            server.most = max(server.most, server.now)
        time.sleep(0.006)
        text = json.dumps(asked["messages"])
        body = {"error": {"message": "no such luck"}} if server.lost and server.lost in text else said(asked)
        raw = json.dumps(body).encode()
        with server.lock:
            server.now -= 1
        self.send_response(400 if "error" in body else 200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def said(asked: dict[str, Any]) -> dict[str, Any]:
    rng = random.Random(f"{asked.get('seed')} {asked['messages'][-1]['content']}")
    last = asked["messages"][-1]
    so_far = last["content"].splitlines() if last["role"] == "assistant" else []
    text = "".join(
        ("\n" if number or so_far else "") + rng.choice(["good", "bad"]) for number in range(3 - len(so_far))
    )
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 3}}


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Lines)
    made.daemon_threads = True
    made.lock, made.asked, made.now, made.most, made.lost = threading.Lock(), [], 0, 0, ""
    made.url = f"http://127.0.0.1:{made.server_port}/v1"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "reward.py").write_text(f"{REWARD}\n# {tmp_path}\n")
    rows = [{"id": f"r{number}", "prompt": f"question {number}", "responses": []} for number in range(6)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(place: Path, command: str, output: str, *options: str) -> Result:
    given = [f"{place}/reward.py:goodness", str(place / "data.jsonl"), "-o", str(place / output)]
    return CliRunner().invoke(app, [command, *given, *options])


@pytest.mark.parametrize("how", ["best-of", "beam", "tree", "particles"])
def test_records_are_searched_at_once_and_a_kept_search_needs_no_endpoint(place: Path, server: Any, how: str) -> None:
    options = ["--how", how, "--n", "3", "--json"]
    generator = f"m@{server.url}?at_once=3&replay={place}/kept"
    done = run(place, "search", "one.jsonl", "--generator", generator, *options)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert 2 <= server.most <= 3
    assert facts["cost"]["calls"] == len(server.asked)
    assert facts["tokens"] == facts["cost"]["written"] == 3 * len(server.asked)
    assert facts["lost"] == 0
    asked = len(server.asked)
    traces = list(read(place / "one.jsonl"))
    assert [trace.id for trace in traces] == [f"r{number}" for number in range(6)]
    assert all(len(each.text.splitlines()) == 3 for trace in traces for each in trace.responses)
    again = run(place, "search", "two.jsonl", "--generator", generator, *options)
    assert again.exit_code == 0, again.output
    assert len(server.asked) == asked
    assert [trace.responses for trace in read(place / "two.jsonl")] == [trace.responses for trace in traces]
    alone = run(place, "search", "three.jsonl", "--generator", f"m@{server.url}?at_once=1", *options)
    assert alone.exit_code == 0, alone.output
    assert [trace.responses for trace in read(place / "three.jsonl")] == [trace.responses for trace in traces]


def test_what_was_lost_is_told_and_asked_again(place: Path, server: Any) -> None:
    server.lost = "question 4"
    generator = ["--generator", f"m@{server.url}", "--n", "4"]
    done = run(place, "search", "out.jsonl", *generator)
    assert done.exit_code == 1
    assert "nothing for 1 record: invalid: HTTP 400: no such luck" in done.stdout
    assert "4 draws failed: invalid" in done.stdout
    server.lost, asked = "", len(server.asked)
    assert run(place, "search", "out.jsonl", *generator).exit_code == 1
    assert len(server.asked) == asked, "a finished run asks nobody"
    last = run(place, "search", "out.jsonl", *generator, "--retry", "--json")
    assert last.exit_code == 0, last.output
    assert len(server.asked) == asked + 4
    assert [len(trace.responses) for trace in read(place / "out.jsonl")] == [4] * 6


def test_a_budget_holds_over_all_records(place: Path, server: Any) -> None:
    generator = f"m@{server.url}?money=0.001&price_read=1&price_written=1&max_tokens=20"
    done = run(place, "search", "out.jsonl", "--generator", generator, "--n", "50", "--json")
    facts = json.loads(done.stdout)
    assert 0 < facts["cost"]["money"] <= 0.001
    assert facts["lost"] > 0
    assert "budget" in facts["why_lost"]


def test_refining_asks_for_several_records_at_once_and_is_replayed(place: Path, server: Any) -> None:
    options = ["--critic", f"m@{server.url}?at_once=4&replay={place}/kept", "--rounds", "1", "--json"]
    options += ["--generator", f"w@{server.url}?replay={place}/kept"]
    done = run(place, "refine", "one.jsonl", *options)
    assert server.most >= 2
    facts = json.loads(done.stdout)
    assert facts["calls"] == len(server.asked) > 0
    assert {each["model"] for each in server.asked} == {"m", "w"}
    asked = len(server.asked)
    run(place, "refine", "two.jsonl", *options)
    assert len(server.asked) == asked
    one, two = list(read(place / "one.jsonl")), list(read(place / "two.jsonl"))
    assert [each.responses for each in one] == [each.responses for each in two]
    assert len(one) == 6


def test_refining_again_asks_for_what_failed_alone(place: Path, server: Any) -> None:
    server.lost = "question 2"
    critic = place / "critic.py"
    critic.write_text(
        "from assay.rewards.critics import Remark\n\n"
        "def content(records):\n    return [Remark(right=True) for record in records for _ in record.responses]\n"
    )
    options = ["--critic", f"{critic}:content", "--generator", f"w@{server.url}"]
    assert run(place, "refine", "out.jsonl", *options).exit_code == 1
    server.lost, asked = "", len(server.asked)
    assert run(place, "refine", "out.jsonl", *options, "--retry").exit_code == 0
    assert len(server.asked) == asked + 1
    assert [len(trace.responses) for trace in read(place / "out.jsonl")] == [1] * 6


def test_how_an_endpoint_is_written() -> None:
    found = endpoint_from("org/model:7b@https://host/v1?key=KEY&at_once=2&temperature=0.5", max_tokens=9, temperature=1)
    assert (found.model, found.url, found.key) == ("org/model:7b", "https://host/v1", "KEY")
    assert (found.at_once, found.temperature, found.max_tokens) == (2, 0.5, 9)
    assert not is_endpoint("some/directory")
    with pytest.raises(EndpointReferenceError, match="no option 'colour'; there are key"):
        endpoint_from("m@http://127.0.0.1/v1?colour=red")
    with pytest.raises(EndpointReferenceError, match="at_once=many of an endpoint is no number"):
        endpoint_from("m@http://127.0.0.1/v1?at_once=many")
    with pytest.raises(EndpointReferenceError, match="does not read MODEL@URL"):
        endpoint_from("somewhere")
