"""Latent users: padding and order change nothing, who chose nothing has the prior, and a person's reward is saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from assay.models.condition import Condition
from assay.models.heads.latent_user import LatentUserEncoder, LatentUserHead, on_sphere
from assay.models.outputs import States
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text


def test_neither_order_nor_padding_changes_who_someone_is() -> None:
    encoder = LatentUserEncoder(6, 3, width=8)
    chosen, rejected = torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    mean, log_variance = encoder(chosen, rejected)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(encoder(chosen[:, order], rejected[:, order])[0], mean, atol=1e-6)
    junk = torch.full((2, 3, 6), torch.nan)
    mask = torch.arange(8).expand(2, 8) < 5
    padded = encoder(torch.cat([chosen, junk], 1), torch.cat([rejected, junk], 1), mask)
    assert torch.allclose(padded[0], mean, atol=1e-6)
    assert torch.allclose(padded[1], log_variance, atol=1e-6)
    assert not torch.allclose(encoder(rejected, chosen)[0], mean, atol=1e-3)
    assert float(log_variance.detach().abs().max()) <= 1.0
    padded[0].sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in encoder.parameters() if weight.grad is not None)


def test_who_chose_nothing_has_the_prior() -> None:
    encoder = LatentUserEncoder(6, 3)
    mask = torch.tensor([[True, False], [False, False]])
    mean, log_variance = encoder(*torch.randn(2, 2, 2, 6), mask)
    assert mean[1].tolist() == [0.0] * 3
    assert log_variance[1].tolist() == [0.0] * 3
    assert bool((mean[0] != 0).all())


def test_nobody_known_has_the_mean_and_variance_over_people_of_the_prior() -> None:
    head = LatentUserHead(6, 3, draws=16)
    hidden = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    condition = torch.stack([torch.full((3,), torch.nan), torch.ones(3)])
    found = head(States(hidden, (1, 1), condition))
    each = torch.cat([head(States(hidden[:1], (1,), person[None])).values for person in head.people])
    alone = head(States(hidden[1:], (1,), torch.ones(1, 3))).values
    assert torch.allclose(found.values, torch.stack([each.mean(), alone[0]]), atol=1e-6)
    assert torch.allclose(found.log_variance[0].exp(), each.var(correction=0), atol=1e-6)
    assert found.log_variance[1].isnan()
    assert torch.allclose(head(States(hidden[:1], (1,))).values, each.mean(), atol=1e-6)
    with pytest.raises(ValueError, match="3 numbers"):
        head(States(hidden, (1, 1), torch.ones(2, 4)))


def test_everyone_lies_on_the_sphere() -> None:
    assert torch.allclose(on_sphere(torch.randn(4, 9)).norm(dim=-1), torch.full((4,), 3.0))


def test_a_reward_for_a_person_is_saved(tmp_path: Path) -> None:
    backbone = tiny_text()
    head = LatentUserHead(backbone.hidden_size, 2, width=8)
    reward = LearnedReward(backbone, head, condition=Condition.of_numbers("person", 2, abstains=False))
    records = [Record.of("prompt", ["yes", "no"], person=person) for person in ([1.0, 0.0], [0.0, 1.0])]
    records.append(Record.of("prompt", ["yes", "no"], id="unknown"))
    found = reward(records)
    assert len({round(value, 6) for value in found.values.tolist()}) == 6
    again = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, found.values)
