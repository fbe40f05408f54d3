"""The likeness of two states as a score."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from assay.models.heads.dual import DualEncoderHead
from assay.models.outputs import States
from assay.objectives.pairwise import hinge


def test_it_is_the_scaled_cosine_of_the_two_states_named() -> None:
    rows = torch.randn(4, 3, 8)
    head = DualEncoderHead(8, left=0, right=2, scale=10.0, bias=-1.0)
    found = head(States(rows.flatten(0, 1), (3,) * 4))
    cosine = (F.normalize(rows[:, 0], dim=1) * F.normalize(rows[:, 2], dim=1)).sum(1)
    torch.testing.assert_close(found.extra["cosine"], cosine)
    torch.testing.assert_close(found.values, 10 * cosine - 1)


def test_a_triplet_on_unit_vectors_is_a_hinge_on_cosines() -> None:
    generator = torch.Generator().manual_seed(0)
    anchor, good, bad = F.normalize(torch.randn(3, 64, 8, generator=generator), dim=-1)
    triplet = F.relu(0.3 + (anchor - good).square().sum(1) - (anchor - bad).square().sum(1))
    head = DualEncoderHead(8, fixed=True)
    chosen, rejected = (
        head(States(torch.stack([anchor, other], 1).flatten(0, 1), (2,) * 64)).values for other in (good, bad)
    )
    torch.testing.assert_close(2 * hinge(chosen, rejected, margin=0.15), triplet, rtol=0, atol=1e-6)
    assert triplet.count_nonzero() > 10
    assert (triplet == 0).any()


def test_a_missing_state_has_no_number_and_poisons_no_gradient() -> None:
    rows = torch.randn(3, 2, 8)
    rows[1, 0] = torch.nan
    rows.requires_grad_()
    head = DualEncoderHead(8, width=4, scale=5.0)
    values = head(States(rows.flatten(0, 1), (2,) * 3)).values
    assert values.isnan().tolist() == [False, True, False]
    torch.where(values.isnan(), 0.0, values).sum().backward()
    assert rows.grad is not None
    assert rows.grad.isfinite().all()
    assert bool((rows.grad[1] == 0).all())
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in head.parameters())


def test_two_spaces_are_brought_together_by_training_the_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    left = torch.randn(64, 8, generator=generator)
    right = left @ turn
    head = DualEncoderHead(8, width=8, scale=5.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)

    def gap() -> torch.Tensor:
        true, other = (
            head(States(torch.stack([left, side], 1).flatten(0, 1), (2,) * 64)).values
            for side in (right, right.roll(1, 0))
        )
        return true - other

    before = (gap() > 0).float().mean()
    for _ in range(100):
        optimizer.zero_grad()
        hinge(gap(), torch.zeros(64)).mean().backward()
        optimizer.step()
    assert (gap() > 0).float().mean() > max(0.95, float(before) + 0.2)


def test_a_scale_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be positive"):
        DualEncoderHead(8, scale=0.0)


def test_options_make_the_same_head() -> None:
    head = DualEncoderHead(8, left=1, right=0, scale=3.0, width=4, seed=2)
    again = DualEncoderHead(**head.options())
    for name, weight in head.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight, rtol=0, atol=0)
