import json

import pytest
from typer.testing import CliRunner

from assay import read
from assay.cli.main import app

ROWS = [
    {"prompt": "p", "chosen": "one two three", "rejected": "one"},
    {"prompt": "q", "chosen": "one two", "rejected": "one two three four"},
    {"prompt": "r", "chosen": "one", "rejected": "two"},
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "mine.py").write_text("from assay.rewards import rules\nwords = rules.length(per_words=1)\n")
    return tmp_path


def run(place, expression, *options):
    arguments = ["filter", f"{place}/mine.py:words", place / "data.jsonl", "--keep", expression]
    arguments += ["-o", place / "kept.jsonl", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_responses_that_satisfy_the_comparison_are_kept_with_their_feedback(place):
    done = run(place, "value > 1 and status == ok", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["kept_responses"], facts["responses"], facts["kept_records"]) == (3, 6, 2)
    kept = list(read(place / "kept.jsonl"))
    assert [len(record.responses) for record in kept] == [1, 2]
    assert [len(record.feedback) for record in kept] == [0, 1]


def test_an_expression_that_cannot_be_read_stops_before_any_work(place):
    done = run(place, "value >")
    assert "expected a number" in str(done.exception)
    assert not (place / "kept.jsonl").exists()


def test_a_column_that_is_not_there_leaves_no_file(place):
    done = run(place, "grace > 1")
    assert "no 'grace'" in str(done.exception)
    assert not (place / "kept.jsonl").exists()


def test_a_dry_run_counts_and_writes_nothing(place):
    done = run(place, "value > 1", "--dry-run")
    assert "kept 3 of 6 responses" in done.stdout
    assert not (place / "kept.jsonl").exists()
