"""`assay serve` as a person starts it: a process, curl, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app
from assay.cli.serve import name_for, named_rewards, read_tokens, read_upstream, refuse_open_door

REWARDS = """
import time
from assay.rewards import rules

words = rules.length(per_words=2)
right = rules.numeric_match("label")


def slow(records):
    from assay.rewards.base import scores_of

    time.sleep(1.5)
    return scores_of(records, [1.0] * sum(len(record.responses) for record in records))


def broken():
    raise RuntimeError("no weights here")
"""
RED = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
TOKEN = "a-long-secret"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    (folder / "mine.py").write_text(REWARDS)
    (folder / "tokens").write_text(f"# mine\n\n{TOKEN}\n")
    return folder


def test_processes_of_this_machine_are_none_of_a_cluster(place, monkeypatch):
    monkeypatch.chdir(place)
    with pytest.raises(UsageError, match="--replicas"):
        CliRunner().invoke(
            app,
            ["serve", "mine.py:words", "--engine", "ray", "--workers", "2", "--dry-run"],
            catch_exceptions=False,
        )


class Started:
    """A server in a process of its own."""

    def __init__(self, place, *options):
        program = [sys.executable, "-m", "assay", "serve", "--port", "0", "--json", *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ASSAY_TOKENS": ""}
        self.process = subprocess.Popen(
            program, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.facts = json.loads(self.process.stdout.readline() or self.process.stderr.read())
        self.address = self.facts["address"]

    def curl(self, path, body=None, *options):
        command = ["curl", "-sS", "--max-time", "30", "-H", f"Authorization: Bearer {TOKEN}", *options]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run([*command, self.address + path], capture_output=True, text=True, check=True)
        return done.stdout

    def ask(self, path, body=None, *options):
        return json.loads(self.curl(path, body, *options))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def server(place):
    started = Started(place, "mine.py:words", "mine.py:slow", "--name", "right=mine.py:right", "--token-file", "tokens")
    yield started
    started.process.kill()
    started.process.wait()


def test_it_says_what_it_serves(server):
    assert [each["name"] for each in server.facts["rewards"]] == ["right", "words", "slow"]
    assert server.facts["token"] is True
    assert server.facts["address"].startswith("http://127.0.0.1:")
    assert server.ask("/ready")["status"] == "ready"


def test_the_token_never_stands_in_the_list_of_processes(server):
    assert TOKEN not in Path(f"/proc/{server.process.pid}/cmdline").read_text()


CURLS = {
    "native": (
        "/v1/scores",
        {"reward": "words", "records": [{"prompt": "?", "responses": ["a b"]}]},
        lambda a: a["rows"][0]["value"],
    ),
    "vLLM score": (
        "/v1/score",
        {"model": "words", "text_1": "?", "text_2": "a b", "use_activation": False},
        lambda a: a["data"][0]["score"],
    ),
    "vLLM classify": (
        "/classify",
        {
            "model": "words",
            "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "a b"}],
            "use_activation": False,
        },
        lambda a: a["data"][0]["probs"][0],
    ),
    "vLLM pooling": (
        "/pooling",
        {"model": "words", "input": "a b", "use_activation": False},
        lambda a: a["data"][0]["data"][0],
    ),
    "rerank": (
        "/v2/rerank",
        {"model": "words", "query": "?", "documents": ["a b"], "use_activation": False},
        lambda a: a["results"][0]["relevance_score"],
    ),
    "OpenRLHF": (
        "/get_reward?reward=words",
        {"query": ["?a b"], "prompts": ["?"], "labels": [None]},
        lambda a: a["rewards"][0],
    ),
    "slime": ("/slime?reward=words", {"prompt": "?", "response": "a b", "label": ""}, lambda a: a),
    "LLaMA-Factory": ("/v1/score/evaluation", {"model": "words", "messages": ["a b"]}, lambda a: a["scores"][0]),
}


@pytest.mark.parametrize("dialect", CURLS)
def test_curl_in_each_dialect(server, dialect):
    path, body, read = CURLS[dialect]
    assert read(server.ask(path, body)) == 1.0


def test_curl_in_unirls_dialect_and_as_a_stream(server):
    request = {"requests": [{"history": [{"text": "?", "image_b64": RED}], "required_rewards": ["words"]}]}
    assert "unsupported_modality" in server.ask("/score", request)["errors"][0]["words"]
    lines = '{"prompt": "?", "responses": ["a b"]}\n{"prompt": "?", "responses": ["a b c d"]}\n'
    streamed = server.curl("/v1/scores/stream?reward=words", None, "--data-binary", lines, "-X", "POST")
    first, second, last = map(json.loads, streamed.splitlines())
    assert (first["value"], second["value"]) == (1.0, 2.0)
    assert last["summary"]["counts"] == {"ok": 2}


def test_a_stranger_is_sent_away(server):
    done = subprocess.run(["curl", "-s", server.address + "/v1/rewards"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["error"]["code"] == "unauthorized"
    with_password = server.address.replace("http://", f"http://:{TOKEN}@")
    done = subprocess.run(["curl", "-s", with_password + "/rewards"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"rewards": ["right", "words", "slow"]}


def test_sigterm_lets_accepted_work_finish_and_ends_with_0(server):
    body = json.dumps({"reward": "slow", "records": [{"prompt": "?", "responses": ["a"]}]})
    headers = ["-H", f"Authorization: Bearer {TOKEN}", "-H", "Content-Type: application/json"]
    command = ["curl", "-sS", *headers, "-d", body, server.address + "/v1/scores"]
    asked = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(0.7)
    assert server.stop() == 0
    out, _ = asked.communicate(timeout=10)
    assert json.loads(out)["rows"][0]["value"] == 1.0


@pytest.mark.slow
def test_several_processes_share_the_port_and_one_that_dies_is_replaced(place):
    server = Started(place, "mine.py:words", "--workers", "2", "--token-file", "tokens")
    body = {"records": [{"prompt": "?", "responses": ["a b"]}]}
    children = _children(server.process.pid)
    assert len(children) == 2
    assert all(server.ask("/v1/scores", body)["counts"] == {"ok": 1} for _ in range(8))
    assert server.ask("/v1/rewards/words/rollback", {})["error"]["code"] == "forbidden"
    os.kill(children[0], signal.SIGKILL)
    ends = time.monotonic() + 60
    while set(_children(server.process.pid)) in ({*children}, {children[1]}) and time.monotonic() < ends:
        time.sleep(0.2)
    assert len(_children(server.process.pid)) == 2
    assert server.ask("/v1/scores", body)["counts"] == {"ok": 1}
    children = _children(server.process.pid)
    assert server.stop() == 0
    assert not [each for each in children if Path(f"/proc/{each}").exists()]


@pytest.mark.slow
def test_processes_whose_parent_is_killed_end_by_themselves(place):
    server = Started(place, "mine.py:words", "--workers", "2")
    children = _children(server.process.pid)
    server.process.kill()
    server.process.wait()
    ends = time.monotonic() + 30
    while any(Path(f"/proc/{each}").exists() for each in children):
        assert time.monotonic() < ends
        time.sleep(0.2)


def _children(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    serving = [int(each) for each in found if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()]
    return sorted(serving)


def run(*arguments):
    return CliRunner().invoke(app, ["serve", *map(str, arguments)])


def test_a_dry_run_loads_and_says_what_would_be_served(place):
    done = run(f"{place}/mine.py:words", "--dry-run", "--port", 8123)
    assert done.exit_code == 0, done.output
    assert "length(per_words=2)" in done.stdout
    assert "would be served at http://127.0.0.1:8123" in done.stdout


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_reward_that_cannot_be_loaded_ends_it_with_2(place, workers):
    program = [sys.executable, "-m", "assay", "serve", "mine.py:broken", "--port", "0", "--workers", str(workers)]
    done = subprocess.run(program, cwd=place, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no weights here" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_is_said(place):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(f"{place}/mine.py:words", "--port", taken.getsockname()[1])
    assert "cannot be listened at" in str(done.exception)


@pytest.mark.parametrize(
    ("host", "tokens", "insecure", "refused"),
    [
        ("127.0.0.1", (), False, False),
        ("::1", (), False, False),
        ("localhost", (), False, False),
        ("0.0.0.0", (), False, True),
        ("::", (), False, True),
        ("10.0.0.1", (), False, True),
        ("example.org", (), False, True),
        ("0.0.0.0", ("token-of-mine",), False, False),
        ("0.0.0.0", (), True, False),
    ],
)
def test_beyond_this_machine_only_with_a_token(host, tokens, insecure, refused):
    if refused:
        with pytest.raises(UsageError, match="--insecure"):
            refuse_open_door(host, tokens, insecure)
    else:
        refuse_open_door(host, tokens, insecure)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("mine.py:words", "words"),
        ("/a/b.py:right", "right"),
        ("out/my-reward/", "my-reward"),
        ("org/model v2", "model-v2"),
        ("judge:gpt-4o@https://api.openai.com/v1?key=X", "gpt-4o"),
        (".", "reward"),
    ],
)
def test_a_reward_is_named_after_its_reference(reference, name):
    assert name_for(reference) == name


def test_names_are_given_and_may_have_versions_but_not_by_chance():
    assert named_rewards(["a.py:x"], ["y=old", "y=new"]) == (("y", "old"), ("y", "new"), ("x", "a.py:x"))
    for references, named in (([], []), (["a.py:x", "b.py:x"], []), ([], ["x"]), ([], ["=x"]), ([], ["a b=x"])):
        with pytest.raises(UsageError):
            named_rewards(references, named)
    with pytest.raises(UsageError, match="given by --name x=out/reward"):
        named_rewards(["x=out/reward"], [])
    asked = "recipe:worst_case?rewards=a"
    assert named_rewards([asked], ["y=z"])[1][1] == asked


def test_tokens_come_from_a_file_and_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "tokens"
    file.write_text("# one\nfirst-token\n  second-token \n\n")
    monkeypatch.setenv("ASSAY_TOKENS", "third-token, first-token")
    assert read_tokens(file) == ("first-token", "second-token", "third-token")
    assert read_tokens(None) == ("third-token", "first-token")
    file.write_bytes(b"\xef\xbb\xbffourth:token\r\n")
    assert read_tokens(file)[0] == "fourth:token"
    for wrong in ("short", "with space in it", "ünicode-token", "# nothing"):
        file.write_text(wrong)
        with pytest.raises(UsageError):
            read_tokens(file)


def test_the_upstream_is_a_model_at_an_address():
    made = read_upstream("llama@http://127.0.0.1:8080/v1", None, 4)
    assert (made.endpoint.model, made.endpoint.url, made.budget) == ("llama", "http://127.0.0.1:8080/v1", 4)
    assert read_upstream(None, None, 4) is None
    for wrong in ("llama", "@http://x/v1", "llama@"):
        with pytest.raises(UsageError):
            read_upstream(wrong, None, 4)


def test_what_is_not_installed_is_named_with_the_remedy(place, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else real(name))
    done = run(f"{place}/mine.py:words", "--dry-run")
    assert "the server needs uvicorn: pip install 'assay[serve]'" in str(done.exception)
