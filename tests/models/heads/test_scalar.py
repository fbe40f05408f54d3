"""Heads compute in float32 whatever they are given."""

from __future__ import annotations

import torch

from assay.models.heads import ScalarHead
from assay.models.outputs import States


def of(head: ScalarHead, states: torch.Tensor) -> torch.Tensor:
    return head(States(states, (1,) * len(states))).values


def test_the_score_is_the_product_with_the_weight() -> None:
    head = ScalarHead(8, bias=True)
    states = torch.randn(3, 8)
    with torch.no_grad():
        head.linear.bias.fill_(0.25)
    expected = (states * head.linear.weight[0]).sum(-1) + 0.25
    torch.testing.assert_close(of(head, states), expected)


def test_it_stays_float32_under_lower_formats_and_autocast() -> None:
    head = ScalarHead(256)
    states = torch.randn(4, 256).bfloat16()
    exact = (states.double() * head.linear.weight[0].double()).sum(-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = of(head, states)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)
    rounded = torch.nn.functional.linear(states, head.linear.weight.bfloat16()).squeeze(-1)
    assert (rounded.double() - exact).abs().max() > 1e-4


def test_it_starts_from_its_seed_with_the_documented_spread() -> None:
    first, again, other = (ScalarHead(4096, seed=seed).linear.weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert abs(float(first.detach().std()) * 4097**0.5 - 1) < 0.05


def test_the_norm_makes_the_score_independent_of_the_scale_of_a_state() -> None:
    head = ScalarHead(16, norm=True)
    states = torch.randn(3, 16)
    torch.testing.assert_close(of(head, states), of(head, 10 * states), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(of(ScalarHead(16), states), of(ScalarHead(16), 10 * states))


def test_only_a_head_without_bias_and_norm_is_plain() -> None:
    assert ScalarHead(4).is_plain
    assert not ScalarHead(4, bias=True).is_plain
    assert not ScalarHead(4, norm=True).is_plain
