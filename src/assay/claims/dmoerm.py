"""DMoERM: a router sends each prompt to the head of its category."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.choices import Choices, Perceptron
from assay.claims.fit import fit, fit_at_best
from assay.claims.paired import differences, world
from assay.models.heads.gated import GatedHead, gate_entropy

_WIDTH, _CATEGORIES, _PAIRS, _HELD_OUT = 12, 4, 400, 2000


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Four categories with preferences of their own, told by the prompt. First the router learns the category, then the
    experts learn from pairs; against a perceptron of prompt and response. Both stopped at their best.

    Sabotage: the router learns categories that were dealt out at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    routed, perceptron, router = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, routed experts": routed,
            "accuracy, perceptron of prompt and response": perceptron,
            "accuracy of the router": router,
        },
        checks=(
            Check("accuracy gained over the perceptron", differences(routed, perceptron), at_least=0.005),
            Check("accuracy of the router", router, at_least=0.98),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    centres = 2.5 * torch.nn.functional.normalize(torch.randn(_CATEGORIES, _WIDTH, generator=generator), dim=-1)
    wants = torch.randn(_CATEGORIES, _WIDTH, generator=generator)
    train, category = _drawn(centres, wants, _PAIRS, generator)
    held_out, held_category = _drawn(centres, wants, _HELD_OUT, generator)
    dealt = category[torch.randperm(_PAIRS, generator=generator)] if sabotage else category
    head = GatedHead(_WIDTH, {f"{n}": ("good",) for n in range(_CATEGORIES)}, hard=True, gate_layers=0, seed=seed)
    router = list(head.aspect_gate.parameters())

    def routes() -> Tensor:
        return gate_entropy(train.outputs(head).extra["gate_logits"], dealt.repeat(2))

    fit(router, routes, steps=120)
    for weight in router:
        weight.requires_grad_(False)
    best = fit_at_best(
        head, lambda: train.loss(head), lambda: held_out.accuracy(head), steps=200, weight_decay=0.1, every=10
    )
    sent = held_out.outputs(head).extra["gates"].argmax(-1)[:_HELD_OUT]
    network = Perceptron(2 * _WIDTH, 64, seed=seed)
    baseline = fit_at_best(
        network, lambda: train.loss(network), lambda: held_out.accuracy(network), steps=320, weight_decay=0.1, every=10
    )
    return best, baseline, float((sent == held_category).float().mean())


def _drawn(centres: Tensor, wants: Tensor, pairs: int, generator: torch.Generator) -> tuple[Choices, Tensor]:
    category = torch.randint(_CATEGORIES, (pairs,), generator=generator)
    prompt = centres[category] + 0.4 * torch.randn(pairs, _WIDTH, generator=generator)
    pair = torch.randn(2, pairs, _WIDTH, generator=generator)
    return Choices.of(pair, ((pair[0] - pair[1]) * wants[category]).sum(-1), prompt=prompt), category
