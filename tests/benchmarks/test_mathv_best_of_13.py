"""Best of 13 on MATH-V: what the reward may see, what it is compared with, and small runs of the whole comparison."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.models.hf import Backbone
from assay.models.scratch import Size, subword_tokenizer, text_backbone
from assay.records import Record
from assay.rewards.base import score
from assay.rewards.learned import LearnedReward
from assay.training.probe import Reads

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ASSAY_DATA") or ROOT.parent / "shared" / "data")
MODELS = ("Ada-7B", "Bea-13B", "Cleo-CoT", "Dora-Max")
LETTERS = "ABCDE"


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """The benchmark, imported as the command imports it."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield import_module("mathv_best_of_13")
    own = ("real", "mathv_best_of_13", "mathv_rule", "measure", "text_rewards")
    for name in set(sys.modules) - before:
        if name.split(".")[0] in own:
            del sys.modules[name]


@pytest.fixture(scope="module")
def shelf(bench: Any) -> list[dict[str, Any]]:
    folder = DATA / "mm-mathv-answers"
    if not folder.exists():
        pytest.skip(f"no {folder}; set ASSAY_DATA to the folder of public data")
    return bench.read(folder / "answers.jsonl.gz")


def made_up(count: int, word: Callable[[bool], str]) -> list[dict[str, Any]]:
    """Rows as those of answers.jsonl; ``word`` stands in each answer, by whether it is right."""
    chance = random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        answer, right = chance.choice(LETTERS), {chance.choice(MODELS)}
        given = [
            {
                "model": model,
                "response": f"{word(model in right)} so it is ({letter})",
                "model_answer": letter.lower(),
                "correct": model in right,
            }
            for model in MODELS
            for letter in [answer if model in right else chance.choice(LETTERS.replace(answer, ""))]
        ]
        question = f"What is {number} and {chance.randrange(99)}?\n<image1>"
        rows.append(
            {"id": f"q{number}", "question": question, "options": list("vwxyz"), "answer": answer, "responses": given}
        )
    return rows


def backbone(rows: Sequence[dict[str, Any]], hidden: int = 32) -> Backbone:
    texts = [each["response"] for row in rows for each in row["responses"]]
    return text_backbone(subword_tokenizer(texts, 400), Size(hidden=hidden, layers=1, positions=4096), seed=0)


def run(bench: Any, rows: Sequence[dict[str, Any]], decay: float = 0.1) -> tuple[Any, Any]:
    def reader(reward: LearnedReward, records: Sequence[Record]) -> Reads:
        return Reads.of(reward, records)

    return bench.best_of(bench.Questions.of(rows), backbone(rows), reader, decays=(decay,))


def test_the_reward_is_not_told_which_model_answered(bench: Any) -> None:
    rows = made_up(12, lambda right: "hm")
    questions = bench.Questions.of(rows)
    assert not any(model in repr(record) for record in questions.records for model in MODELS)
    renamed = json.loads(json.dumps(rows).replace("Dora-Max", "Aaron"))
    assert bench.Questions.of(renamed).records == questions.records
    places = {tuple(order) for order in questions.model.tolist()}
    assert len(places) > 6, "answers stand in an order of their own in each question"
    for row, record, right, model in zip(rows, questions.records, questions.right, questions.model, strict=True):
        assert [each.text for each in record.responses] == [row["responses"][n]["response"] for n in model]
        assert right.tolist() == [float(row["responses"][n]["correct"]) for n in model]


def test_a_reward_that_learns_from_other_questions_picks_right_answers(bench: Any) -> None:
    result, split = run(bench, made_up(50, lambda right: "therefore" if right else "maybe"))
    found = {name: row.accuracy.value for name, row in result.of.items()}
    assert found["mean answer"] == pytest.approx(0.25)
    assert found["oracle"] == 1
    assert found["reward"] == 1
    assert result.good
    assert result.style < 0.5, "who answered says little here"
    assert sum(each.picks for each in result.models) == 50
    assert split.folds == 5
    assert len(split.told()["sha256"]) == 64


def test_nothing_to_learn_is_no_better_than_the_mean_answer(bench: Any) -> None:
    chance = random.Random(1)
    result, _ = run(bench, made_up(60, lambda right: chance.choice(["therefore", "maybe"])))
    assert abs(result.of["reward"].over_mean.value) < 0.2
    assert not result.good


def test_style_alone_is_told_from_picking_within_a_model(bench: Any) -> None:
    """A reward that always picks the better of two models gains by style; the rest is gained within models."""
    right = np.array([[1.0, 0.0]] * 7 + [[0.0, 1.0]] * 3)
    questions = bench.Questions([Record.of("q", ["a", "b"], id=str(n)) for n in range(10)], right,
                                np.array([[0, 1]] * 10), ["one", "two"], [])  # fmt: skip
    models, style = bench._models(questions, np.zeros(10, dtype=np.int64))
    assert [(each.model, each.picks, each.accuracy) for each in models] == [("one", 10, 0.7)]
    assert style == pytest.approx(0.7)
    oracle, elsewhere = bench._models(questions, right.argmax(1))
    assert [each.accuracy for each in oracle] == [1.0, 1.0]
    assert elsewhere == pytest.approx((7 * (6 / 9) + 3 * (2 / 9)) / 10)


def test_agreement_is_of_answers_however_they_are_written(bench: Any) -> None:
    said = ["The answer is (B).", "5", "b", "\\boxed{B}", "", "7"]
    record = Record.of("q", said, options=["3", "5", "8"])
    assert score(bench.Agreement(), [record]).values.tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6, 0, 0])
    assert bench.answer_of(Record.of("q", [], options=[]), "It is \\boxed{12}.") == "12"


def test_what_is_beside_the_reward_on_the_answers_of_the_shelf(bench: Any, shelf: list[dict[str, Any]]) -> None:
    questions = bench.Questions.of(shelf)
    assert questions.right.shape == (1200, 13)
    assert ((questions.right.max(1) == 1) & (questions.right.min(1) == 0)).all(), "some are right, some wrong"
    found = {name: float(values.mean()) for name, values in bench._beside(questions).items()}
    assert found["mean answer"] == pytest.approx(0.214, abs=5e-4)
    assert found["majority vote"] == pytest.approx(0.265, abs=2e-3)
    assert found["always the best model"] == pytest.approx(0.279, abs=5e-4)


def test_a_part_of_the_shelf(bench: Any, shelf: list[dict[str, Any]]) -> None:
    result, _ = run(bench, shelf[::8], decay=3.0)
    assert [row.name for row in result.rows] == [
        bench.MEAN, bench.MAJORITY, bench.BEST, bench.TEXT, bench.AGREEING, bench.ORACLE,
    ]  # fmt: skip
    assert result.answers == 13 * 150
    assert sum(each.picks for each in result.models) == 150
    assert all(0 < row.accuracy.low <= row.accuracy.value <= row.accuracy.high for row in result.rows)
    assert len(result.decays) == 5
    assert len(result.lines()) == 9 + len(result.models)


def test_the_figures_that_are_kept_are_of_these_questions(bench: Any, shelf: list[dict[str, Any]]) -> None:
    kept = json.loads(bench.RESULTS.read_text())
    records = bench.Questions.of(shelf).records
    split = bench.crossed("x", [record.id for record in records], [record.prompt[0].text for record in records])
    assert kept["split"]["sha256"] == split.sha256
    rows = {row["name"]: row for row in kept["rows"]}
    assert rows[bench.TEXT]["accuracy"]["low"] > rows[bench.MEAN]["accuracy"]["value"]
    assert kept["good"] is True
