"""`assay score`, `pick`, `filter`, `audit` and `verify` with rewards of steps, attributes and a spread."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app
from assay.models.heads import AttributeHead, GaussianHead, StepHead
from assay.models.reading import step_ends
from assay.records import Preference, Record, Response, StepLabels, read, write
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("rewards")
    backbone = tiny_text()
    hidden = backbone.hidden_size
    LearnedReward(backbone, StepHead(hidden), read=step_ends).save(place / "steps")
    LearnedReward(backbone, AttributeHead(hidden, ("help", "brief"))).save(place / "attributes")
    LearnedReward(backbone, GaussianHead(hidden)).save(place / "spread")
    rows = [
        Record.of(
            f"question {n}",
            [Response.from_steps([f"first {n}", "second", "third"]), Response.from_steps(["other", "words"])],
            id=str(n),
            feedback=[Preference(n % 2, 1 - n % 2), StepLabels(0, (1.0, 0.0, 1.0))],
        )
        for n in range(6)
    ]
    write(rows, place / "rows.jsonl")
    bare = [Record.of(f"question {n}", ["one\ntwo\nthree", "four\nfive"], id=str(n)) for n in range(3)]
    write(bare, place / "bare.jsonl")
    return place


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu"])


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_value_is_made_of_the_steps_as_asked(place, tmp_path) -> None:
    out = tmp_path / "scores.jsonl"
    done = run("score", place / "steps", place / "rows.jsonl", "-o", out, "--steps", "minimum")
    assert done.exit_code == 0, (done.output, done.exception)
    found = rows_of(out)
    assert [len(row["steps"]) for row in found[:2]] == [3, 2]
    assert all(row["value"] == pytest.approx(min(row["steps"])) for row in found)
    best = tmp_path / "best.jsonl"
    assert run("pick", place / "steps", place / "rows.jsonl", "-o", best, "--steps", "last").exit_code == 0
    for record, pair in zip(read(best), zip(found[::2], found[1::2], strict=True), strict=True):
        lasts = [row["steps"][-1] for row in pair]
        assert record.context["pick"]["index"] == lasts.index(max(lasts))


def test_responses_without_marked_steps_are_split_by_a_rule(place, tmp_path) -> None:
    refused = run("score", place / "steps", place / "bare.jsonl", "-o", tmp_path / "no.jsonl")
    assert refused.exit_code == 1
    out = tmp_path / "scores.jsonl"
    done = run("score", place / "steps", place / "bare.jsonl", "-o", out, "--split", "lines", "--steps", "mean")
    assert done.exit_code == 0, (done.output, done.exception)
    assert [len(row["steps"]) for row in rows_of(out)] == [3, 2] * 3
    again = run(
        "score", place / "steps", place / "bare.jsonl", "-o", out, "--split", r"separator:\n", "--steps", "mean"
    )
    assert again.exit_code != 0
    assert "choose another" in str(again.exception) or "no-resume" in str(again.exception)


def test_attributes_and_spread_are_filtered_by(place, tmp_path) -> None:
    out = tmp_path / "kept.jsonl"
    done = run("filter", place / "attributes", place / "rows.jsonl", "--keep", "help > brief", "-o", out, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    scores = LearnedReward.load(place / "attributes", device="cpu")(list(read(place / "rows.jsonl")))
    wanted = int((scores.attributes["help"] > scores.attributes["brief"]).sum())
    assert json.loads(done.stdout)["kept_responses"] == wanted
    spread = run("filter", place / "spread", place / "rows.jsonl", "--keep", "std > 0", "-o", out, "--json")
    assert json.loads(spread.stdout)["kept_responses"] == 12


@pytest.mark.parametrize(
    ("kind", "title"), [("steps", "Step scores"), ("attributes", "Attributes"), ("spread", "Spread")]
)
def test_the_card_shows_what_the_reward_gives(place, tmp_path, kind, title) -> None:
    page = tmp_path / "card.html"
    done = run("audit", place / kind, place / "rows.jsonl", "-o", page, "--no-fail", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    assert title in [panel["title"] for panel in json.loads(page.with_suffix(".json").read_text())["panels"]]
    assert f">{title}<" in page.read_text()


@pytest.mark.parametrize("kind", ["steps", "attributes", "spread"])
def test_rewards_of_more_than_a_value_are_certified(place, kind) -> None:
    done = run("verify", place / kind, place / "rows.jsonl", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout)["passed"]


def test_unknown_aggregates_and_rules_are_refused(place, tmp_path) -> None:
    out = tmp_path / "scores.jsonl"
    for options in (["--steps", "best"], ["--split", "commas"]):
        done = run("score", place / "steps", place / "rows.jsonl", "-o", out, *options)
        assert isinstance(done.exception, UsageError)
    wrong = run("score", place / "attributes", place / "rows.jsonl", "-o", out, "--steps", "mean", "--no-resume")
    assert wrong.exit_code != 0
