"""InternLM-XComposer2.5-Reward: without the pairs whose winner is far longer, quality is learned and not length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, outputs, world
from assay.objectives.pairwise import bradley_terry
from assay.recipes.xcomposer_reward import xcomposer_reward
from assay.records import Preference, Record

_WIDTH, _TOKENS, _PAIRS, _HELD_OUT = 16, 2, 600, 500


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """In the comparisons learned from, the better response is mostly longer (by a factor of 2.7 in the middle); in
    those held out it is mostly shorter. Learned from the pairs that the recipe's curation keeps, from as many drawn at
    random, and from all, each stopped at its best on the held-out pairs.

    Sabotage: the pairs that the curation keeps are replaced by others drawn at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    kept, drawn, everything, share = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, all pairs": everything,
            "accuracy, as many pairs drawn at random": drawn,
            "accuracy, pairs without a far longer winner": kept,
            "share of the pairs kept": share,
        },
        checks=(
            Check("accuracy gained over as many at random", differences(kept, drawn), at_least=0.10),
            Check("accuracy gained over all pairs", differences(kept, everything), at_least=0.10),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    generator = world(seed)
    truth = torch.randn(_WIDTH, generator=generator)
    recipe = xcomposer_reward()
    features, lengths = _pairs(_PAIRS, truth, 1.0, generator, noise=1.0)
    seen, _ = _pairs(_HELD_OUT, truth, -1.0, generator, noise=0.0)
    records = [
        Record.of("", ["word " * int(n) for n in pair], id=str(i), feedback=[Preference(better=0, worse=1)])
        for i, pair in enumerate(lengths.tolist())
    ]
    kept = torch.tensor([int(record.id) for record in recipe.stages[0].curate(records)])
    drawn, other = torch.randperm(_PAIRS, generator=generator).split([len(kept), _PAIRS - len(kept)])

    def accuracy(rows: Tensor) -> float:
        head = recipe.head(_WIDTH + 1)

        def right() -> float:
            better, worse = _read(head, seen)
            return float((better > worse).float().mean())

        return fit_at_best(head, lambda: bradley_terry(*_read(head, features[:, rows])), right, steps=80, every=10)

    chosen = other[: len(kept)] if sabotage else kept
    return accuracy(chosen), accuracy(drawn), accuracy(torch.arange(_PAIRS)), len(kept) / _PAIRS


def _pairs(
    count: int, truth: Tensor, longer: float, generator: torch.Generator, *, noise: float
) -> tuple[Tensor, Tensor]:
    """Features ``[better and worse, pairs, tokens, width]``, the last of them the logarithm of the length, and the
    lengths in words ``[pairs, better and worse]``; ``longer`` is the mean logarithm of their ratio."""
    text = torch.randn(2, count, _WIDTH, generator=generator)
    gap = (text[0] - text[1]) @ truth / truth.norm() + noise * torch.randn(count, generator=generator)
    text = torch.where((gap > 0)[:, None], text, text.flip(0))
    ratio = (longer + 0.8 * torch.randn(count, generator=generator)).exp()
    worse = 20 + 40 * torch.rand(count, generator=generator)
    lengths = torch.stack([(worse * ratio).clamp(1, 600), worse]).round()
    said = torch.cat([text, lengths.log()[..., None] - 4], -1)[:, :, None]
    return said + 0.3 * torch.randn(2, count, _TOKENS, _WIDTH + 1, generator=generator), lengths.T


def _read(head: nn.Module, pairs: Tensor) -> tuple[Tensor, Tensor]:
    better, worse = outputs(head, pairs.flatten(0, 1)).values.unflatten(0, (2, -1))
    return better, worse
