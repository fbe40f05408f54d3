import json
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.records import Preference, Record, read, write
from assay.rewards.rules.length import length
from assay.runs.results import read_metadata
from assay.runs.score import score_file
from assay.serving.processes import listener


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def files(tmp_path):
    made = [
        Record.of(f"question {n}", [f"an answer {'!' * n}", "a", "an other"], id=f"r{n}", feedback=[Preference(1, 0)])
        for n in range(4)
    ]
    write(made, tmp_path / "data.jsonl")
    score_file(length(per_words=10.0), made, tmp_path / "scores.parquet")
    return tmp_path


def test_a_dry_run_says_what_would_be_shown(files):
    done = run("view", files / "scores.parquet", "--data", files / "data.jsonl", "--cache", files / "c", "--dry-run")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("12 rows of 4 records: value, ")
    assert "error" in done.output
    facts = json.loads(run("view", files / "scores.parquet", "--cache", files / "c", "--dry-run", "--json").output)
    assert (facts["rows"], facts["records"], facts["counts"]) == (12, 4, {"ok": 12})


def test_what_is_missing_is_said(files, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for command in (["view", files / "scores.parquet"], ["annotate", files / "data.jsonl", "-o", files / "r.jsonl"]):
        assert "pip install 'assay[serve]'" in str(run(*command, "--cache", files / "c").exception)


def test_the_folder_of_a_run_is_shown(files):
    done = run("view", files, "--cache", files / "c", "--dry-run")
    assert done.output.startswith("12 rows of 4 records")


def test_what_is_no_result_is_refused(files):
    assert run("view", files / "data.jsonl", "--cache", files / "c", "--dry-run").exit_code != 0
    assert run("view", files / "missing.parquet", "--cache", files / "c", "--dry-run").exit_code != 0


def opened(folder, *arguments):
    """A command that serves, and the address it prints."""
    command = [sys.executable, "-m", "assay", *map(str, arguments), "--port", "0", "--cache", str(folder / "cache")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    for line in process.stderr:
        if found := re.search(r"open (http://127\.0\.0\.1:\d+/)", line):
            return process, found[1]
    raise AssertionError(process.stdout.read())


def test_the_pages_are_served_and_a_signal_ends_them_with_what_was_judged_written(files):
    arguments = ["annotate", "data.jsonl", "-o", "rated.jsonl", "--scores", "scores.parquet", "--export", "t.jsonl"]
    process, address = opened(files, *arguments)
    try:
        ask = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open
        ask(address + "enter", urlencode({"name": "Ann"}).encode())
        page = ask(address).read().decode()
        shown = re.search(r'name="shown" value="(\d+)"', page)[1]
        ask(address + "judge", urlencode({"shown": shown, "verdict": "0"}).encode())
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "1 answer to 12 questions: Ann 1" in out
    (record,) = read(files / "rated.jsonl")
    assert [item.rater for item in record.feedback] == [None, "Ann"]
    assert len(list(read(files / "t.jsonl"))) == 2
    again = run("annotate", files / "data.jsonl", "-o", files / "rated.jsonl", "--no-serve", "--cache", files / "cache")
    assert again.exit_code == 0, again.output
    assert "1 answer to 12 questions" in again.output


def test_view_serves_on_this_machine_alone(files):
    process, address = opened(files, "view", "scores.parquet", "--data", "data.jsonl")
    try:
        page = urllib.request.urlopen(address).read().decode()
        assert "worst errors" in page
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.startswith("12 rows of 4 records")


def test_a_dry_run_counts_questions(files):
    for task, questions in (("pairs", 12), ("ranking", 4), ("steps", 12)):
        done = run(
            "annotate", files / "data.jsonl", "-o", files / "r.jsonl", "--task", task, "--dry-run", "--cache", files
        )
        assert done.exit_code == 0, done.output
        assert f"{questions} questions" in done.output
    assert not (files / "r.judgements").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "guess"], "--task guess: give one of pairs, ranking, rating, steps"),
        (["--task", "rating"], "needs an aspect"),
        (["--aspect", "good"], "--aspect is rated with --task rating"),
        (["-o", "r.judgements"], "choose another name"),
        (["--retry"], "--retry goes with --by"),
        (["--no-resume"], "--no-resume goes with --by"),
        (["--by", "judge:x", "--task", "ranking"], "--task goes with the page"),
        (["--by", "judge:x", "--no-serve"], "--no-serve goes with the page"),
        (["--scores", "a.parquet", "--reward", "b"], "give one of them"),
    ],
)
def test_options_that_do_not_go_together_are_refused(files, arguments, said):
    done = run("annotate", files / "data.jsonl", "-o", files / "r.jsonl", "--cache", files / "c", *arguments)
    assert done.exit_code != 0
    assert said in str(done.exception)


def test_a_reward_says_where_it_is_least_sure(files):
    common = ["annotate", files / "data.jsonl", "-o", files / "r.jsonl", "--no-serve", "--cache", files / "c"]
    (files / "mine.py").write_text(
        "from assay.rewards.rules.length import length\nmine = length(per_characters=100.0)\n"
    )
    assert run(*common, "--reward", f"{files}/mine.py:mine").exit_code == 0
    assert read_metadata(files / "r.scores.parquet")["summary"]["responses"] == 12


def test_what_judges_wrote_is_not_written_over(files):
    (files / "r.jsonl").write_text("{}\n")
    done = run("annotate", files / "data.jsonl", "-o", files / "r.jsonl", "--no-serve", "--cache", files / "c")
    assert "was not made on the page" in str(done.exception)
    assert (files / "r.jsonl").read_text() == "{}\n"


def test_judgements_of_another_task_are_not_mixed(files):
    common = ["annotate", files / "data.jsonl", "-o", files / "r.jsonl", "--no-serve", "--cache", files / "c"]
    assert run(*common).exit_code == 0
    done = run(*common, "--task", "ranking")
    assert "another task (pairs)" in str(done.exception)


def test_a_port_that_is_taken_is_said(files):
    with closing(listener("127.0.0.1", 0)) as taken:
        done = run("view", files / "scores.parquet", "--port", taken.getsockname()[1], "--cache", files / "c")
    assert "cannot be listened at" in str(done.exception)
