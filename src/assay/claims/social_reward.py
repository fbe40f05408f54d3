"""Social Reward: what was shown more is chosen more; negatives shown as often leave the quality to be learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, world
from assay.curation.matched import column, matched
from assay.models.heads.dual import DualEncoderHead
from assay.models.outputs import States
from assay.objectives.contrastive import triplet
from assay.objectives.pairwise import hinge
from assay.records import Preference, Record
from assay.records.pairs import preferences_of

_WIDTH, _PROMPTS, _PICTURES, _HELD_OUT, _MARGIN = 6, 700, 12, 2000, 0.3


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Pictures are taken up by their quality for the prompt and by how often they were shown, which goes with how they
    look. Pairs of a picture taken up and one that was not: any, against those shown about as often; as many of either.
    Judged on true quality; both stopped at their best.

    Sabotage: how often a picture was shown is dealt out at random before the pairs are matched.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    even, anyhow, apart = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={"accuracy, negatives shown as often": even, "accuracy, any negative": anyhow},
        checks=(
            Check("accuracy gained", differences(even, anyhow), at_least=0.1),
            Check("triplet on unit vectors less twice the hinge on cosines", apart, at_most=1e-6),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    wants = torch.randn(_WIDTH, _WIDTH, generator=generator)
    looks = F.normalize(torch.randn(_WIDTH, generator=generator), dim=0)
    prompts, pictures, quality = _drawn(wants, _PROMPTS, generator)
    shown = 2.0 * pictures @ looks + 0.5 * torch.randn(quality.shape, generator=generator)
    taken = torch.rand(quality.shape, generator=generator) < torch.sigmoid(2.0 * quality + 2.0 * shown)
    told = shown[:, torch.randperm(_PICTURES, generator=generator)] if sabotage else shown
    records = [_record(number, taken[number].tolist(), told[number].tolist()) for number in range(_PROMPTS)]
    near = matched(column("shown"), 0.3)(records)
    even = _pairs(near, generator)
    anyhow = _pairs(records, generator)[: len(even)]
    others = _drawn(wants, _HELD_OUT, generator)
    left = _identity(generator)
    return _learned(seed, prompts, pictures, even, others), _learned(seed, prompts, pictures, anyhow, others), left


def _drawn(wants: Tensor, prompts: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Prompts ``[prompts, width]``, pictures of each, and how good each is for its prompt."""
    said = torch.randn(prompts, _WIDTH, generator=generator)
    pictures = torch.randn(prompts, _PICTURES, _WIDTH, generator=generator)
    return said, pictures, torch.einsum("pw,wv,pnv->pn", said, wants, pictures) / _WIDTH


def _record(number: int, taken: Sequence[bool], shown: Sequence[float]) -> Record:
    """Every picture that was taken up preferred to every one that was not."""
    preferred = [
        Preference(better, worse)
        for better, first in enumerate(taken)
        for worse, second in enumerate(taken)
        if first and not second
    ]
    names = [f"picture {place}" for place in range(len(taken))]
    return Record.of(f"prompt {number}", names, id=f"{number}", feedback=preferred, shown=list(shown))


def _pairs(records: Sequence[Record], generator: torch.Generator) -> Tensor:
    """One pair of each record, drawn at random: ``[pairs, 3]`` prompt, better, worse."""
    found: list[list[int]] = []
    for record in records:
        own = preferences_of(record)
        if own:
            drawn = own[int(torch.randint(len(own), (1,), generator=generator))]
            found.append([int(record.id), drawn.better, drawn.worse])
    return torch.tensor(found)


def _learned(
    seed: int, prompts: Tensor, pictures: Tensor, pairs: Tensor, others: tuple[Tensor, Tensor, Tensor]
) -> float:
    head = DualEncoderHead(_WIDTH + 1, width=_WIDTH, fixed=True, seed=seed)
    prompt, better, worse = pairs.T

    def loss() -> Tensor:
        chosen, rejected = (_cosine(head, prompts[prompt], pictures[prompt, place]) for place in (better, worse))
        return hinge(chosen, rejected, margin=_MARGIN / 2)

    said, shown, quality = others

    def accuracy() -> float:
        gap = _cosine(head, said, shown[:, 0]) - _cosine(head, said, shown[:, 1])
        return float(((gap > 0) == (quality[:, 0] > quality[:, 1])).float().mean())

    return fit_at_best(head, loss, accuracy, steps=100, every=10, learning_rate=0.03)


def _cosine(head: DualEncoderHead, prompts: Tensor, pictures: Tensor) -> Tensor:
    """The head's value of each prompt with its picture; both have a constant beside their features."""
    both = F.pad(torch.stack([prompts, pictures], 1), (0, 1), value=1.0)
    return head(States(both.flatten(0, 1), (2,) * len(both))).values


def _identity(generator: torch.Generator) -> float:
    anchor, positive, negative = F.normalize(torch.randn(3, 200, 8, generator=generator).double(), dim=-1)
    cosines = (anchor * positive).sum(-1), (anchor * negative).sum(-1)
    twice = 2.0 * hinge(*cosines, margin=_MARGIN / 2)
    return float((triplet(anchor, positive, negative, margin=_MARGIN) - twice).abs().max())
