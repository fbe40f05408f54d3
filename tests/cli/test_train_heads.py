"""`assay train` gives each objective a head that it can train."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.models.heads import GaussianHead, StepHead
from assay.models.reading import step_ends
from assay.records import Rating, Record, Response, StepLabels, write
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    place = tmp_path_factory.mktemp("base")
    backbone = tiny_text()
    backbone.module.save_pretrained(place)
    backbone.tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    records = [
        Record.of(
            f"question {n}",
            [Response.from_steps(["good" if (n + k) % 2 else "bad" for k in range(3)])],
            id=str(n),
            feedback=[StepLabels(0, tuple(float((n + k) % 2) for k in range(3))), Rating(0, float(n % 2))],
        )
        for n in range(24)
    ]
    path = tmp_path_factory.mktemp("data") / "steps.jsonl"
    write(records, path)
    return path


def run(base, data, out, objective, *options):
    arguments = ["train", objective, "--model", base, "--data", data, "-o", out, "--json", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("objective", ["stepwise.binary_cross_entropy", "stepwise.classification"])
def test_a_process_reward_is_trained_from_labels_of_steps(base, data, tmp_path, objective) -> None:
    found = run(base, data, tmp_path / "rm", objective, "--epochs", 10, "--lr", 3e-3, "--head-lr", 3e-2)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["figures"]["accuracy"] > 0.9
    reward = LearnedReward.load(tmp_path / "rm", device="cpu")
    assert isinstance(reward.head, StepHead)
    assert reward.read is step_ends
    assert reward.head.classes == (1 if "binary" in objective else 2)


def test_an_objective_of_spread_gets_a_head_that_has_one(base, data, tmp_path) -> None:
    found = run(base, data, tmp_path / "rm", "pointwise.gaussian", "--steps", 2, "--lr", 1e-3)
    assert found.exit_code == 0, found.output
    assert isinstance(LearnedReward.load(tmp_path / "rm", device="cpu").head, GaussianHead)


def test_a_dry_run_counts_the_labelled_steps(base, data) -> None:
    arguments = ["train", "stepwise.binary_cross_entropy", "--model", base, "--data", data, "--dry-run", "--json"]
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["items"] == 72
