"""`assay reproduce` and `assay papers`: what they print, and the exit code that says whether an effect is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from assay.claims.compare import NotComparableError
from assay.claims.papers import UnknownPaperError, papers
from assay.cli.inputs import UsageError
from assay.cli.main import app
from assay.testing import tiny_text

QUICK = "summarize_feedback"
WORDS = ("red", "blue", "green", "black")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_claim_that_holds_exits_with_0_and_prints_both_sides_and_every_check() -> None:
    done = run("reproduce", QUICK, "--seeds", "100,101,102")
    assert done.exit_code == 0, done.output
    assert "gold of a random response" in done.stdout
    assert "gold of the best of n at its peak" in done.stdout
    assert "  ok   gold lost after the peak >= 0.5" in done.stdout
    assert "the claim holds: 3 seeds" in done.stdout


def test_a_sabotaged_claim_exits_with_1_and_says_what_failed() -> None:
    done = run("reproduce", "66", "--sabotage", "--json", "--seeds", "100,101,102")
    assert done.exit_code == 1
    facts = json.loads(done.stdout)
    assert (facts["name"], facts["sabotage"], facts["holds"]) == (QUICK, True, False)
    assert facts["seeds"] == [100, 101, 102]
    failed = [check for check in facts["checks"] if not check["holds"]]
    assert failed
    assert all(check["low"] <= check["mean"] <= check["high"] for check in facts["checks"])
    assert facts["checks"][0]["at_most"] is None


def test_a_dry_run_runs_nothing() -> None:
    done = run("reproduce", QUICK, "--dry-run", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["name"] == QUICK


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["no_such_thing"], UnknownPaperError, "no such paper"),
        (["sumarize_feedback"], UnknownPaperError, "did you mean summarize_feedback"),
        ([QUICK, "--seeds", "1,two"], UsageError, "whole numbers"),
        ([QUICK, "--model", "x"], UsageError, "go together"),
        ([QUICK, "--model", "x", "--data", "y", "--sabotage"], UsageError, "--sabotage and --seeds"),
        (["reward_ensembles", "--model", "x", "--data", "y"], NotComparableError, "gives a Reward"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(options: list[str], error: type[Exception], said: str) -> None:
    done = run("reproduce", *options)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    backbone = tiny_text()
    backbone.module.save_pretrained(tmp_path / "base")
    backbone.tokenizer.save_pretrained(tmp_path / "base")
    rows = [
        {
            "prompt": f"Name colours, number {i}.",
            "chosen": " ".join(WORDS[(i + k) % 4] for k in range(4)),
            "rejected": WORDS[i % 4],
        }
        for i in range(40)
    ]
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "base", data


def test_a_recipe_on_a_real_backbone_is_compared_with_bradley_terry(files: tuple[Path, Path]) -> None:
    base, data = files
    options = ["--model", base, "--data", data, "--hold-out", 0.3, "--device", "cpu", "--steps", 4]
    dry = json.loads(run("reproduce", QUICK, *options, "--dry-run", "--json").stdout)
    done = run("reproduce", QUICK, *options, "--batch", 8, "--lr", 2e-3, "--json")
    facts = json.loads(done.stdout)
    assert facts["steps"] == 4
    assert facts["pairs"] == dry["held_out"] == facts["records"]
    assert dry["records"] + dry["held_out"] == 40
    gap = facts["recipe"]["value"] - facts["bradley_terry"]["value"]
    assert facts["difference"]["value"] == pytest.approx(gap)
    assert facts["difference"]["low"] <= gap <= facts["difference"]["high"]
    assert gap == 0, "this recipe is Bradley-Terry: beside itself it differs by nothing"
    assert (done.exit_code, facts["holds"]) == (1, False)


def test_papers_lists_every_one_and_shows_one_in_detail() -> None:
    every = run("papers")
    assert every.exit_code == 0
    for paper in papers():
        assert f"{paper.name} " in every.stdout
    assert len(json.loads(run("papers", "--json").stdout)["papers"]) == len(papers())
    one = run("papers", "98").stdout
    assert "Transforming and Combining Rewards" in one
    assert "assay reproduce log_sigmoid_combination" in one
    assert isinstance(run("papers", "nothing").exception, UnknownPaperError)
