import json

import pytest
from typer.testing import CliRunner

from assay import read
from assay.cli.main import app

ROWS = [
    {"id": "a", "prompt": "q", "responses": ["one", "one two three", "a b c"]},
    {"id": "b", "prompt": "q", "responses": ["one two", "one"]},
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "mine.py").write_text(
        "from assay.rewards import rules\nwords = rules.length(per_words=1)\nright = rules.exact_match()\n"
    )
    return tmp_path


def pick(place, name, *options):
    arguments = ["pick", f"{place}/mine.py:{name}", place / "data.jsonl", "-o", place / "best.jsonl", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_each_record_keeps_its_best_response(place):
    done = pick(place, "words", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["picked"], facts["tied"], facts["mean_best"]) == (2, 1, (3 + 2) / 2)
    assert facts["mean_any"] == pytest.approx(((1 + 3 + 3) / 3 + (2 + 1) / 2) / 2)
    best = list(read(place / "best.jsonl"))
    assert [[response.text for response in record.responses] for record in best] == [["one two three"], ["one two"]]
    assert best[0].context["pick"] == {"index": 1, "value": 3.0, "ties": 2, "of": 3}


def test_n_limits_the_choice(place):
    assert pick(place, "words", "--n", 1).exit_code == 0
    assert [record.responses[0].text for record in read(place / "best.jsonl")] == ["one", "one two"]


def test_records_without_a_choice_are_named_and_left_out(place):
    done = pick(place, "right")
    assert done.exit_code == 1
    assert "no choice for a: missing_context" in done.stdout
    assert pick(place, "right", "--max-errors", 2).exit_code == 0


def test_a_dry_run_writes_nothing(place):
    assert pick(place, "words", "--dry-run").exit_code == 0
    assert not (place / "best.jsonl").exists()
