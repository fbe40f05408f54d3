"""`assay train` from the command line, on files."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app, is_expected
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_llava, tiny_text
from assay.training.names import objectives

WORDS = ("red", "blue", "green", "black")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    place = tmp_path_factory.mktemp("base")
    backbone = tiny_text()
    backbone.module.save_pretrained(place)
    backbone.tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "prompt": f"Name colours, number {i}.",
            "chosen": " ".join(WORDS[(i + k) % 4] for k in range(4)),
            "rejected": WORDS[i % 4],
        }
        for i in range(48)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments, objective: str = "pairwise.bradley_terry"):
    return CliRunner().invoke(app, ["train", objective, *map(str, arguments)])


def test_a_reward_is_trained_saved_and_better(base, data, tmp_path) -> None:
    out = tmp_path / "out"
    options = ["--epochs", 4, "--lr", 2e-3, "--hold-out", 0.25, "--centre", 0.01]
    result = run("--model", base, "--data", data, "-o", out, "--json", *options)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["figures"]["accuracy"] == 1.0
    assert facts["stopped"] == "budget"
    assert facts["overlap"]["prompts"]["exact"] == 0
    reward = LearnedReward.load(out, device="cpu")
    assert reward.reference is not None
    assert reward.card["objective"] == "pairwise.bradley_terry"
    assert reward.card["training"]["accuracy"] == 1.0
    assert "step 12  held out: loss" in result.stderr


def test_of_several_processes_the_first_one_speaks(base, data, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    options = ["--model", base, "--data", data, "-o", tmp_path / "out", "--steps", 2, "--hold-out", 0.25, "--json"]
    result = run(*options)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    monkeypatch.setenv("RANK", "0")
    assert json.loads(run(*options[:5], tmp_path / "first", *options[6:]).stdout)["steps"] == 2


def test_a_saved_reward_can_be_trained_on(base, data, tmp_path) -> None:
    assert run("--model", base, "--data", data, "-o", tmp_path / "one", "--steps", 4, "--lr", 1e-3).exit_code == 0
    again = run("--model", tmp_path / "one", "--data", data, "-o", tmp_path / "two", "--steps", 2, "--lr", 1e-3)
    assert again.exit_code == 0, again.output
    assert "written to" in again.stdout
    kept = next(line for line in again.stdout.splitlines() if line.startswith("kept (last): loss "))
    assert "accuracy" in kept
    assert "learning_rate" not in kept
    assert "gradient_norm" not in kept
    assert f"lie in {tmp_path / 'two.training'}, which may be deleted" in again.stderr
    refused = run("--model", tmp_path / "one", "--data", data, "-o", tmp_path / "three", "--head-bias")
    assert refused.exit_code != 0
    assert "saved reward" in str(refused.exception)


def test_the_same_command_goes_on_and_another_is_refused(base, data, tmp_path) -> None:
    options = ["--model", base, "--data", data, "-o", tmp_path / "out", "--steps", 3, "--lr", 1e-3]
    assert run(*options).exit_code == 0
    assert "went on from" in run(*options).stdout
    other = run(*options, "--batch", 4)
    assert other.exit_code != 0
    assert other.exception is not None
    assert is_expected(other.exception)
    assert "--no-resume" in str(other.exception)
    assert run(*options, "--batch", 4, "--no-resume").exit_code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--lora", "--lora-rank", "4"],
        ["--freeze", "backbone", "--head-norm", "--head-bias"],
        ["--freeze", "layers=1"],
        ["--tie-theta", "5"],
        ["--minutes", "0.005"],
        ["--dtype", "bfloat16"],
    ],
)
def test_options_reach_the_run(base, data, tmp_path, options) -> None:
    budget = [] if "--minutes" in options else ["--steps", 3]
    result = run("--model", base, "--data", data, "-o", tmp_path / "out", *budget, *options)
    assert result.exit_code == 0, (result.output, result.exception)
    assert (tmp_path / "out" / "COMPLETE.json").is_file()


def test_a_dry_run_counts_and_writes_nothing(base, data, tmp_path) -> None:
    result = run("--model", base, "--data", data, "-o", tmp_path / "out", "--dry-run", "--json", "--freeze", "layers=1")
    facts = json.loads(result.stdout)
    assert (facts["records"], facts["items"], facts["responses"]) == (48, 48, {"ok": 96})
    assert facts["tokens_shared"] < facts["tokens_alone"]
    assert 0 < facts["frozen_weights"] < facts["weights"]
    assert facts["steps_per_epoch"] == 3
    assert list(tmp_path.iterdir()) == [data]
    assert run("--model", base, "--data", data, "--dry-run").exit_code == 0
    without = run("--model", base, "--data", data)
    assert isinstance(without.exception, UsageError)
    assert "-o DIR" in str(without.exception)


def test_responses_that_cannot_be_used_set_the_exit_code(base, data, tmp_path) -> None:
    with data.open("a") as file:
        file.write(json.dumps({"prompt": "q", "chosen": "word " * 3000, "rejected": "no"}) + "\n")
    options = ["--model", base, "--data", data, "--steps", 6]
    result = run(*options, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 too_long" in result.stdout
    assert "left out: 1 item (a response abstained)" in result.stdout
    assert run(*options, "-o", tmp_path / "other", "--max-errors", 1).exit_code == 0


def test_an_objective_from_a_file(base, data, tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def squared_hinge(chosen, rejected):\n    return (1 - (chosen - rejected)).clamp(min=0) ** 2\n")
    result = run(
        "--model", base, "--data", data, "-o", tmp_path / "out", "--steps", 2, objective=f"{file}:squared_hinge"
    )
    assert result.exit_code == 0, result.exception


@pytest.mark.parametrize(
    ("options", "objective", "message"),
    [
        ([], "pairwise.no_such", "pairwise.bradley_terry"),
        (["--steps", "1", "--epochs", "1"], "pairwise.bradley_terry", "one of --epochs"),
        (["--freeze", "eyes"], "pairwise.bradley_terry", "layers=N"),
        (["--freeze", "vision"], "pairwise.bradley_terry", "no vision tower"),
        (["--tie-theta", "5"], "listwise.top_one", "no ties"),
        (["--centre", "0.1"], "pointwise.huber", "not about pairs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(base, data, tmp_path, options, objective, message) -> None:
    result = run("--model", base, "--data", data, "-o", tmp_path / "out", *options, objective=objective)
    assert result.exit_code != 0
    assert result.exception is not None
    assert is_expected(result.exception)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_objectives_are_found_by_walking_the_package() -> None:
    assert {"pairwise.bradley_terry", "pairwise.hinge", "listwise.plackett_luce", "listwise.top_one"} <= set(
        objectives()
    )
    assert {"pointwise.squared_error", "pointwise.huber", "pointwise.binary_cross_entropy"} <= set(objectives())
    assert not any("centr" in name for name in objectives())


def test_a_picture_reward_from_the_command_line(tmp_path) -> None:
    import PIL.Image

    backbone = tiny_llava()
    backbone.module.save_pretrained(tmp_path / "base")
    backbone.tokenizer.save_pretrained(tmp_path / "base")
    assert backbone.pictures is not None
    backbone.pictures.processor.save_pretrained(tmp_path / "base")
    rows = []
    for name, colour in (("r", (255, 0, 0)), ("g", (0, 255, 0))):
        PIL.Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
        rows += [
            {
                "images": [str(tmp_path / f"{name}.png")],
                "prompt": [{"role": "user", "content": f"What colour is it, {i}?"}],
                "chosen": [{"role": "assistant", "content": "red" if name == "r" else "green"}],
                "rejected": [{"role": "assistant", "content": "green" if name == "r" else "red"}],
            }
            for i in range(4)
        ]
    data = tmp_path / "pictures.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--model", tmp_path / "base", "--data", data, "-o", tmp_path / "out", "--json", "--by-picture"]
    dry = json.loads(run(*options, "--dry-run").stdout)
    assert dry["picture_sets"] == 2
    result = run(*options, "--epochs", 30, "--lr", "3e-3", "--batch", 8)
    assert result.exit_code == 0, (result.output, result.exception)
    assert json.loads(result.stdout)["history"][-1]["accuracy"] == 1.0
