"""LLaVA-RLHF: a reward that reads the facts of a picture picks answers with fewer hallucinations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import ratios, values, world
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry

_FACTS, _PAIRS, _PROMPTS, _CANDIDATES, _BLUR = 5, 400, 300, 64, 2.0


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A picture has 5 facts, an answer claims a value of each, and the view of the picture is noisy (deviation 2).
    People prefer the answer with more right claims. Two Bradley-Terry rewards read view and claims, one of them the
    facts as well; both are stopped at their best, and each picks one of 64 answers.

    Facts are privileged input at reward time, as in the paper. Sabotage: the facts are those of another picture.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    with_facts, without = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={"hallucinated claims, with facts": with_facts, "hallucinated claims, without": without},
        checks=(Check("hallucinated claims, with over without facts", ratios(with_facts, without), at_most=0.5),),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float]:
    generator = world(seed)
    facts, view = _pictures(_PAIRS, generator)
    claims = _signs((2, _PAIRS, _FACTS), generator)
    right = (claims == facts).sum(-1).float()
    seen_facts, seen_view = _pictures(_PROMPTS, generator)
    candidates = _signs((_CANDIDATES, _PROMPTS, _FACTS), generator)
    wrong = (candidates != seen_facts).float().mean(-1)

    def told(known: Tensor) -> Tensor:
        return known.roll(1, 0) if sabotage else known

    def rate(with_facts: bool) -> float:
        head = ScalarHead(_FACTS * _FACTS * (2 if with_facts else 1), seed=seed)
        pairs = _joined(claims, view, told(facts) if with_facts else None)
        answers = _joined(candidates, seen_view, told(seen_facts) if with_facts else None)

        def loss() -> Tensor:
            first, second = values(head, pairs)
            return bradley_terry(first, second, probability=torch.sigmoid(right[0] - right[1]))

        def quality() -> float:
            return -float(wrong.gather(0, values(head, answers).argmax(0, keepdim=True)).mean())

        return -fit_at_best(head, loss, quality, steps=100)

    return rate(True), rate(False)


def _pictures(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    facts = _signs((count, _FACTS), generator)
    return facts, facts + _BLUR * torch.randn(facts.shape, generator=generator)


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator).float() * 2 - 1


def _joined(claims: Tensor, view: Tensor, facts: Tensor | None) -> Tensor:
    """Every claim times every part of the view, and of the facts: ``[answers, pictures, width]``."""
    read = view if facts is None else torch.cat([view, facts], -1)
    return (claims[..., :, None] * read[..., None, :]).flatten(-2)
