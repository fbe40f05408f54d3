"""Calibration on worlds whose probabilities are known, and what is saved of it."""

import json
import math

import numpy as np
import pytest
import torch

from assay import metrics, transforms
from assay.records import Preference, Rating, Record
from assay.rewards.base import chain, scores_of
from assay.transforms.calibrate import fit_slices, outcomes, win_probabilities, win_probability
from assay.transforms.written import read, read_all, written, written_all
from assay.worlds.raters import Rater, odds, rated


def world(seed: int, pairs: int = 1500, temperature: float = 4.0):
    """Records rated by one noisy rater, and a reward that knows the utilities, whose differences are overconfident."""
    rng = np.random.default_rng(seed)
    bare = [Record.of(f"prompt {seed} {i}", ["a", "b"], id=f"{seed}-{i}", hard=str(i % 2)) for i in range(pairs)]
    attributes = [[{"quality": float(rng.normal() * 3)} for _ in range(2)] for _ in bare]
    found = rated(bare, attributes, [Rater("r", {"quality": 1.0}, temperature=temperature)], seed=seed)
    flat = [u for row in found.gold for u in row]
    return list(found.records), scores_of(list(found.records), torch.tensor(flat, dtype=torch.float64))


def error(scores, records) -> float:
    """Expected calibration error of the probability that the first response of each pair wins."""
    said = outcomes(scores, records)
    first = torch.minimum(said.better, said.worse)
    second = torch.maximum(said.better, said.worse)
    probability = win_probability(scores.values[first], scores.values[second]).numpy()
    won = torch.where(said.better == first, said.outcome, 1 - said.outcome).numpy()
    return metrics.calibration_error(probability, won)


def test_a_fitted_temperature_is_the_raters_and_lowers_the_error_on_held_out_pairs() -> None:
    records, scores = world(0)
    fitted = transforms.fit_temperature(scores, records)
    assert fitted.value == pytest.approx(4.0, rel=0.15)
    held, held_scores = world(1)
    before, after = error(held_scores, held), error(fitted(held_scores), held)
    assert before > 0.12
    assert after < 0.05


def test_a_temperature_changes_no_order_and_divides_the_std() -> None:
    scores = scores_of([Record.of("p", ["a", "b"])], [1.0, -2.0], std=torch.tensor([1.0, 2.0]))
    found = transforms.temperature(4.0)(scores)
    assert found.values.tolist() == [0.25, -0.5]
    assert found.std.tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match="positive"):
        transforms.temperature(0.0)


def test_what_cannot_be_fitted_says_why() -> None:
    records = [Record.of(f"{i}", ["a", "b"], feedback=[Preference(0, 1)]) for i in range(4)]
    with pytest.raises(ValueError, match="right on every one of the 4 pairs"):
        transforms.fit_temperature(scores_of(records, [1.0, 0.0] * 4), records)
    with pytest.raises(ValueError, match="say nothing"):
        transforms.fit_temperature(scores_of(records, [1.0, 0.0, 0.0, 1.0] * 2), records)
    with pytest.raises(ValueError, match="none of 1 records"):
        transforms.fit_temperature(scores_of([Record.of("p", ["a"])], [1.0]), [Record.of("p", ["a"])])
    with pytest.raises(ValueError, match="the scores are of"):
        transforms.fit_temperature(scores_of(records, [1.0, 0.0] * 4), records[:2])
    with pytest.raises(ValueError, match="0 judged responses"):
        transforms.fit_isotonic(scores_of([Record.of("p", ["a"])], [1.0]), [Record.of("p", ["a"])])


def test_pairs_leave_abstentions_out_and_read_ties_and_soft_labels() -> None:
    feedback = [Preference(1, 0, probability=0.8), Preference(0, 2), Preference(2, 1, tie=True)]
    record = Record.of("p", ["a", "b", "c"], feedback=feedback)
    found = outcomes(scores_of([record], [1.0, 2.0, 3.0]), [record])
    assert (found.better.tolist(), found.worse.tolist()) == ([1, 0, 2], [0, 2, 1])
    assert found.outcome.tolist() == [0.8, 1.0, 0.5]
    assert outcomes(scores_of([record], [1.0, 2.0, math.nan]), [record]).better.tolist() == [1]


def test_isotonic_gives_the_chance_of_being_right_on_held_out_responses() -> None:
    rng = np.random.default_rng(0)

    def drawn(n: int):
        logit = rng.normal(size=n) * 2
        right = rng.random(n) < 1 / (1 + np.exp(-logit))
        records = [Record.of(f"{i}", ["a"], id=str(i), feedback=[Rating(0, float(r))]) for i, r in enumerate(right)]
        return records, scores_of(records, torch.tensor(logit**3, dtype=torch.float64)), right

    records, scores, _ = drawn(2000)
    fitted = transforms.fit_isotonic(scores, records)
    _, held, right = drawn(2000)
    before = metrics.calibration_error(torch.sigmoid(held.values).numpy(), right)
    after = metrics.calibration_error(fitted(held).values.numpy(), right)
    assert before > 0.06
    assert after < 0.04


def test_isotonic_of_preferences_is_the_chance_of_winning() -> None:
    records, scores = world(2, pairs=800)
    fitted = transforms.fit_isotonic(scores, records)
    held, held_scores = world(3, pairs=800)
    said = outcomes(held_scores, held)
    rows = torch.cat([said.better, said.worse])
    won = torch.cat([said.outcome, 1 - said.outcome]).numpy()
    assert metrics.calibration_error(fitted(held_scores).values[rows].numpy(), won) < 0.05


def test_isotonic_refuses_ratings_that_are_no_probabilities_and_knots_that_fall() -> None:
    records = [Record.of(f"{i}", ["a"], feedback=[Rating(0, float(i))]) for i in range(5)]
    with pytest.raises(ValueError, match=r"0\.\.4"):
        transforms.fit_isotonic(scores_of(records, [0.0, 1.0, 2.0, 3.0, 4.0]), records)
    for knots in ([], []), ([0.0, 0.0], [0.1, 0.2]), ([0.0, 1.0], [0.2, 0.1]), ([0.0], [1.5]), ([0.0, 1.0], [0.2]):
        with pytest.raises(ValueError, match="isotonic"):
            transforms.isotonic(*knots)


def test_a_matrix_of_win_probabilities_for_each_record() -> None:
    records = [Record.of("p", ["a", "b"]), Record.of("q", ["a"])]
    first, second = win_probabilities(scores_of(records, [1.0, math.nan, 2.0]))
    assert first[0, 0] == 0.5
    assert bool(first[0, 1].isnan())
    assert second.tolist() == [[0.5]]
    a, b = torch.tensor(0.7), torch.tensor(-0.4)
    assert float(win_probability(a, b) + win_probability(b, a)) == pytest.approx(1.0)
    rater = Rater("r", {}, tie=math.log(5.0))
    assert float(win_probability(a, b, tie_theta=5.0)) == pytest.approx(odds(rater, 0.7, -0.4).win, abs=1e-6)
    with pytest.raises(ValueError, match="tie_theta"):
        win_probability(a, b, tie_theta=0.5)


def test_each_slice_has_its_own_fit() -> None:
    easy, easy_scores = world(4, temperature=1.0)
    hard, hard_scores = world(3, temperature=4.0)
    records = easy + hard
    scores = scores_of(records, torch.cat([easy_scores.values, hard_scores.values]))
    kind = {record.id: "easy" for record in easy} | {record.id: "hard" for record in hard}
    fits = fit_slices(scores, [*records], lambda record: kind[record.id], transforms.fit_temperature)
    assert fits["easy"].value == pytest.approx(1.0, rel=0.2)
    assert fits["hard"].value == pytest.approx(4.0, rel=0.2)
    assert fit_slices(scores, records, lambda record: record.id, transforms.fit_temperature) == {}


SAVED = [
    transforms.clip(0.0, 1.0),
    transforms.scale(0.5, 2.0),
    transforms.log_sigmoid(1.5),
    transforms.sigmoid(),
    transforms.negate(),
    transforms.unit_range(1, 5),
    transforms.percentile([0.0, 0.1, 1 / 3, 2.0]),
    transforms.prompt_centred(),
    transforms.prompt_standardised(0.1),
    transforms.anchored({"a": 0.1, "b": 1 / 3}),
    transforms.temperature(math.pi),
    transforms.isotonic([-1.0, 0.1, 2.0], [0.0, 1 / 3, 1.0]),
]


@pytest.mark.parametrize("transform", SAVED, ids=repr)
def test_a_transform_survives_json_to_the_bit(transform) -> None:
    assert read(json.loads(json.dumps(written(transform)))) == transform


def test_a_calibrated_reward_survives_as_its_transforms() -> None:
    records, scores = world(6, pairs=300)
    steps = (transforms.fit_temperature(scores, records), transforms.fit_scale(scores))
    again = read_all(json.loads(json.dumps(written_all(steps))))

    def reward(given):
        return scores_of(given, scores.values)

    found, expected = chain(reward, *again)(records), chain(reward, *steps)(records)
    assert torch.equal(found.values, expected.values)


def test_nothing_but_transforms_is_written_or_read() -> None:
    with pytest.raises(ValueError, match="no written form"):
        written(lambda scores: scores)
    for form in (
        {"transform": "os.system"},
        {"transform": "fit_scale"},
        {"transform": "Combine"},
        {},
        {"transform": 3},
    ):
        with pytest.raises(ValueError, match=r"no transform|cannot be read|is no transform"):
            read(form)
    with pytest.raises(ValueError, match="cannot be read back"):
        read({"transform": "scale", "wrong": 1})
