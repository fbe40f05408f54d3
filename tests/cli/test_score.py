import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.runs.journal import JournalError

ROWS = [
    {"prompt": "2+2?", "chosen": "4", "rejected": "five is the answer", "answer": "4"},
    {"prompt": "3+3?", "chosen": "it is 6", "rejected": "7", "answer": "6"},
    {"prompt": "?", "chosen": "x", "rejected": "y", "answer": None},
]
REWARDS = """
from assay.rewards import rules

words = rules.length(per_words=2)
right = rules.numeric_match("answer")


def broken(records):
    raise RuntimeError("out of order")
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "mine.py").write_text(REWARDS)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def score(place, name, *options, output="scores.jsonl"):
    return run("score", f"{place}/mine.py:{name}", place / "data.jsonl", "-o", place / output, *options)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scores_are_written_and_summed_up_for_machines(place):
    done = score(place, "words", "--json", output="scores.parquet")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["counts"] == {"ok": 6}
    assert facts["recipe"] == "length(per_words=2)"
    assert facts["mean"] == pytest.approx((1 + 4 + 3 + 1 + 1 + 1) / 2 / 6)
    table = pq.read_table(place / "scores.parquet").to_pylist()
    assert [row["value"] for row in table] == [0.5, 2.0, 1.5, 0.5, 0.5, 0.5]


def test_people_are_told_what_was_done(place):
    done = score(place, "words")
    assert "6 responses of 3 records: 6 ok" in done.stdout
    assert "scores.jsonl" in done.stdout
    again = score(place, "words")
    assert "6 of them from an earlier run" in again.stdout
    assert "was whole" in again.stdout


def test_failures_beyond_what_is_allowed_are_an_exit_code(place):
    refused = score(place, "right", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["counts"] == {"ok": 4, "missing_context": 2}
    assert [row["value"] for row in rows(place / "scores.jsonl")] == [1.0, 0.0, 1.0, 0.0, None, None]
    assert score(place, "right", "--max-errors", 2).exit_code == 0
    assert score(place, "right", "--max-errors", 1).exit_code == 1


def test_a_reward_that_raises_fails_its_rows_and_not_the_run(place):
    done = score(place, "broken", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["failures"] == 6
    assert rows(place / "scores.jsonl")[0]["message"] == "RuntimeError: out of order"


def test_a_limit_scores_the_first_records_only(place):
    assert score(place, "words", "--limit", 1).exit_code == 0
    assert len(rows(place / "scores.jsonl")) == 2


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(place):
    before = sorted(place.iterdir())
    done = score(place, "words", "--dry-run", "--json")
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert (facts["records"], facts["responses"], facts["format"], facts["done_already"]) == (3, 6, "trl", 0)
    assert sorted(place.iterdir()) == before


def test_a_bad_row_stops_the_run_unless_told_to_keep_going(place):
    with (place / "data.jsonl").open("a") as file:
        file.write("{not json\n")
    stopped = score(place, "words")
    assert stopped.exit_code != 0
    assert "data.jsonl" in str(stopped.exception)
    assert not (place / "scores.jsonl").exists()
    going = score(place, "words", "--keep-going", "--json")
    assert going.exit_code == 1
    assert json.loads(going.stdout)["bad_rows"] == 1
    assert "row 4" in going.stderr
    assert len(rows(place / "scores.jsonl")) == 6
    assert score(place, "words", "--keep-going", "--max-errors", 1).exit_code == 0


def test_the_result_of_another_reward_is_kept_unless_told_otherwise(place):
    assert score(place, "words").exit_code == 0
    refused = score(place, "right")
    assert isinstance(refused.exception, JournalError)
    assert score(place, "right", "--no-resume", "--max-errors", 9).exit_code == 0


def test_the_data_is_never_overwritten(place):
    before = (place / "data.jsonl").read_bytes()
    refused = score(place, "words", "--no-resume", output="data.jsonl")
    assert "is the data itself" in str(refused.exception)
    assert (place / "data.jsonl").read_bytes() == before
