"""Fault 24: evaluation data that is also in the training data. `assay train` says so before it trains."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.testing import tiny_text
from assay.training.progress import training_bar
from assay.training.result import Event

QUESTION = "Please write a short and friendly greeting to a colleague who comes back from a long holiday, number {}."


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    place = tmp_path_factory.mktemp("base")
    backbone = tiny_text()
    backbone.module.save_pretrained(place)
    backbone.tokenizer.save_pretrained(place)
    return place


def write(path, prompts) -> None:
    rows = [{"prompt": prompt, "chosen": "welcome back", "rejected": "hm"} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def train(base, tmp_path, *options: str):
    arguments = ["--model", base, "--data", tmp_path / "train.jsonl", "--eval", tmp_path / "eval.jsonl"]
    arguments += ["-o", tmp_path / "out", "--steps", "1", "--json", *options]
    result = CliRunner().invoke(app, ["train", "pairwise.bradley_terry", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def test_every_kind_of_overlap_is_reported_before_training(base, tmp_path) -> None:
    write(tmp_path / "train.jsonl", [QUESTION.format(i) for i in range(20)])
    normalised = QUESTION.format(4).upper().replace(",", " ,  ")
    near = QUESTION.format(5) + " Please."
    write(tmp_path / "eval.jsonl", [QUESTION.format(3), normalised, near, "An unrelated question about the moon?"])
    facts, shown = train(base, tmp_path, "--dry-run")
    prompts = facts["overlap"]["prompts"]
    assert (prompts["exact"], prompts["normalised"], prompts["near"], prompts["total"]) == (1, 1, 1, 4)
    assert "prompts: 3 of 4 evaluation prompts are in the training data (75.0%" in shown
    assert not (tmp_path / "out").exists()


def test_clean_sets_are_said_to_be_clean(base, tmp_path) -> None:
    write(tmp_path / "train.jsonl", ["What is the colour of the sky?"])
    write(tmp_path / "eval.jsonl", ["How many legs has a spider?"])
    facts, shown = train(base, tmp_path)
    assert facts["overlap"]["prompts"]["exact"] == 0
    assert "prompts: 0 of 1" in shown
    assert (tmp_path / "out" / "COMPLETE.json").is_file()


def test_the_bar_prints_without_a_terminal(capsys) -> None:
    with training_bar() as report:
        report(Event(0.5, 3, {"loss": 0.25, "accuracy": 0.75}, "evaluated"))
    assert "held out: loss 0.250 accuracy 0.750" in capsys.readouterr().err
