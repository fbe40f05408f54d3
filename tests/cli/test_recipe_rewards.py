"""Recipes that make a reward, named on the command line with their arguments."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError, open_reward
from assay.cli.main import app
from assay.cli.recipe_rewards import recipe_names
from assay.recipes.log_sigmoid_combination import log_sigmoid_combination
from assay.recipes.reward_ensembles import reward_ensembles
from assay.records import Preference, Record, write
from assay.rewards import rules
from assay.rewards.base import Reward, fingerprint, score
from assay.transforms.combine import ensemble

RULES = """
from assay.rewards import rules

short = rules.length(per_characters=1)
long = rules.length(per_characters=3)
"""
RECORDS = [
    Record.of("p", ["a", "bbb", "cc"], id="x", feedback=[Preference(1, 0), Preference(2, 0)]),
    Record.of("q", ["dddd", "e"], id="y", feedback=[Preference(0, 1)]),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "rules.py").write_text(f"{RULES}\n# {tmp_path}\n")
    write(RECORDS, tmp_path / "data.jsonl")
    return tmp_path


def opened(text: str, place: Path) -> Reward:
    text = text.replace("SHORT", f"{place}/rules.py:short").replace("LONG", f"{place}/rules.py:long")
    return open_reward(text.replace("DATA", f"{place}/data.jsonl"), "cpu", "auto", 0)


def members() -> list[Reward]:
    return [rules.length(per_characters=1), rules.length(per_characters=3)]


def test_arguments_are_what_the_recipe_is_called_with(place: Path) -> None:
    found = opened("recipe:reward_ensembles?members=SHORT&members=LONG&reference=DATA&by=ensemble:2", place)
    made = reward_ensembles(*members(), reference=RECORDS, by=ensemble(2.0))
    assert fingerprint(found) == fingerprint(made)
    quantile = opened("recipe:log_sigmoid_combination?rewards=SHORT&reference=DATA&quantile=0.5", place)
    wanted = log_sigmoid_combination(members()[0], reference=RECORDS, quantile=0.5)
    assert score(quantile, RECORDS).values.tolist() == score(wanted, RECORDS).values.tolist()


def test_a_member_may_itself_have_arguments(place: Path) -> None:
    inner = quote(f"recipe:reward_ensembles?members={place}/rules.py:short&reference={place}/data.jsonl", safe="")
    found = opened(f"recipe:log_sigmoid_combination?rewards={inner}&reference=DATA", place)
    wanted = log_sigmoid_combination(reward_ensembles(members()[0], reference=RECORDS), reference=RECORDS)
    assert score(found, RECORDS).values.tolist() == score(wanted, RECORDS).values.tolist()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("recipe:Reward Ensembles", "does not read recipe:NAME"),
        ("recipe:nothing", "no recipe 'nothing'; these make a reward: domain_features, log_sigmoid_combination"),
        ("recipe:helpsteer2", "makes a Training, no reward; these make one: domain_features"),
        (
            "recipe:reward_ensembles?colour=red",
            r"no argument 'colour'\. recipe:reward_ensembles takes members \(a reward; repeat it\), "
            r"reference \(a data file\), by \(a combination; None where it is left out\)",
        ),
        ("recipe:reward_ensembles?members=SHORT", "reference is missing. recipe:reward_ensembles takes members"),
        ("recipe:reward_ensembles?reference=DATA", "takes members"),
        ("recipe:reward_ensembles?members=SHORT&reference=DATA&by=any_abstains", "is no combination; there are"),
        ("recipe:reward_ensembles?members=SHORT&reference=DATA&by=gate", "is no combination"),
        ("recipe:log_sigmoid_combination?rewards=SHORT&reference=DATA&quantile=half", "quantile=half is not a number"),
        ("recipe:log_sigmoid_combination?rewards=SHORT&reference=DATA&quantile=2", "quantile"),
        ("recipe:domain_features?hidden=8&hidden=9&records=DATA", "hidden is given twice"),
    ],
)
def test_what_is_wrong_is_said_with_the_arguments(place: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        opened(text, place)


def test_a_recipe_scores_from_the_command_line(place: Path) -> None:
    assert recipe_names() == ["domain_features", "log_sigmoid_combination", "reward_ensembles"]
    reference = f"recipe:domain_features?features={place}/rules.py:short&records={place}/data.jsonl&hidden=2&seed=3"
    given = ["score", reference, str(place / "data.jsonl"), "-o", str(place / "scores.jsonl"), "--json"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["counts"] == {"ok": 5}
    rows = [json.loads(line)["value"] for line in (place / "scores.jsonl").read_text().splitlines()]
    assert rows[1] > rows[0]
    assert rows[3] > rows[4]
