"""Heads beyond the scalar one: their equations, their padding, and what they keep from learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from assay.models.heads import AttributeHead, GaussianHead, OrdinalHead, ScalarHead, StepHead
from assay.models.heads.aggregate import Aggregate, last, mean, minimum, product, total
from assay.models.heads.conditioned import Concat, Film, observe
from assay.models.heads.pooling import by_sequence, last_read, mean_of_reads
from assay.models.named import read, written
from assay.models.outputs import States, blank, placed, states_of
from assay.objectives import pointwise

HEADS: list[Callable[..., nn.Module]] = [
    ScalarHead,
    lambda hidden, **options: AttributeHead(hidden, ["a", "b"], weights=(0.5, -2.0), **options),
    GaussianHead,
    lambda hidden, **options: OrdinalHead(hidden, 5, lowest=1.0, **options),
    StepHead,
    lambda hidden, **options: StepHead(hidden, classes=3, aggregate=minimum, **options),
]


def given(counts: tuple[int, ...] = (2, 1, 3), hidden: int = 8, condition: int = 0) -> States:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(count, hidden, generator=generator) for count in counts]
    return states_of(rows, torch.eye(condition)[[n % condition for n in range(len(counts))]] if condition else None)


def tensors(outputs: Any) -> dict[str, torch.Tensor]:
    named = {name: getattr(outputs, name) for name in ("values", "attributes", "log_variance", "logits", "steps")}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


@pytest.mark.parametrize("make", HEADS)
@pytest.mark.parametrize("condition", [0, 2])
def test_a_head_is_made_again_from_its_options_and_weights(make: Callable[..., nn.Module], condition: int) -> None:
    head: Any = make(8, condition=condition, seed=3)
    for weight in head.parameters():
        nn.init.normal_(weight)
    again: Any = type(head)(
        **{name: read(value) for name, value in ((n, written(v)) for n, v in head.options().items())}
    )
    again.load_state_dict(head.state_dict())
    states = given(condition=condition)
    ours, theirs = tensors(head(states)), tensors(again(states))
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name].nan_to_num(-9.0), theirs[name].nan_to_num(-9.0)) for name in ours)


@pytest.mark.parametrize("make", HEADS)
def test_a_head_starts_from_its_seed_and_leaves_the_global_one_alone(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (make(8, condition=2, by=Concat, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    ours, again, theirs = (nn.utils.parameters_to_vector(head.parameters()) for head in (one, same, other))
    assert torch.equal(ours, again)
    assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("make", HEADS)
def test_it_stays_float32_under_autocast(make: Callable[..., nn.Module]) -> None:
    states = given(hidden=256)
    head: Any = make(256)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tensors(head(states))
    plain = tensors(head(states))
    assert all(
        found[name].dtype == torch.float32 and torch.equal(found[name].nan_to_num(), plain[name].nan_to_num())
        for name in found
    )


@pytest.mark.parametrize("make", HEADS)
def test_a_sequence_without_a_state_has_no_number_and_leaves_the_others_their_gradient(
    make: Callable[..., nn.Module],
) -> None:
    states = given((2, 0, 3))
    head: Any = make(8, norm=True)
    values = head(states).values
    assert values.isnan().tolist() == [False, True, False]
    values[[0, 2]].sum().backward()
    full, alone = [weight.grad for weight in head.parameters()], make(8, norm=True)
    alone.load_state_dict(head.state_dict())
    alone(States(states.hidden, (2, 3))).values.sum().backward()
    for ours, weight in zip(full, alone.parameters(), strict=True):
        assert (ours is None) == (weight.grad is None)
        if ours is not None:
            torch.testing.assert_close(ours, weight.grad)


def test_attributes_add_up_by_their_weights() -> None:
    head = AttributeHead(8, ["help", "length"], weights=(1.0, -0.25))
    outputs = head(given())
    assert outputs.attributes is not None
    torch.testing.assert_close(outputs.values, outputs.attributes[:, 0] - 0.25 * outputs.attributes[:, 1])
    with pytest.raises(ValueError, match="each once"):
        AttributeHead(8, ["a", "a"])
    with pytest.raises(ValueError, match="3 weights for 1"):
        AttributeHead(8, ["a"], weights=(1, 2, 3))


def test_an_ordinal_head_gives_a_distribution_that_its_objective_takes() -> None:
    head = OrdinalHead(8, 5, lowest=1.0)
    start = head(States(torch.zeros(1, 8), (1,)))
    torch.testing.assert_close(start.extra["probabilities"], torch.full((1, 5), 0.2))
    torch.testing.assert_close(start.values, torch.tensor([3.0]))
    nn.init.normal_(head.gaps, std=3.0)
    outputs = head(given())
    shares = outputs.extra["probabilities"]
    assert outputs.logits is not None
    assert bool((outputs.logits.diff(dim=-1) < 0).all())
    torch.testing.assert_close(shares.sum(-1), torch.ones(3))
    torch.testing.assert_close(outputs.values, (shares * torch.arange(1.0, 6.0)).sum(-1))
    targets = torch.tensor([1.0, 3.0, 5.0])
    loss = pointwise.ordinal(outputs.logits, targets, lowest=1.0)
    torch.testing.assert_close(loss, -shares[torch.arange(3), targets.long() - 1].log(), rtol=1e-4, atol=1e-5)


def test_a_gaussian_head_starts_with_unit_spread_and_learns_it() -> None:
    head = GaussianHead(4)
    states = States(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]).repeat(200, 1), (1,) * 400)
    first = head(states).log_variance
    assert first is not None
    assert first.tolist() == [0.0] * 400
    noise = torch.randn(400, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.1, 2.0]).repeat(200)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        outputs = head(states)
        pointwise.gaussian(outputs.values, noise, log_variance=outputs.log_variance).mean().backward()
        optimizer.step()
    spread = head(states).log_variance[:2].mul(0.5).exp()
    assert spread.tolist() == pytest.approx([0.1, 2.0], rel=0.3)


def test_steps_are_padded_and_classes_give_the_odds_of_the_good_one() -> None:
    head = StepHead(8, classes=3, good=1)
    outputs = head(given((2, 3)))
    assert outputs.steps is not None
    assert outputs.step_logits is not None
    assert outputs.steps.isnan().tolist() == [[False, False, True], [False] * 3]
    shares = outputs.step_logits[1].softmax(-1)
    torch.testing.assert_close(outputs.steps[1].sigmoid(), shares[:, 1])
    torch.testing.assert_close(outputs.values[1], shares[:, 1].prod())
    with pytest.raises(ValueError, match="none of 2 classes"):
        StepHead(8, classes=2, good=2)


@pytest.mark.parametrize(
    ("aggregate", "expected"), [(product, 0.1), (minimum, 0.2), (last, 0.5), (mean, 0.35), (total, 0.7)]
)
def test_aggregates_skip_padding_and_what_is_unlabelled(aggregate: Aggregate, expected: float) -> None:
    steps = torch.tensor([[0.2, math.nan, 0.5, math.nan], [math.nan] * 4], requires_grad=True)
    found = aggregate(steps)
    assert float(found[0].detach()) == pytest.approx(expected)
    assert bool(found[1].isnan())
    found[0].backward()
    assert steps.grad is not None
    assert bool(steps.grad.isfinite().all())
    assert steps.grad[0, 1] == 0
    assert aggregate(torch.empty(2, 0)).isnan().all()


def test_a_step_that_is_not_a_number_is_not_taken_for_padding() -> None:
    states = given((2, 2))
    states.hidden[1] = math.nan
    values = StepHead(8)(states).values
    assert values.isnan().tolist() == [True, False]


def test_pools_give_one_state_a_sequence() -> None:
    states = given((2, 0, 3))
    found = last_read(states)
    torch.testing.assert_close(found[[0, 2]], states.hidden[[1, 4]])
    assert bool(found[1].isnan().all())
    torch.testing.assert_close(mean_of_reads(states)[2], states.hidden[2:].mean(0))
    assert bool(last_read(States(torch.empty(0, 4), (0, 0))).isnan().all())
    assert by_sequence(torch.arange(3.0), (1, 2)).nan_to_num(-1.0).tolist() == [[0.0, -1.0], [1.0, 2.0]]


@pytest.mark.parametrize("kind", [Film, Concat])
def test_an_unknown_condition_is_the_mean_one_that_was_observed(kind: type[Film] | type[Concat]) -> None:
    head = ScalarHead(8, condition=2, by=kind)
    for weight in head.parameters():
        nn.init.normal_(weight)
    observe(head, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [math.nan, math.nan]]))
    hidden = given((1,)).hidden

    def value(*condition: float) -> torch.Tensor:
        return head(States(hidden, (1,), torch.tensor([condition]))).values

    assert torch.equal(value(math.nan, math.nan), value(2 / 3, 1 / 3))
    assert torch.equal(head(States(hidden, (1,))).values, value(2 / 3, 1 / 3))
    assert not torch.equal(value(1.0, 0.0), value(0.0, 1.0))


def test_outputs_are_placed_among_responses_that_abstain() -> None:
    outputs = StepHead(8, classes=2)(given((1, 2)))
    spread = placed(outputs, [0, 3, 4], [1, 0, 1], 5)
    assert spread.values.isnan().tolist() == [False, True, True, False, False]
    assert torch.equal(spread.values[0], spread.values[4])
    assert spread.step_logits is not None
    assert spread.step_logits.shape == (5, 2, 2)
    without = blank(spread, torch.tensor([True, False, False, False, False]))
    assert bool(without.values[0].isnan())
    assert torch.equal(without.values[4], outputs.values[1])
