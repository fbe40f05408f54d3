"""Whatever abstains, no objective loses its loss or its gradient to it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.models.outputs import Outputs
from assay.records import Preference, Rating, Record, Response, StepLabels
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import tiny_text
from assay.training.names import objectives
from assay.training.supervision import supervise

RESPONSES, STEPS, LEVELS = 3, 3, 3


def records(labels: list[float | None]) -> list[Record]:
    """Two records with every kind of feedback, under a criterion and without."""
    said = [
        Preference(0, 1, criterion="help"),
        Preference(2, 1),
        *(Rating(n, float(n % 2), criterion="help" if n else None) for n in range(RESPONSES)),
        *(StepLabels(n, tuple(labels[n:] + labels[:n])) for n in range(RESPONSES)),
    ]
    texts = [Response.from_steps([f"{n}{step}" for step in range(STEPS)]) for n in range(RESPONSES)]
    return [Record.of("q", texts, id=name, feedback=said) for name in "ab"]


def outputs(gone: list[bool], seed: int) -> tuple[Outputs, list[torch.Tensor]]:
    """All that heads give, NaN where a response is gone, with the leaves that gradients reach."""
    generator = torch.Generator().manual_seed(seed)
    rows, missing = 2 * RESPONSES, torch.tensor(gone)
    shapes = [(rows,), (rows, 2), (rows,), (rows, LEVELS - 1), (rows, STEPS), (rows, STEPS, 2)]
    leaves: list[torch.Tensor] = []
    for shape in shapes:
        leaf = torch.randn(shape, generator=generator)
        if shape == (rows, LEVELS - 1):
            leaf = leaf.sort(dim=-1, descending=True).values + torch.tensor([0.1, 0.0])
        leaf[missing] = math.nan
        leaves.append(leaf.requires_grad_())
    values, attributes, log_variance, logits, steps, step_logits = leaves
    made = Outputs(values, attributes, ("help", "length"), log_variance, logits, steps, step_logits)
    return made, leaves


@pytest.mark.parametrize("name", objectives())
@settings(max_examples=15, deadline=None)
@given(
    gone=st.lists(st.booleans(), min_size=2 * RESPONSES, max_size=2 * RESPONSES),
    labels=st.lists(st.sampled_from([None, 0.0, 1.0]), min_size=STEPS, max_size=STEPS),
    seed=st.integers(0, 100),
)
def test_no_objective_loses_its_gradient_to_what_abstains(
    name: str, gone: list[bool], labels: list[float | None], seed: int
) -> None:
    made, leaves = outputs(gone, seed)
    losses = supervise(objectives()[name])(made, records(labels))
    assert bool(losses.items.isfinite().all())
    if not losses.items.requires_grad:
        return
    losses.items.sum().backward()
    for leaf in leaves:
        if leaf.grad is not None:
            assert bool(leaf.grad.isfinite().all())
            assert bool((leaf.grad[leaf.isnan()] == 0).all())


def test_no_records_and_nothing_scorable_are_scores_too() -> None:
    reward = LearnedReward.fresh(tiny_text(), max_length=3)
    assert len(reward([])) == 0
    assert set(reward([Record.of("far too long", ["for three tokens"])]).status) == {Status.TOO_LONG}
