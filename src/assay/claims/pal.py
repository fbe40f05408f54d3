"""PAL: people as mixtures of a few ideal points, and new people from a few pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.choices import Choices
from assay.claims.fit import fit, fit_at_best
from assay.claims.paired import differences, world
from assay.models.heads import ScalarHead
from assay.models.heads.ideal_point import IdealPointHead
from assay.models.outputs import States

_WIDTH, _PEOPLE, _GROUPS, _PAIRS, _FEW = 12, 40, 3, 24, 8


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Forty people of three groups with 24 pairs each, and forty others of whom only eight pairs are known: their
    weights alone are fitted. Against Bradley-Terry over everyone, stopped at its best on the people it has seen.

    Sabotage: everyone is one and the same person to the head.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    seen, plain_seen, unseen, plain_unseen, agreement = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy on people seen": seen,
            "accuracy on people seen, Bradley-Terry": plain_seen,
            "accuracy on new people": unseen,
            "accuracy on new people, Bradley-Terry": plain_unseen,
            "agreement of the prototypes with the groups (adjusted Rand)": agreement,
        },
        checks=(
            Check("accuracy gained on people seen", differences(seen, plain_seen), at_least=0.05),
            Check("accuracy gained on new people", differences(unseen, plain_unseen), at_least=0.05),
            Check("agreement of the prototypes with the groups", agreement, at_least=0.4),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float, float]:
    from sklearn.metrics import adjusted_rand_score

    group = torch.arange(_PEOPLE) % _GROUPS
    generator = world(seed)
    wants = torch.randn(_GROUPS, _WIDTH, generator=generator)[group]
    train, held_out = (_choices(wants, pairs, generator, sabotage) for pairs in (_PAIRS, 50))
    few, later = (_choices(wants, pairs, generator, False) for pairs in (_FEW, 50))
    head = IdealPointHead(_WIDTH, _PEOPLE, prototypes=_GROUPS, width=_WIDTH, seed=seed)
    fit(head, lambda: train.loss(head), steps=200)
    seen, group_found = held_out.accuracy(head), head.users.argmax(-1)
    head.users.data = torch.stack([_newcomer(head, few, person, sabotage) for person in range(_PEOPLE)])
    plain = ScalarHead(_WIDTH, seed=seed)
    plain_seen = fit_at_best(plain, lambda: train.loss(plain), lambda: held_out.accuracy(plain), steps=200)
    agreement = float(adjusted_rand_score(group.numpy(), group_found.numpy()))
    return seen, plain_seen, later.accuracy(head), later.accuracy(plain), agreement


def _newcomer(head: IdealPointHead, few: Choices, person: int, sabotage: bool) -> Tensor:
    """The logits fitted to one new person's pairs."""
    if sabotage:
        return head.users.detach()[0]
    own = few.at(torch.arange(person * _FEW, (person + 1) * _FEW))
    ones = (1,) * _FEW
    return head.fit_user(States(own.chosen, ones), States(own.rejected, ones), steps=60, restarts=2)


def _choices(wants: Tensor, pairs: int, generator: torch.Generator, same: bool) -> Choices:
    """So many pairs of each person; ``same`` hides who it is."""
    person = torch.arange(_PEOPLE).repeat_interleave(pairs)
    pair = torch.randn(2, len(person), _WIDTH, generator=generator)
    condition = F.one_hot(torch.zeros_like(person) if same else person, _PEOPLE).float()
    return Choices.of(pair, ((pair[0] - pair[1]) * wants[person]).sum(-1), condition)
