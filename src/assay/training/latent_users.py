"""A reward for people known by a few of their choices: encoder and head learned together on a frozen backbone."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from assay.models.base import Encoder
from assay.models.condition import Condition
from assay.models.heads.latent_user import LatentUserEncoder, LatentUserHead
from assay.models.outputs import States
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pluralistic import active_units, gaussian_kl, reparameterised
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.training.chosen import chosen_states

Pairs = tuple[Tensor, Tensor]
"""States ``[pairs, hidden]`` of what somebody chose and rejected."""


@final
@dataclass(frozen=True, slots=True)
class LatentUsers:
    """A reward conditioned on a person, and the encoder that says who a person is from what they chose.

    ``reward`` takes the context column ``column``, the numbers that `person` gives; a record without it gets the mean
    over people of the prior, with its standard deviation. ``active`` is how many latent numbers tell people apart in
    the records learned from; 0 means that the latent collapsed.
    """

    reward: LearnedReward
    encoder: LatentUserEncoder
    column: str
    active: int

    @torch.no_grad()
    def person(self, records: Sequence[Record]) -> list[float]:
        """Who made the choices in ``records``: the mean of the posterior; zeros, the prior's, without a choice."""
        chosen, rejected = _pairs(self.reward, records)
        if not len(chosen):
            return [0.0] * int(self.encoder.options()["latent"])
        return self.encoder(chosen[None], rejected[None])[0][0].tolist()

    def told(self, records: Iterable[Record], person: Sequence[float]) -> list[Record]:
        """The records with the person in their context."""
        return [replace(record, context={**record.context, self.column: list(person)}) for record in records]


def learn_latent_users(
    backbone: Encoder,
    records: Sequence[Record],
    *,
    rater: str = "rater",
    column: str = "person",
    latent: int = 8,
    width: int = 64,
    known: int = 8,
    divergence: float = 1e-3,
    steps: int = 300,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> LatentUsers:
    """Learn from the pairs of each person whom context column ``rater`` names; the backbone stays as it is.

    At every step ``known`` random pairs of each person say who they are, and all their pairs are to be told right::

        L = -log sigmoid(r(chosen, z) - r(rejected, z)) + divergence KL(q(z | known pairs) || Normal(0, 1))

    the first averaged over pairs, the second over people. Certain preferences count; ties do not.

    Raises:
        ValueError: fewer than two people have a pair.

    Source: Poddar et al. (VPL), 2024, arXiv 2408.10075. Deviations: no annealing of the divergence; a step sees all
    pairs; latents are not put on a sphere.
    """
    condition = Condition.of_numbers(column, latent, abstains=False)
    head = LatentUserHead(backbone.hidden_size, latent, width=width, seed=seed)
    reward = LearnedReward(backbone, head, condition=condition)
    people = [pairs for own in _by_person(records, rater).values() if len((pairs := _pairs(reward, own))[0])]
    if len(people) < 2:
        raise ValueError(f"{len(people)} people with pairs: context column {rater!r} names at least two")
    encoder = LatentUserEncoder(backbone.hidden_size, latent, width=width, seed=seed).to(people[0][0].device)
    generator = torch.Generator().manual_seed(seed)
    chosen, rejected = (torch.cat(side) for side in zip(*people, strict=True))
    whose = torch.tensor([n for n, (own, _) in enumerate(people) for _ in own], device=chosen.device)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=learning_rate)
    for _ in range(steps):
        mean, log_variance = encoder(*_known(people, known, generator))
        drawn = reparameterised(mean, log_variance, generator if mean.device.type == "cpu" else None)[whose]
        values = head(States(torch.cat([chosen, rejected]), (1,) * (2 * len(chosen)), drawn.repeat(2, 1))).values
        told = bradley_terry(*values.chunk(2)).mean()
        optimizer.zero_grad(set_to_none=True)
        (told + divergence * gaussian_kl(mean, log_variance).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        means = torch.cat([encoder(own[None], other[None])[0] for own, other in people])
    return LatentUsers(reward, encoder, column, active_units(means))


def _by_person(records: Sequence[Record], rater: str) -> Mapping[Hashable, list[Record]]:
    found: dict[Hashable, list[Record]] = {}
    for record in records:
        if record.context.get(rater) is not None:
            found.setdefault(record.context[rater], []).append(record)
    return found


def _pairs(reward: LearnedReward, records: Sequence[Record]) -> Pairs:
    chosen, rejected = chosen_states(reward, records)
    return chosen.hidden, rejected.hidden


def _known(people: Sequence[Pairs], count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """``count`` random pairs of each person, fewer where there are not so many: padded, and the mask."""
    width = people[0][0].shape[1]
    rows = [torch.randperm(len(own), generator=generator)[:count] for own, _ in people]
    sides = torch.zeros(2, len(people), count, width, device=people[0][0].device)
    mask = torch.zeros(len(people), count, dtype=torch.bool, device=sides.device)
    for number, (kept, pairs) in enumerate(zip(rows, people, strict=True)):
        for side, states in enumerate(pairs):
            sides[side, number, : len(kept)] = states[kept.to(states.device)]
        mask[number, : len(kept)] = True
    return sides[0], sides[1], mask
