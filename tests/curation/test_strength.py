"""The strength of preferences by an ensemble's vote, and labels changed by it."""

import math

import numpy as np
import pytest
import torch

from assay.curation.strength import adaptive_margin, drop, flip, lowest, margins, preference_strength, relabel, soft
from assay.records import Preference, Rating, Record
from assay.rewards.base import scores_of

NAN = math.nan


def record(index: int, *feedback, responses: int = 2) -> Record:
    return Record.of(f"p{index}", [str(i) for i in range(responses)], id=str(index), feedback=feedback)


RECORDS = [
    record(0, Preference(0, 1), Preference(1, 2, margin=0.5), responses=3),
    record(1, Preference(0, 1, tie=True), Rating(0, 3.0)),
    record(2, Preference(1, 0)),
]


def test_margins_are_of_stated_winners_by_each_member() -> None:
    first = scores_of(RECORDS, [3.0, 1.0, 0.5, 9.0, 9.0, 1.0, 4.0])
    second = scores_of(RECORDS, [0.0, 2.0, NAN, 9.0, 9.0, 5.0, 4.0])
    found = margins([first, second], RECORDS)
    assert found[0].tolist() == [2.0, 0.5, 3.0]
    assert found[1, [0, 2]].tolist() == [-2.0, -1.0]
    assert bool(found[1, 1].isnan())
    mean, std = preference_strength(found)
    assert mean.tolist() == [0.0, 0.5, 1.0]
    assert std.tolist() == [2.0, 0.0, 2.0]
    with pytest.raises(ValueError, match="these records"):
        margins([first], RECORDS[:2])
    unknown, _ = preference_strength(torch.full((2, 1), NAN))
    assert bool(unknown.isnan().all())


MEAN, STD = torch.tensor([2.0, -1.0, NAN]), torch.tensor([0.1, 0.2, NAN])


def preferences(records):
    return [item for record in records for item in record.feedback if isinstance(item, Preference) and not item.tie]


def test_policies_change_weak_pairs_alone() -> None:
    assert preferences(relabel(RECORDS, MEAN, STD, flip())) == [
        Preference(0, 1),
        Preference(2, 1, margin=-0.5),
        Preference(1, 0),
    ]
    assert [p.probability for p in preferences(relabel(RECORDS, MEAN, STD, soft(0.3)))] == [1.0, 0.7, 1.0]
    assert [p.margin for p in preferences(relabel(RECORDS, MEAN, STD, adaptive_margin(2.0)))] == [4.0, -2.0, None]
    assert preferences(relabel(RECORDS, MEAN, STD, drop())) == [Preference(0, 1), Preference(1, 0)]
    assert preferences(relabel(RECORDS, MEAN, STD, drop(-5.0, std_above=0.15))) == [Preference(0, 1), Preference(1, 0)]


def test_a_flipped_pair_has_its_margin_turned_round_too() -> None:
    both = preferences(relabel(RECORDS, MEAN, STD, flip(), adaptive_margin()))
    assert both[1] == Preference(2, 1, margin=1.0)
    assert preferences(relabel(RECORDS, MEAN, STD, drop(), flip()))[1:] == [Preference(1, 0)]


def test_other_feedback_stays_and_a_record_that_loses_all_does_too() -> None:
    found = relabel(RECORDS, torch.tensor([-1.0, -1.0, -1.0]), STD, drop())
    assert [len(r.feedback) for r in found] == [0, 2, 0]
    assert found[1] == RECORDS[1]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="3 pairs"):
        relabel(RECORDS, MEAN[:2], STD[:2], flip())
    with pytest.raises(ValueError, match="policy"):
        relabel(RECORDS, MEAN, STD)
    with pytest.raises(ValueError, match="smoothing"):
        soft(1.5)
    with pytest.raises(ValueError, match="share"):
        lowest(MEAN, 2.0)
    assert lowest(torch.arange(11.0), 0.2) == 2.0


def test_flipped_labels_are_found_by_the_vote() -> None:
    """A quarter of the labels is flipped; members fitted on bootstraps vote against most of those."""
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    truth = rng.normal(size=8)
    gaps = rng.normal(size=(400, 8))
    right = gaps @ truth > 0
    wrong = rng.random(400) < 0.25
    label = np.where(right ^ wrong, 1.0, -1.0)
    votes = []
    for _ in range(10):
        rows = rng.integers(0, 400, 400)
        weights = np.linalg.lstsq(gaps[rows], label[rows], rcond=None)[0]
        votes.append(label * (gaps @ weights))
    mean, _ = preference_strength(torch.tensor(np.array(votes)))
    statistic = mannwhitneyu(mean[~wrong], mean[wrong]).statistic / ((~wrong).sum() * wrong.sum())
    assert statistic > 0.85
    records = [
        Record.of(f"{i}", ["a", "b"], id=str(i), feedback=[Preference(int(sign < 0), int(sign > 0))])
        for i, sign in enumerate(label)
    ]
    changed = relabel(records, mean, torch.zeros(400), flip())
    now = np.array([item.better == 0 for item in preferences(changed)])
    assert (now == right).mean() > (~wrong).mean() + 0.06
