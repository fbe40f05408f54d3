"""Fusion of modalities that may be missing: per response, whatever is in the batch, and without poisoned gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from assay.models.heads.fusion import (
    ConcatFusionHead,
    HypergraphConvolution,
    SequentialFusionHead,
    hypergraph_smooth,
)
from assay.models.outputs import States

HIDDEN, PARTS = 6, 3


def batch(rows: Tensor) -> States:
    """``rows`` ``[sequences, modalities, hidden]``."""
    return States(rows.flatten(0, 1), (rows.shape[1],) * rows.shape[0])


def some(missing: dict[int, tuple[int, ...]], sequences: int = 5) -> Tensor:
    rows = torch.randn(sequences, PARTS, HIDDEN, generator=torch.Generator().manual_seed(1))
    for sequence, parts in missing.items():
        rows[sequence, list(parts)] = torch.nan
    return rows


HEADS = [
    ConcatFusionHead(HIDDEN, PARTS, width=8, seed=3),
    SequentialFusionHead(HIDDEN, PARTS, state=4, width=8, seed=3),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_a_response_scores_the_same_whatever_others_lack(head: nn.Module) -> None:
    rows = some({1: (0,), 2: (1, 2), 4: (0, 1, 2)})
    together = head(batch(rows)).values
    alone = torch.cat([head(batch(row[None])).values for row in rows])
    torch.testing.assert_close(together, alone, equal_nan=True, rtol=0, atol=1e-6)
    assert together[:4].isfinite().all()
    assert together[4].isnan()
    assert len(set(together[:4].tolist())) == 4


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_missing_states_pass_no_gradient_and_poison_none(head: nn.Module) -> None:
    head.zero_grad()
    rows = some({1: (0,), 2: (1, 2), 4: (0, 1, 2)}).requires_grad_()
    values = head(batch(rows)).values
    torch.where(values.isnan(), 0.0, values).sum().backward()
    assert rows.grad is not None
    missing = rows.detach().isnan()
    assert bool((rows.grad[missing] == 0).all())
    assert rows.grad.isfinite().all()
    assert bool((rows.grad[0] != 0).any(1).all())
    for name, weight in head.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


def test_each_step_predicts_from_the_state_so_far_and_a_missing_one_is_skipped() -> None:
    head = SequentialFusionHead(HIDDEN, PARTS, state=4, width=8, seed=3)
    with torch.no_grad():
        head.start.copy_(torch.tensor([0.3, -0.2, 0.1, 0.4]))
    rows = some({0: (1,)}, sequences=2)
    found = head(batch(rows))
    steps = found.extra["predictions"]
    assert steps.shape == (2, PARTS + 1)
    assert steps[0, 0] == steps[1, 0]
    assert steps[0, 1] == steps[0, 2]
    assert found.extra["changes"][0, 1] == 0
    torch.testing.assert_close(steps[:, -1], found.values)
    state = head.start
    for m in (0, 2):
        state = head.outer[m](nn.functional.gelu(head.inner[m](torch.cat([state, rows[0, m]]))))
    torch.testing.assert_close(head.decode(state)[0], found.values[0])


def test_concatenation_is_zero_imputation_until_the_absent_vector_is_trained() -> None:
    head = ConcatFusionHead(HIDDEN, PARTS, width=8)
    rows = some({0: (2,)}, sequences=1)
    before = head(batch(rows)).values
    filled = torch.where(rows.isnan(), 0.0, rows)
    assert head(batch(filled)).values != before, "the bit says that it is missing"
    with torch.no_grad():
        head.absent[2].fill_(1.0)
    assert head(batch(rows)).values != before


def test_another_number_of_states_is_refused() -> None:
    with pytest.raises(ValueError, match="need 3 states a sequence"):
        HEADS[0](States(torch.randn(4, HIDDEN), (2, 2)))


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_options_and_seed_make_the_same_head(head: nn.Module) -> None:
    again = type(head)(**head.options())  # type: ignore[operator]
    fresh = type(head)(**head.options())  # type: ignore[operator]
    for (name, one), (_, other) in zip(again.state_dict().items(), fresh.state_dict().items(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg=name)


def test_the_hypergraph_layer_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    incidence = (torch.rand(7, 4, generator=generator) < 0.5).double()
    incidence[0] = 1
    incidence[6] = 0
    nodes = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    weight = torch.rand(4, generator=generator, dtype=torch.float64) + 0.5
    nodal = torch.linalg.pinv(torch.diag(incidence @ weight))
    edges = torch.linalg.pinv(torch.diag(incidence.sum(0)))
    expected = nodal.sqrt() @ incidence @ torch.diag(weight) @ edges @ incidence.T @ nodal.sqrt() @ nodes
    found = hypergraph_smooth(nodes, incidence, weight)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert bool((found[6] == 0).all())


def test_edges_learn_which_of_them_carry() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(24) % 3
    noise = torch.randint(0, 3, (24,), generator=generator)
    one_hot = torch.nn.functional.one_hot
    incidence = torch.cat([one_hot(groups, 3), one_hot(noise, 3), torch.zeros(24, 1)], 1).float()
    truth = torch.tensor([-1.0, 0.7, 1.3])[groups, None]
    layer = HypergraphConvolution(1, 1, edges=7)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        seen = truth + 0.5 * torch.randn(24, 1, generator=generator)
        (layer(seen, incidence) - truth).square().mean().backward()
        optimizer.step()
    assert layer.raw is not None
    weights = torch.nn.functional.softplus(layer.raw.detach())
    assert weights[:3].min() > 3 * weights[3:6].max()
    assert weights.isfinite().all()


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_no_responses_are_no_scores(head: nn.Module) -> None:
    assert head(States(torch.zeros(0, HIDDEN), ())).values.shape == (0,)
