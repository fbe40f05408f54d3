"""Rewards under a context: which context some choices speak for, and the expected score over contexts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from assay.records import Preference, Record
from assay.rewards.base import scores_of, spec_of
from assay.rewards.contexts import context_posterior, infer_context, over_contexts, under
from assay.scores import Scores
from assay.spec import Spec


class LikesLength:
    """Longer is better where the context says long, and worse where it says short."""

    spec = Spec(needs=("style", "language"))

    def __call__(self, records: Sequence[Record], /) -> Scores:
        sign = {"long": 1.0, "short": -1.0, "any": 0.0}
        values = [
            sign[record.context["style"]] * len(response.text) for record in records for response in record.responses
        ]
        return scores_of(records, values)


RECORD = Record.of("prompt", ["a", "abcd"], feedback=[Preference(1, 0)], style="short")


def test_the_context_is_set_whatever_the_record_says() -> None:
    assert under(LikesLength(), "style", "long")([RECORD]).values.tolist() == [1.0, 4.0]
    assert spec_of(under(LikesLength(), "style", "long")).needs == ("language",)
    assert "under(" in repr(under(LikesLength(), "style", "long"))


def test_the_expected_score_over_contexts() -> None:
    found = over_contexts(LikesLength(), "style", {"long": 0.75, "short": 0.25})([RECORD])
    assert found.values.tolist() == [0.5, 2.0]
    for wrong in ({}, {"long": 0.5}, {"long": 1.5, "short": -0.5}):
        with pytest.raises(ValueError, match="sum to 1"):
            over_contexts(LikesLength(), "style", wrong)


def test_choices_speak_for_a_context() -> None:
    found = infer_context(LikesLength(), "style", ["long", "short", "any"], [RECORD])
    likelihood = torch.sigmoid(torch.tensor([3.0, -3.0, 0.0]))
    assert list(found.values()) == pytest.approx((likelihood / likelihood.sum()).tolist())
    swapped = Record.of("prompt", ["a", "abcd"], feedback=[Preference(1, 0, probability=0.0)], style="short")
    assert infer_context(LikesLength(), "style", ["long", "short"], [swapped])["short"] > 0.9
    tied = Record.of("prompt", ["a", "abcd"], feedback=[Preference(1, 0, tie=True)])
    assert infer_context(LikesLength(), "style", ["long", "short"], [tied]) == {"long": 0.5, "short": 0.5}
    with pytest.raises(ValueError, match="names"):
        infer_context(LikesLength(), "style", [], [RECORD])


def test_a_prior_counts_and_what_was_not_judged_does_not() -> None:
    gaps = torch.tensor([[1.0, torch.nan], [1.0, torch.nan]])
    assert context_posterior(gaps, torch.tensor([0.9, 0.1])).tolist() == pytest.approx([0.9, 0.1])
    for wrong in (torch.tensor([1.0, 0.0]), torch.ones(3)):
        with pytest.raises(ValueError, match="positive"):
            context_posterior(gaps, wrong)
