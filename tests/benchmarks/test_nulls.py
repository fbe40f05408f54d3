from __future__ import annotations

import random

import numpy as np
import pytest

from assay.benchmarks import nulls
from assay.benchmarks.base import pairs_of, shuffled
from assay.metrics import floats
from assay.records import Preference, Ranking, Record

ANSWERS = ("red", "green", "blue", "circle", "square")


def accuracy(reward_scores, records) -> float:
    return float(np.mean(pairs_of(records).outcomes(floats(reward_scores.values))))


def pair(prompt: str, better: str, worse: str, number: int = 0) -> Record:
    return Record.of(prompt, [better, worse], id=f"{prompt}-{number}", feedback=[Preference(0, 1)])


def test_length_takes_its_sign_from_the_training_part():
    longer = [pair(f"q{i}", "a long answer", "short") for i in range(4)]
    shorter = [pair(f"q{i}", "short", "a long answer") for i in range(4)]
    assert repr(nulls.length(longer)) == "longer_is_better"
    assert repr(nulls.length(shorter)) == "shorter_is_better"
    assert accuracy(nulls.length(shorter)(longer), longer) == 0.0  # fitted elsewhere, it may be wrong here


def test_position_is_oriented_and_says_nothing_once_shuffled():
    stored = [pair(f"q{i}", "good", "bad") for i in range(400)]
    assert accuracy(nulls.first_position(stored)(stored), stored) == 1.0
    mixed, _ = shuffled(stored, 0)
    assert abs(accuracy(nulls.cross_fitted(nulls.first_position, mixed), mixed) - 0.5) < 0.08


def test_constant_is_one_half_by_ties():
    records = [pair("q", "a", "b")]
    assert accuracy(nulls.constant(records)(records), records) == 0.5


def test_answer_only_learns_what_the_answers_give_away_and_no_more():
    rng = random.Random(0)
    marked = [pair(f"q{i}", f"certainly {rng.random():.3f}", f"perhaps {rng.random():.3f}") for i in range(60)]
    assert accuracy(nulls.cross_fitted(nulls.answer_only, marked), marked) == 1.0
    blind = []
    for i in range(200):
        better, worse = rng.sample(ANSWERS, 2)
        blind.append(pair(f"q{i}", better, worse))
    assert abs(accuracy(nulls.cross_fitted(nulls.answer_only, blind), blind) - 0.5) < 0.15


def prior_world(count: int, seed: int) -> list[Record]:
    """Each question has a likely answer (0.8); the picture, which no null sees, decides."""
    rng = random.Random(seed)
    likely = {f"what is {thing}?": ANSWERS[i % 5] for i, thing in enumerate(["it", "this", "that", "there"])}
    records = []
    for number in range(count):
        question = rng.choice(list(likely))
        truth = likely[question] if rng.random() < 0.8 else rng.choice(ANSWERS)
        ranks = tuple(0 if answer == truth else 1 for answer in ANSWERS)
        records.append(Record.of(question, ANSWERS, id=str(number), feedback=[Ranking(ranks)]))
    return records


def test_text_only_finds_the_prior_of_each_question_that_answer_only_cannot():
    train, test = prior_world(300, 0), prior_world(300, 1)
    text = accuracy(nulls.text_only(train)(test), test)
    answer = accuracy(nulls.answer_only(train)(test), test)
    best = np.mean([0.8 + 0.2 * 0.2 + 0.5 * 0.16])  # knows the prior: .84 all right, else about half of the pairs
    assert text > best - 0.05
    assert text > answer + 0.15


def test_cross_fitting_never_fits_on_what_it_scores():
    # one answer is right in each prompt and nowhere else: only a fit that saw the prompt can know
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=8)) for _ in range(40)]
    records = [pair(f"prompt {i // 2}", words[i // 2], words[20 + i // 2], i) for i in range(40)]
    assert accuracy(nulls.text_only(records)(records), records) == 1.0
    held = nulls.cross_fitted(nulls.text_only, records, cluster=np.arange(40) // 2)
    leaky = nulls.cross_fitted(nulls.text_only, records, cluster=np.arange(40))
    assert accuracy(leaky, records) > accuracy(held, records)


def test_a_null_is_fitted_without_the_label_of_the_record_it_scores():
    seen: list[list[str]] = []

    def spy(records):
        seen.append([record.id for record in records])
        return nulls.constant(records)

    records = [pair(f"q{i}", "a", "b") for i in range(10)]
    scores = nulls.cross_fitted(spy, records, folds=5)
    assert len(seen) == 5
    assert sum(len(ids) for ids in seen) == 10 * 4
    assert scores.ids == tuple(f"q{i}-0/{j}" for i in range(10) for j in range(2))


def test_one_independent_record_cannot_be_cross_fitted():
    with pytest.raises(ValueError, match="two independent"):
        nulls.cross_fitted(nulls.length, [pair("q", "a", "b"), pair("q", "c", "d")])


def test_nulls_stand_empty_text_and_no_feedback():
    records = [Record.of("", ["", ""], id="e", feedback=[Preference(0, 1)]), Record.of("q", ["a", "b"], id="f")]
    for fit in nulls.DEFAULT_NULLS.values():
        assert len(fit(records)(records)) == 4
        assert len(fit([])(records)) == 4
