from __future__ import annotations

import pytest
import torch

from assay.objectives.likelihood import weighted_nll
from assay.search.rejection import best_only, importance, rating_probability, softened

NAN = float("nan")


def test_the_best_shares_among_equals_and_never_abstains() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, NAN], [NAN, NAN, NAN, NAN]], dtype=torch.float64)
    assert best_only(scores).tolist() == [[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_softened_weights_leave_out_abstentions_and_sharpen() -> None:
    scores = torch.tensor([[0.0, 1.0, NAN], [NAN, NAN, NAN]], dtype=torch.float64)
    weights = softened(scores, 0.5)
    assert weights[0].tolist() == pytest.approx([*torch.tensor([0.0, 2.0]).softmax(0).tolist(), 0.0], abs=1e-7)
    assert weights[1].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="temperature"):
        softened(scores, 0.0)


def test_importance_weights_vanish_at_the_goal_and_descend_to_it_elsewhere() -> None:
    generator = torch.Generator().manual_seed(0)
    goal, proposal = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64).log_softmax(-1)
    assert importance(goal, goal, proposal).abs().max() < 1e-15
    logits = torch.zeros(3, 6, dtype=torch.float64, requires_grad=True)
    policy = logits.log_softmax(-1)
    weights = importance(goal, policy, torch.full_like(goal, -torch.log(torch.tensor(6.0)).item()))
    ones = torch.ones_like(policy[..., None], dtype=torch.bool).flatten(0, 1)
    weighted_nll(policy.reshape(-1, 1), weights.reshape(-1), ones).sum().backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, policy.exp() - goal.exp(), atol=1e-12)


def test_a_rating_puts_its_mass_about_itself() -> None:
    found = rating_probability(torch.tensor([[0.1, 0.5], [0.9, 1.0]], dtype=torch.float64))
    assert found.shape == (2, 2, 5)
    assert torch.allclose(found.sum(-1), torch.ones(2, 2, dtype=torch.float64), atol=1e-12)
    assert found.argmax(-1).tolist() == [[0, 2], [4, 4]]
    mirrored = rating_probability(1 - torch.tensor([[0.1, 0.5], [0.9, 1.0]], dtype=torch.float64))
    assert torch.allclose(found, mirrored.flip(-1), atol=1e-12)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        rating_probability(torch.tensor([4.0]))
    with pytest.raises(ValueError, match="2 levels"):
        rating_probability(torch.tensor([0.5]), levels=1)
