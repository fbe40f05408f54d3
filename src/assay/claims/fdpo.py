"""FDPO: marked segments alone, without pairs, move a policy away from what is wrong and towards what is right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import differences, ratios, world
from assay.objectives.likelihood import segment_implicit_reward, segment_preference

_WORDS, _BAD, _GOOD = 30, 11, 10
_RESPONSES, _SEGMENTS, _LENGTH, _BETA = 200, 4, 3, 0.5


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A policy over 30 words, 11 of them bad and 10 good. Segments of its own responses are marked: dispreferred with
    a bad word, preferred with a good one and no bad, neutral otherwise. 60 steps.

    Sabotage: dispreferred segments are taken for preferred ones.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    before, after, good_before, good_after, neutral = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "mass of bad words before": before,
            "mass of bad words after": after,
            "mass of good words before": good_before,
            "mass of good words after": good_after,
        },
        checks=(
            Check("bad mass, after over before", ratios(after, before), at_most=0.5),
            Check("good mass gained", differences(good_after, good_before), at_least=0.15),
            Check("change of the gradient when neutral segments say something else", neutral, at_most=1e-12),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float, float]:
    generator = world(seed)
    start = 0.3 * torch.randn(_WORDS, generator=generator, dtype=torch.float64)
    shape = (_RESPONSES, _SEGMENTS * _LENGTH)
    words = torch.multinomial(start.softmax(0).expand(_RESPONSES, -1), shape[1], True, generator=generator)
    signs = _signs(words.reshape(_RESPONSES, _SEGMENTS, _LENGTH))
    if sabotage:
        signs = signs.abs()
    policy = nn.Parameter(start.clone())
    neutral = (signs == 0).repeat_interleave(_LENGTH, 1)
    other = torch.where(neutral, _WORDS - 1, words)
    change = (_gradient(policy, start, words, signs) - _gradient(policy, start, other, signs)).abs().max()
    fit([policy], lambda: _loss(policy, start, words, signs), steps=60)
    masses = [mass for logits in (start, policy.detach()) for mass in _masses(logits)]
    return masses[0], masses[2], masses[1], masses[3], float(change)


def _signs(segments: Tensor) -> Tensor:
    bad = (segments < _BAD).any(-1)
    good = ((segments >= _BAD) & (segments < _BAD + _GOOD)).any(-1)
    return torch.where(bad, -1, torch.where(good, 1, 0))


def _loss(policy: Tensor, start: Tensor, words: Tensor, signs: Tensor) -> Tensor:
    segments = torch.arange(_SEGMENTS).repeat_interleave(_LENGTH).expand(len(words), -1)
    told = torch.ones_like(words, dtype=torch.bool)
    logp, reference = policy.log_softmax(0)[words], start.log_softmax(0)[words]
    return segment_preference(segment_implicit_reward(logp, reference, told, segments, beta=_BETA), signs)


def _gradient(policy: Tensor, start: Tensor, words: Tensor, signs: Tensor) -> Tensor:
    return torch.autograd.grad(_loss(policy, start, words, signs).mean(), policy)[0]


def _masses(logits: Tensor) -> tuple[float, float]:
    share = logits.softmax(0)
    return float(share[:_BAD].sum()), float(share[_BAD : _BAD + _GOOD].sum())
