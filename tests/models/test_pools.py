"""Frames as one state: the mean, and attention that learns which of them counts."""

from __future__ import annotations

import torch

from assay.models.pools import AttentionPool, MeanPool


def test_attention_is_the_mean_until_it_is_trained() -> None:
    states = torch.randn(5, 8)
    torch.testing.assert_close(AttentionPool(8)(states), states.mean(0))
    torch.testing.assert_close(MeanPool(8)(states), states.mean(0))
    pool = AttentionPool(8)
    with torch.no_grad():
        pool.query.copy_(torch.arange(8.0))
    weights = torch.softmax(states @ torch.arange(8.0) / 8**0.5, 0)
    torch.testing.assert_close(pool(states), (weights[:, None] * states).sum(0))
    torch.testing.assert_close(pool(states[:1]), states[0])


def test_attention_learns_to_look_at_the_frame_that_counts() -> None:
    generator = torch.Generator().manual_seed(0)
    films = torch.randn(64, 6, 8, generator=generator)
    marked = torch.randint(0, 6, (64,), generator=generator)
    films[..., 0] = torch.nn.functional.one_hot(marked, 6) * 3.0
    truth = films[torch.arange(64), marked][:, 1]
    pool = AttentionPool(8)

    def error() -> torch.Tensor:
        return (torch.stack([pool(film)[1] for film in films]) - truth).square().mean()

    before = error().item()
    optimizer = torch.optim.Adam(pool.parameters(), lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert error().item() < 0.1 * before
