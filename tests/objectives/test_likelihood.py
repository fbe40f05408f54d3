"""Identities of likelihood objectives, in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.objectives.likelihood import (
    dynamic_beta,
    implicit_reward,
    mean_implicit_reward,
    multi_objective_margin,
    optimistic_term,
    segment_implicit_reward,
    segment_preference,
    token_implicit_reward,
    token_log_probabilities,
    token_reward_from_prompts,
    weighted_nll,
)
from assay.objectives.pairwise import bradley_terry

MASK = torch.tensor([[False, True, True, True], [False, False, True, True]])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_token_log_probabilities_are_shifted_and_normalised() -> None:
    logits, ids = drawn(2, 4, 5), torch.tensor([[0, 3, 1, 2], [4, 4, 0, 1]])
    found = token_log_probabilities(logits, ids)
    table = torch.log_softmax(logits, dim=-1)
    for row in range(2):
        assert float(found[row, 0]) == 0.0
        for place in range(1, 4):
            assert float(found[row, place]) == pytest.approx(float(table[row, place - 1, ids[row, place]]), abs=1e-12)


@given(st.floats(-50, 50))
def test_a_constant_added_to_the_logits_changes_nothing(constant: float) -> None:
    logits, ids = drawn(2, 4, 5), torch.tensor([[0, 3, 1, 2], [4, 4, 0, 1]])
    shifted = token_log_probabilities(logits + constant, ids, MASK)
    assert torch.allclose(shifted, token_log_probabilities(logits, ids, MASK), atol=1e-12)


def test_equal_logits_give_the_uniform_distribution_and_masked_tokens_zero() -> None:
    ids = torch.zeros(2, 4, dtype=torch.long)
    found = token_log_probabilities(torch.full((2, 4, 7), 3.0, dtype=torch.float64), ids, MASK)
    assert torch.allclose(found, torch.where(MASK, -math.log(7), 0.0).double(), atol=1e-12)
    assert token_log_probabilities(torch.zeros(2, 1, 7), ids[:, :1]).tolist() == [[0.0], [0.0]]
    assert token_log_probabilities(torch.zeros(2, 0, 7), ids[:, :0]).shape == (2, 0)


def test_the_forms_of_the_implicit_reward_agree() -> None:
    logp, reference = drawn(2, 4), drawn(2, 4, seed=1)
    tokens = token_implicit_reward(logp, reference, MASK, beta=0.3)
    total = implicit_reward(logp, reference, MASK, beta=0.3)
    assert torch.allclose(tokens.sum(1), total, atol=1e-13)
    assert torch.allclose(mean_implicit_reward(logp, reference, MASK, beta=0.3), total / MASK.sum(1), atol=1e-13)
    segments = torch.tensor([[0, 0, 1, 1], [0, 1, 1, -1]])
    parts = segment_implicit_reward(logp, reference, MASK, segments, beta=0.3)
    expected = torch.stack([tokens[0, 1], tokens[0, 2] + tokens[0, 3]])
    assert torch.allclose(parts[0], expected, atol=1e-13)
    assert torch.allclose(parts[1], torch.stack([torch.zeros_like(tokens[0, 0]), tokens[1, 2]]), atol=1e-13)
    betas = torch.tensor([0.3, 0.6], dtype=torch.float64)
    assert torch.allclose(implicit_reward(logp, reference, MASK, beta=betas), total * torch.tensor([1.0, 2.0]))


def test_a_model_against_itself_has_no_reward() -> None:
    logp = drawn(2, 4)
    assert implicit_reward(logp, logp, MASK).tolist() == [0.0, 0.0]


def test_masked_infinities_reach_neither_value_nor_gradient() -> None:
    logp = torch.where(MASK, drawn(2, 4), -math.inf).requires_grad_()
    segments = torch.zeros(2, 4, dtype=torch.long)
    total = (
        implicit_reward(logp, torch.zeros(2, 4, dtype=torch.float64), MASK).sum()
        + segment_implicit_reward(logp, torch.zeros(2, 4, dtype=torch.float64), MASK, segments).sum()
        + weighted_nll(logp, torch.ones(2, dtype=torch.float64), MASK).sum()
    )
    (gradient,) = torch.autograd.grad(total, logp)
    assert bool(torch.isfinite(total))
    assert torch.equal(gradient != 0, MASK)


def test_segment_preference_is_the_pairwise_loss_of_signed_segments_against_zero() -> None:
    rewards = drawn(2, 3).requires_grad_()
    signs = torch.tensor([[1, -1, 0], [0, -1, -1]])
    expected = sum(
        float(bradley_terry(sign * rewards[row, place].detach(), torch.zeros((), dtype=torch.float64)))
        for row in range(2)
        for place, sign in enumerate(signs[row].tolist())
        if sign
    )
    loss = segment_preference(rewards, signs)
    assert loss.sum().item() == pytest.approx(expected, abs=1e-12)
    (gradient,) = torch.autograd.grad(loss.sum(), rewards)
    assert torch.equal(gradient != 0, signs != 0)
    assert bool(((gradient < 0) == (signs > 0)).all())


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_the_gradient_of_the_weighted_likelihood_is_reinforce(advantages: list[float]) -> None:
    logits = drawn(4, 3).requires_grad_()
    actions, advantage = torch.tensor([0, 2, 1, 1]), torch.tensor(advantages, dtype=torch.float64)
    logp = torch.log_softmax(logits, -1).gather(1, actions[:, None])
    (gradient,) = torch.autograd.grad(weighted_nll(logp, advantage, torch.ones(4, 1, dtype=torch.bool)).sum(), logits)
    score = torch.nn.functional.one_hot(actions, 3) - torch.softmax(logits.detach(), -1)
    assert torch.allclose(gradient, -advantage[:, None] * score, atol=1e-12)


def test_weights_are_constants_of_a_response_or_of_each_token() -> None:
    logp, weight = drawn(2, 4), torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    loss = weighted_nll(logp, weight, MASK)
    assert not loss.requires_grad
    spread = torch.where(MASK, weight.detach()[:, None], math.nan)
    assert torch.allclose(loss, weighted_nll(logp, spread, MASK), atol=1e-13)
    assert torch.allclose(loss, -weight.detach() * torch.where(MASK, logp, 0.0).sum(1), atol=1e-13)


def test_dynamic_beta_runs_from_beta0_to_its_limit_and_never_falls() -> None:
    margins = torch.tensor([-5.0, 0.0, 0.5, 1.0, 4.0, 1e6], dtype=torch.float64)
    found = dynamic_beta(margins, beta0=0.1, scale=0.5, rate=0.7)
    assert found[:2].tolist() == pytest.approx([0.1, 0.1], abs=1e-15)
    assert float(found[-1]) == pytest.approx(0.1 * 1.5, abs=1e-15)
    assert float(found[3]) == pytest.approx(0.1 * (1 + 0.5 * (1 - math.exp(-0.7))), abs=1e-15)
    assert bool((found.diff() >= 0).all())
    with pytest.raises(ValueError, match="beta0"):
        dynamic_beta(margins, beta0=0.0)


def test_optimism_of_zero_adds_exactly_nothing() -> None:
    logp, reference = drawn(2, 4).requires_grad_(), drawn(2, 4, seed=1)
    assert optimistic_term(logp, reference, MASK, alpha=0.0).tolist() == [0.0, 0.0]
    expected = 0.5 * implicit_reward(logp, reference, MASK, beta=0.2)
    assert torch.allclose(optimistic_term(logp, reference, MASK, alpha=0.5, beta=0.2), expected, atol=1e-14)


def test_other_objectives_enter_as_the_margin_of_their_weighted_difference() -> None:
    """The optimum of the loss with exact labels is the closed form of the weighted sum of rewards."""
    own, other = drawn(6), drawn(6, 1, seed=2)
    reference = torch.log_softmax(drawn(6, seed=3), 0)
    w, beta = 0.5, 0.7
    first, second = torch.triu_indices(6, 6, 1)
    policy = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([policy], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)
    label = torch.sigmoid(own[first] - own[second])
    margin = multi_objective_margin(other[first], other[second], torch.tensor([1 - w]), own_weight=w)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        score = beta / w * (torch.log_softmax(policy, 0) - reference)
        loss = bradley_terry(score[first], score[second], margin=margin, probability=label).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    target = torch.softmax(reference + (w * own + (1 - w) * other[:, 0]) / beta, 0)
    assert torch.allclose(torch.softmax(policy.detach(), 0), target, atol=1e-5)
    with pytest.raises(ValueError, match="own_weight"):
        multi_objective_margin(other, other, torch.ones(1), own_weight=0.0)


def test_token_rewards_from_two_prompts_are_centred_and_constant() -> None:
    better, worse = drawn(2, 4).requires_grad_(), drawn(2, 4, seed=1)
    found = token_reward_from_prompts(better, worse, MASK)
    assert not found.requires_grad
    assert torch.allclose(found, torch.where(MASK, torch.sigmoid(better - worse) - 0.5, 0.0).detach(), atol=1e-14)
    assert token_reward_from_prompts(worse, worse, MASK).abs().max() == 0
