import math
from collections import Counter

import numpy as np
import pytest

from assay.records import Preference, Ranking, Rating, Record
from assay.worlds.raters import Judge, Rater, compare, grade, odds, population, rank, rate, rated

TRIALS = 20_000


def close(count: int, probability: float, trials: int = TRIALS) -> bool:
    """Within four standard errors of a binomial."""
    return abs(count - trials * probability) <= 4 * math.sqrt(trials * probability * (1 - probability)) + 1e-9


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("flip", [0.0, 0.2])
@pytest.mark.parametrize("tie", [0.0, 0.7])
def test_win_rates_are_those_of_the_model(temperature, flip, tie):
    rater = Rater("r", {}, temperature=temperature, flip=flip, tie=tie)
    rng = np.random.default_rng(1)
    counts = Counter(np.sign(grade(rater, 1.0, 0.2, rng)) for _ in range(TRIALS))
    gap = 0.8 / temperature
    win, loss = 1 / (1 + math.exp(tie - gap)), 1 / (1 + math.exp(tie + gap))  # Rao-Kupper, theta = exp(tie)
    assert close(counts[1], (1 - flip) * win + flip * loss)
    assert close(counts[-1], (1 - flip) * loss + flip * win)
    assert close(counts[0], 1 - win - loss)
    stated = odds(rater, 1.0, 0.2)
    assert stated.win == pytest.approx((1 - flip) * win + flip * loss)
    assert stated.win + stated.tie + stated.loss == pytest.approx(1)


def test_without_noise_terms_it_is_bradley_terry():
    stated = odds(Rater("r", {}, temperature=1.0), 1.5, 0.0)
    assert stated.win == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert stated.tie == pytest.approx(0)


def test_grades_are_strong_where_the_gap_is_large():
    rater = Rater("r", {}, tie=0.5, strong=2.0)
    rng = np.random.default_rng(2)
    counts = Counter(grade(rater, 1.0, 0.0, rng) for _ in range(TRIALS))
    assert set(counts) == {-2, -1, 0, 1, 2}
    assert close(counts[2], 1 / (1 + math.exp(2.0 - 1.0)))
    assert close(counts[-2], 1 / (1 + math.exp(2.0 + 1.0)))


def test_preferences_name_the_rater_and_mark_ties():
    rater = Rater("ann", {}, tie=1.0)
    rng = np.random.default_rng(3)
    given = [compare(rater, [0.0, 1.0, 2.0], rng) for _ in range(300)]
    assert all(item.rater == "ann" and item.better != item.worse for item in given)
    assert {item.strength for item in given} == {0.0, 1.0, 2.0}
    assert all(item.tie == (item.strength == 0) and item.probability == (0.5 if item.tie else 1.0) for item in given)
    with pytest.raises(ValueError, match="two responses"):
        compare(rater, [1.0], rng)


def test_rankings_follow_plackett_luce():
    rater = Rater("r", {}, temperature=1.0)
    utilities = [1.0, 0.0, -0.5]
    rng = np.random.default_rng(4)
    firsts = Counter(rank(rater, utilities, rng).ranks.index(0) for _ in range(TRIALS))
    total = sum(math.exp(u) for u in utilities)
    for i, utility in enumerate(utilities):
        assert close(firsts[i], math.exp(utility) / total)
    assert sorted(rank(rater, utilities, rng).ranks) == [0, 1, 2]


def test_ratings_rise_with_utility_and_stay_in_range():
    rater = Rater("r", {})
    rng = np.random.default_rng(5)
    values = np.array([[item.value for item in rate(rater, [-3.0, 0.0, 3.0], rng)] for _ in range(2000)])
    assert values.min() >= 1
    assert values.max() <= 5
    low, middle, high = values.mean(axis=0)
    assert low < 1.5
    assert abs(middle - 3) < 0.1
    assert high > 4.5
    flipped = Rater("r", {}, flip=1.0)
    assert np.mean([rate(flipped, [3.0], rng)[0].value for _ in range(500)]) < 1.5


def test_populations_spread_about_their_mean():
    raters = population({"helpful": 2.0, "short": -1.0}, 4000, seed=1, spread=0.5, prefix="p")
    weights = np.array([[rater.weights["helpful"], rater.weights["short"]] for rater in raters])
    assert np.abs(weights.mean(axis=0) - [2.0, -1.0]).max() < 4 * 0.5 / math.sqrt(4000)
    assert np.abs(weights.std(axis=0) - 0.5).max() < 0.03
    assert raters[0].name == "p-0"
    assert population({"a": 1.0}, 3, seed=1) == population({"a": 1.0}, 3, seed=1)


def records(n: int) -> list[Record]:
    return [Record.of("q", ["a", "b", "c"], id=str(i), feedback=[Preference(0, 1)]) for i in range(n)]


def attributes(n: int) -> list[list[dict[str, float]]]:
    rng = np.random.default_rng(0)
    return [[{"x": float(rng.normal()), "y": float(rng.normal())} for _ in range(3)] for _ in range(n)]


@pytest.mark.parametrize(("kind", "type_"), [("preference", Preference), ("rating", Rating), ("ranking", Ranking)])
def test_rated_records_carry_named_feedback_and_gold(kind, type_):
    raters = [Rater("ann", {"x": 1.0}), Rater("bob", {"y": 2.0}), Rater("cid", {"x": 1.0, "y": -1.0})]
    cells = attributes(20)
    result = rated(records(20), cells, raters, kind=kind, each=2, seed=3)
    assert rated(records(20), cells, raters, kind=kind, each=2, seed=3) == result
    assert set(result.utilities) == {"ann", "bob", "cid"}
    for i, record in enumerate(result.records):
        assert all(isinstance(item, type_) for item in record.feedback)
        assert len({item.rater for item in record.feedback}) == 2
        for k in range(3):
            x, y = cells[i][k]["x"], cells[i][k]["y"]
            assert result.utilities["bob"][i][k] == 2 * y
            assert result.gold[i][k] == pytest.approx((x + 2 * y + x - y) / 3)


def test_calm_raters_agree_with_their_gold():
    raters = [Rater("ann", {"x": 1.0}, temperature=1e-6)]
    result = rated(records(50), attributes(50), raters)
    for i, record in enumerate(result.records):
        (said,) = record.feedback
        assert result.gold[i][said.better] > result.gold[i][said.worse]


def test_wrong_arguments_are_refused():
    ann = Rater("ann", {"x": 1.0})
    for arguments in (
        {"attributes": attributes(2), "raters": [ann]},
        {"attributes": attributes(1), "raters": [ann, ann]},
        {"attributes": attributes(1), "raters": [ann], "each": 2},
    ):
        with pytest.raises(ValueError, match="need"):
            rated(records(1), **arguments)
    for wrong in ({"temperature": 0}, {"flip": 1.5}, {"tie": 3.0}):
        with pytest.raises(ValueError, match="need temperature"):
            Rater("r", {}, **wrong)


def test_a_judge_is_as_reliable_biased_and_silent_as_it_is_told():
    judge = Judge(reliability=0.8, position_bias=0.25, abstain=0.1)
    rng = np.random.default_rng(5)
    better_first = Counter(judge.compare(1.0, 0.0, rng) for _ in range(TRIALS))
    better_last = Counter(judge.compare(0.0, 1.0, rng) for _ in range(TRIALS))
    assert close(better_first["Both answers have their merits."], 0.1)
    assert close(better_first["Answer 1 is better."], 0.9 * (0.25 + 0.75 * 0.8))
    assert close(better_last["Answer 2 is better."], 0.9 * 0.75 * 0.8)
    equal = Counter(judge.compare(1.0, 1.0, rng) for _ in range(TRIALS))
    assert close(equal["Answer 2 is better."], 0.9 * 0.75 * 0.5)


def test_a_judge_scores_with_its_own_noise():
    rng = np.random.default_rng(6)
    given = [Judge(noise=0.5, abstain=0.2).rate(2.0, rng) for _ in range(TRIALS)]
    scores = np.array([score for score in given if score is not None])
    assert close(TRIALS - len(scores), 0.2)
    assert abs(scores.mean() - 2.0) < 4 * 0.5 / math.sqrt(len(scores))
    assert scores.std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("wrong", [{"reliability": 1.1}, {"position_bias": -0.1}, {"abstain": 2.0}, {"noise": -1.0}])
def test_a_judge_refuses_what_is_no_probability(wrong):
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Judge(**wrong)
