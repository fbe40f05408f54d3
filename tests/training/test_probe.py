"""A head fitted to its optimum is the regression that its objective names, and reads plain states afterwards."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from assay.models.heads import AttributeHead, ScalarHead, StepHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import every_response_token, step_ends
from assay.models.scratch import Size, text_backbone, word_tokenizer
from assay.objectives import stepwise
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.records import Preference, Rating, Record, Response, StepLabels
from assay.rewards.learned import LearnedReward
from assay.training.probe import Fitted, Reads, fit_head, scores_of_reads
from assay.training.states import StateStore
from assay.training.supervision import supervise

WORDS = ["red", "green", "blue", "good", "bad", "big", "small", "old"]


@pytest.fixture(scope="module")
def backbone():
    return text_backbone(word_tokenizer(WORDS), Size(hidden=16, layers=1), seed=0)


def answers(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(2, 6))) for _ in range(count)]


def rated(count: int = 40) -> list[Record]:
    said = [answers(3, seed) for seed in range(count)]
    return [
        Record.of(
            "say", each, id=f"r{n}", feedback=[Rating(i, float(text.count("good"))) for i, text in enumerate(each)]
        )
        for n, each in enumerate(said)
    ]


def paired(count: int = 60) -> list[Record]:
    records: list[Record] = []
    for seed in range(count):
        one, other = answers(2, 1000 + seed)
        order = (0, 1) if one.count("good") + 0.1 * (seed % 3) >= other.count("good") else (1, 0)
        records.append(Record.of("say", [one, other], id=f"p{seed}", feedback=[Preference(*order)]))
    return records


def states(reward: LearnedReward, records: list[Record]) -> np.ndarray:
    """``[responses, hidden]``, each the mean of its reads, one sequence a response."""
    found = StateStore().open(reward, None)
    every = [found(reward.prepare([r.view()]).batch) for r in records]
    rows = [reward.prepare([record]) for record in records]
    assert all(list(each.rows) == list(range(len(r.responses))) for each, r in zip(rows, records, strict=True))
    return torch.stack([state.float().mean(0) for part in every for state in part]).double().numpy()


def pooled(backbone, **options) -> LearnedReward:
    head = ScalarHead(backbone.hidden_size, pool=mean_of_reads, **options)
    return LearnedReward(backbone, head, read=every_response_token)


def probed(reward: LearnedReward, records: list[Record], supervision, **options) -> Fitted:
    return fit_head(reward, Reads.of(reward, records), supervision, **options)


def test_least_squares_is_ridge_regression_on_standardised_states(backbone):
    records, decay = rated(), 0.3
    reward = pooled(backbone, bias=True)
    fitted = fit_head(reward, Reads.of(reward, records), supervise(squared_error), decay=decay)
    given = states(reward, records)
    targets = np.array([item.value for record in records for item in record.feedback])
    z = (given - given.mean(0)) / given.std(0)
    ridge = Ridge(alpha=0.5 * decay * len(targets)).fit(z, targets)
    assert reward(records).values.numpy() == pytest.approx(ridge.predict(z), abs=2e-3)
    assert fitted.items == len(targets)
    assert fitted.loss == pytest.approx(np.mean((ridge.predict(z) - targets) ** 2), rel=1e-3)


def test_bradley_terry_is_logistic_regression_of_differences(backbone):
    records, decay = paired(), 0.05
    reward = pooled(backbone)
    fit_head(reward, Reads.of(reward, records), supervise(bradley_terry), decay=decay)
    given = states(reward, records).reshape(len(records), 2, -1)
    better = np.array([record.feedback[0].better for record in records])
    rows = np.arange(len(records))
    gap = (given[rows, better] - given[rows, 1 - better]) / given.reshape(-1, given.shape[-1]).std(0)
    model = LogisticRegression(C=1 / (decay * 2 * len(records)), fit_intercept=False, tol=1e-8, max_iter=5000)
    model.fit(np.vstack([gap, -gap]), np.repeat([1, 0], len(records)))
    found = reward(records).values.reshape(-1, 2).double().numpy()
    assert found[rows, better] - found[rows, 1 - better] == pytest.approx(gap @ model.coef_[0], abs=2e-3)


def test_steps_are_fitted_each_and_one_response_without_labels_takes_no_part(backbone):
    records: list[Record] = []
    for seed in range(40):
        steps = answers(3, 2000 + seed)
        labels = tuple(float("bad" not in step.split()[-1:]) for step in steps)
        feedback = [StepLabels(0, labels)] if seed else []
        records.append(
            Record("s" + str(seed), Record.of("q", ["a"]).prompt, (Response.from_steps(steps),), tuple(feedback))
        )
    reward = LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends)
    fitted = fit_head(reward, Reads.of(reward, records), supervise(stepwise.binary_cross_entropy), decay=0.001)
    assert fitted.items == 3 * 39
    scores = reward(records)
    right = [
        (float(value) > 0.5) == (label > 0.5)
        for row, record in zip(scores.steps, records, strict=True)
        for value, label in zip(row, record.feedback[0].labels if record.feedback else (), strict=False)
    ]
    assert np.mean(right) > 0.9


def test_the_decay_is_chosen_on_folds_that_were_not_fitted(backbone):
    learnable, noise = rated(), rated()
    chance = random.Random(1)
    noise = [Record(r.id, r.prompt, r.responses, tuple(Rating(i, chance.gauss(0, 1)) for i in range(3))) for r in noise]
    decays = (30.0, 1.0, 0.001)
    of_signal = probed(pooled(backbone, bias=True), learnable, supervise(squared_error), decay=decays)
    of_noise = probed(pooled(backbone, bias=True), noise, supervise(squared_error), decay=decays)
    assert of_signal.decay < of_noise.decay == 30.0
    assert [decay for decay, _ in of_signal.held_out] == list(decays)
    assert min(of_signal.held_out, key=lambda each: each[1])[0] == of_signal.decay


def test_folds_are_those_given(backbone):
    records = rated()
    halves = np.arange(len(records)) % 2
    thirds = probed(pooled(backbone, bias=True), records, supervise(squared_error), decay=(1.0, 0.1))
    by_two = probed(pooled(backbone, bias=True), records, supervise(squared_error), decay=(1.0, 0.1), fold=halves)
    assert thirds.held_out != by_two.held_out


def test_the_same_fit_from_any_first_weights_and_flags_stay(backbone):
    records = paired()
    one, other = pooled(backbone, seed=1), pooled(backbone, seed=2)
    for reward in (one, other):
        reward.head.linear.weight.requires_grad_(False)
        fit_head(reward, Reads.of(reward, records), supervise(bradley_terry), decay=0.5)
        assert not reward.head.linear.weight.requires_grad
        assert reward.head.linear.weight.grad is None
    assert one(records).values.numpy() == pytest.approx(other(records).values.numpy(), abs=2e-3)


def test_a_response_that_abstains_takes_no_part(backbone):
    records = rated(20)
    reward = pooled(backbone, bias=True).replace(max_length=40)
    long = Record.of("say", ["good " * 60, "bad red", "old"], id="long", feedback=[Rating(0, 9.0), Rating(1, 0.0)])
    fitted = fit_head(reward, Reads.of(reward, [*records, long]), supervise(squared_error), decay=1.0)
    assert fitted.items == 3 * 20 + 1


def test_scores_of_reads_are_the_scores_and_nothing_is_read_twice(backbone, tmp_path):
    long = Record.of("say", ["good " * 60, "bad red"], id="long")
    records = [*rated(5), long, *rated(10)[5:]]
    head = AttributeHead(backbone.hidden_size, ["a", "b"], pool=mean_of_reads)
    reward = LearnedReward(backbone, head, read=every_response_token, max_length=40)
    store, told = StateStore(tmp_path), []
    reads = Reads.of(reward, records, store, told.append)
    assert (sum(told), store.computed) == (11, 31)
    Reads.of(reward, records, store)
    assert store.computed == 31
    found, plain = scores_of_reads(reward, reads), reward(records)
    assert (found.ids, found.group.tolist()) == (plain.ids, plain.group.tolist())
    assert (found.status, found.messages) == (plain.status, plain.messages)
    assert found.values.tolist() == pytest.approx(plain.values.tolist(), abs=1e-5, nan_ok=True)
    assert found.attributes["b"].tolist() == pytest.approx(plain.attributes["b"].tolist(), abs=1e-5, nan_ok=True)
    some = scores_of_reads(reward, reads.only([7, 5, 2]))
    part = reward([records[7], long, records[2]])
    assert some.ids == part.ids
    assert some.values.tolist() == pytest.approx(part.values.tolist(), abs=1e-5, nan_ok=True)
    assert len(scores_of_reads(reward, reads.only([]))) == 0


def test_a_fitted_reward_is_saved_and_loaded(backbone, tmp_path):
    records = rated(20)
    reward = pooled(backbone, bias=True)
    fit_head(reward, Reads.of(reward, records), supervise(squared_error), decay=0.3)
    loaded = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert loaded(records).values.tolist() == pytest.approx(reward(records).values.tolist(), abs=1e-5)


def test_heads_that_are_more_than_linear_and_records_without_feedback_are_refused(backbone):
    with pytest.raises(ValueError, match=r"norm"):
        probed(pooled(backbone, norm=True), rated(4), supervise(squared_error), decay=1.0)
    with pytest.raises(ValueError, match="nothing to fit"):
        probed(pooled(backbone), [record.view() for record in rated(4)], supervise(squared_error), decay=1.0)
    assert Fitted(1.0, 0.0, 0.0, 1).held_out == ()
