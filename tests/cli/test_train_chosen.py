"""`assay train` with a head, a view of feedback, a condition, a recipe or a plan that was asked for."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app, is_expected
from assay.models.heads import AttributeHead, OrdinalHead, ScalarHead, StepHead
from assay.models.heads.aggregate import minimum
from assay.models.heads.ideal_point import IdealPointHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import every_response_token, step_ends
from assay.records import Preference, Rating, Record, Response, StepLabels, write
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.names import heads

FAST = ("--lr", 3e-3, "--head-lr", 3e-2, "--warmup", 0.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    place = tmp_path_factory.mktemp("base")
    backbone = tiny_text()
    backbone.module.save_pretrained(place)
    backbone.tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Right and wrong answers, rated by criterion, in levels 1 to 3, in steps, and preferred by two who disagree."""

    def row(n):
        right = [(n + step) % 2 for step in range(3)]
        responses = [Response.from_steps(["good" if each else "bad" for each in right]), Response.of("bad")]
        said = [
            StepLabels(0, tuple(map(float, right))),
            Rating(0, 2.0, criterion="help"),
            Rating(1, 0.0, criterion="help"),
            Rating(0, 0.0, criterion="brief"),
            Rating(1, 1.0, criterion="brief"),
            Rating(0, 3.0),
            Rating(1, 1.0),
            Preference(n % 2, 1 - n % 2),
        ]
        return Record.of(f"question {n}", responses, id=str(n), feedback=said, who="ab"[n % 2])

    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    write([row(n) for n in range(24)], path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def trained(base, data, out, *arguments):
    found = run(*arguments, "--model", base, "--data", data, "-o", out, "--json", *FAST)
    assert found.exit_code == 0, (found.output, found.exception)
    return json.loads(found.stdout), LearnedReward.load(out, device="cpu")


def refusal(*arguments):
    found = run(*arguments)
    assert found.exit_code != 0
    assert is_expected(found.exception), repr(found.exception)
    return str(found.exception)


def test_attributes_are_learned_from_the_ratings_of_their_names(base, data, tmp_path) -> None:
    options = ("--attributes", "help=.75,brief=.25", "--steps", 40)
    _, reward = trained(base, data, tmp_path / "rm", "pointwise.squared_error", *options)
    assert isinstance(reward.head, AttributeHead)
    assert reward.head.options()["weights"] == (0.75, 0.25)
    scores = reward([Record.of("question 4", [Response.from_steps(["bad", "good", "bad"]), "bad"])])
    assert scores.attributes["help"][0] > scores.attributes["help"][1] + 0.5
    assert scores.attributes["brief"][0] < scores.attributes["brief"][1] - 0.3


def test_levels_make_an_ordinal_head_of_these_grades(base, data, tmp_path) -> None:
    options = ("--levels", "0-3", "--criterion", "help", "--steps", 40)
    facts, reward = trained(base, data, tmp_path / "rm", "pointwise.ordinal", *options)
    assert isinstance(reward.head, OrdinalHead)
    assert (reward.head.levels, reward.head.lowest) == (4, 0.0)
    assert facts["figures"]["absolute_error"] < 0.9


def test_an_aggregate_and_a_reading_are_chosen(base, data, tmp_path) -> None:
    options = ("--aggregate", "minimum", "--read", "steps", "--steps", 2, "--max-errors", 24)
    _, reward = trained(base, data, tmp_path / "rm", "stepwise.binary_cross_entropy", *options)
    assert isinstance(reward.head, StepHead)
    assert reward.head.aggregate is minimum
    assert reward.read is step_ends


def test_a_scalar_head_on_all_tokens_of_a_response_reads_their_mean(base, data, tmp_path) -> None:
    options = ("--head", "scalar", "--read", "response", "--feedback", "outcomes:product", "--steps", 2)
    facts, reward = trained(base, data, tmp_path / "rm", "pointwise.binary_cross_entropy", *options)
    assert isinstance(reward.head, ScalarHead)
    assert reward.read is every_response_token
    assert reward.head.front.options()["pool"] is mean_of_reads
    assert "absolute_error" in facts["figures"]


def test_people_who_disagree_are_told_apart_by_a_condition(base, data, tmp_path) -> None:
    options = ("--condition", "who", "--unknown-abstains", "--steps", 60)
    facts, reward = trained(base, data, tmp_path / "rm", "pairwise.bradley_terry", *options)
    assert reward.condition.names == ("a", "b")
    assert facts["figures"]["accuracy"] > 0.9
    asked = [Record.of("question 4", ["good", "bad"], who=who) for who in ("a", "c")]
    assert reward(asked).values.isnan().tolist() == [False, False, True, True]


def test_a_head_of_users_takes_its_users_from_the_condition(base, data, tmp_path) -> None:
    options = ("--head", "ideal_point", "--condition", "who", "--steps", 2)
    _, reward = trained(base, data, tmp_path / "rm", "pairwise.bradley_terry", *options)
    assert isinstance(reward.head, IdealPointHead)


def test_a_recipe_is_trained_with_its_own_settings_but_for_those_given(base, data, tmp_path) -> None:
    facts, reward = trained(base, data, tmp_path / "rm", "recipe:vilprm", "--steps", 3, "--max-errors", 24)
    assert facts["steps"] == 3
    assert isinstance(reward.head, StepHead)
    assert reward.card["objective"] == "recipe:vilprm"


PLAN = """
from dataclasses import replace
from functools import partial
from assay.models.heads import AttributeHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.training.budgets import Steps
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.training.terms import penalty, together

settings = Settings(budget=Steps(4), batch=8)
small = penalty("size", lambda outputs: outputs.values**2)
both = together((supervise(squared_error), 1.0), (supervise(bradley_terry), 0.5), (small, 0.01))
plan = Training(
    partial(AttributeHead, names=("help", "brief")),
    (Stage(supervise(squared_error), settings), Stage(both, settings)),
)

def made():
    return replace(plan, stages=plan.stages[1:])

def wrong():
    return 3
"""


def test_a_python_file_is_the_configuration(base, data, tmp_path) -> None:
    file = tmp_path / "plan.py"
    file.write_text(PLAN)
    facts, reward = trained(base, data, tmp_path / "rm", f"{file}:plan", "--track", "tensorboard")
    assert {"loss", "absolute_error", "accuracy", "size"} <= set(facts["figures"])
    assert [stage["steps"] for stage in reward.card["stages"]] == [4]
    assert sorted(path.name for path in (tmp_path / "rm.training").iterdir()) == ["curves", "stage-1", "stage-2"]
    one, _ = trained(base, data, tmp_path / "one", f"{file}:made", "--batch", 4)
    assert one["steps"] == 4
    assert "makes a int, not a Training" in refusal(f"{file}:wrong", "--model", base, "--data", data, "--dry-run")
    told = refusal(f"{file}:plan", "--model", base, "--data", data, "--dry-run", "--head", "scalar")
    assert "--head cannot be given" in told


def test_a_backbone_is_made_by_a_python_file(data, tmp_path) -> None:
    file = tmp_path / "base.py"
    file.write_text("from assay.testing import tiny_text as made\nnothing = 3\n")
    found = run("pairwise.bradley_terry", "--model", f"{file}:made", "--data", data, "--dry-run", "--json")
    assert found.exit_code == 0, (found.output, found.exception)
    assert "is no backbone" in refusal(
        "pairwise.bradley_terry", "--model", f"{file}:nothing", "--data", data, "--dry-run"
    )


def test_a_dry_run_says_what_each_record_gives(base, data) -> None:
    arguments = ("--model", base, "--data", data, "--dry-run", "--criterion", "help", "--attributes", "help,brief")
    found = run("pointwise.squared_error", *arguments, "--json")
    assert found.exit_code == 0, (found.output, found.exception)
    facts = json.loads(found.stdout)
    assert facts["items_of_a_record"] == {"2": 24}
    assert facts["feedback"]["ratings of brief"] == 48
    assert facts["head"] == "AttributeHead"
    told = run("pointwise.squared_error", "--model", base, "--data", data, "--dry-run", "--criterion", "style")
    assert "items of a record: {'0': 24}" in told.stdout
    assert "gives nothing: ['0', '1', '2', '3', '4']" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pointwise.ordinal"], "--levels"),
        (["pointwise.squared_error", "--head", "attributes"], "give --attributes a,b,c"),
        (["pairwise.bradley_terry", "--head", "nothing"], "no such head; there are attributes"),
        (["pairwise.bradley_terry", "--head", "scalar", "--attributes", "a,b"], "ScalarHead takes no --attributes"),
        (["pairwise.bradley_terry", "--head", "gated"], "--head file.py:name"),
        (["pairwise.bradley_terry", "--head", "ideal_point"], "--condition COLUMN"),
        (["pairwise.bradley_terry", "--read", "backwards"], "no such reading; there are"),
        (["pairwise.bradley_terry", "--condition", "whom"], "no record has such a column; there are who"),
        (["pairwise.bradley_terry", "--unknown-abstains"], "--condition"),
        (["pointwise.ordinal", "--levels", "1-3"], "whole numbers 1..3 for 3 levels"),
        (["pairwise.bradley_terry", "--levels", "5-1"], "lowest and highest"),
        (["pairwise.bradley_terry", "--attributes", "a=1,b"], "a=.7,b=.3"),
        (["pairwise.bradley_terry", "--feedback", "guesses"], "no such view of feedback; there are"),
        (["pointwise.squared_error", "--feedback", "outcomes"], "outcomes:product"),
        (["recipe:unheard_of"], "no such recipe; there are"),
        (["recipe:preference_strength"], "makes a Curate"),
        (["recipe:mm_rlhf"], "words"),
        (["recipe:vilprm", "--levels", "5"], "--levels cannot be given"),
        (["pairwise.bradley_terry", "--track", "paper"], "no tracker is called 'paper'"),
        (["pairwise.bradley_terry", "--frames", "4", "--fps", "2"], "one of --frames and --fps"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(base, data, tmp_path, arguments, told) -> None:
    message = refusal(*arguments, "--model", base, "--data", data, "-o", tmp_path / "rm")
    assert told in message
    assert not (tmp_path / "rm").exists()


def test_every_head_is_found_by_its_module_or_by_its_class() -> None:
    known = heads()
    assert known["scalar"] is known["scalar.ScalarHead"] is ScalarHead
    assert "fusion.ConcatFusionHead" in known
    assert "fusion" not in known
    assert not any(name.startswith(("pooling", "linear", "front")) for name in known)


def test_a_saved_reward_keeps_its_head(base, data, tmp_path: Path) -> None:
    trained(base, data, tmp_path / "one", "pairwise.bradley_terry", "--steps", 2)
    arguments = ("--model", tmp_path / "one", "--data", data, "-o", tmp_path / "two")
    message = refusal("pointwise.squared_error", *arguments, "--attributes", "help", "--frames", 3)
    assert "--attributes, --frames cannot be given" in message
    assert isinstance(run("recipe:x", *arguments).exception, UsageError)
