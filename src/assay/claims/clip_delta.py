"""Clip and delta: a process reward in policy training that repeating a step cannot exploit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import world
from assay.objectives.likelihood import weighted_nll
from assay.transforms.steps import bounded

_STEPS, _NEEDED, _BATCH, _ITERATIONS, _ETA = 12, 4, 128, 250, 0.75
_PROGRESS, _FILLER, _STOP = 0, 1, 3
_SAYS = (0.8, 0.9, 0.2, 1.0)


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A problem of 4 steps and room for 12: progress, a filler that is right and leads nowhere, a mistake that leads
    nowhere, or the answer. A process reward finds a filler a little better than progress (.9 and .8; a mistake .2). A
    tabular policy is trained by REINFORCE on success at the end, on that and the process rewards as they are, and on
    that and the process rewards clipped at .75 and differenced.

    Sabotage: neither clip nor delta is applied.
    """
    treated = partial(bounded, eta=_ETA, clip=not sabotage, delta=not sabotage)
    raw, made, plain = (
        [_trained(seed, shaping) for seed in seeds] for shaping in (_as_they_are, treated, _none_at_all)
    )
    total = tuple(max(_rewards(seed, treated)) for seed in seeds)
    return Outcome(
        figures={
            "success, outcome reward alone": tuple(end.success for end in plain),
            "success, raw process rewards": tuple(end.success for end in raw),
            "success, clip and delta": tuple(end.success for end in made),
            "fillers, outcome reward alone": tuple(end.fillers for end in plain),
            "fillers, raw process rewards": tuple(end.fillers for end in raw),
            "fillers, clip and delta": tuple(end.fillers for end in made),
        },
        checks=(
            Check("success, raw process rewards", tuple(end.success for end in raw), at_most=0.1),
            Check("success, clip and delta", tuple(end.success for end in made), at_least=0.95),
            Check("fillers, clip and delta", tuple(end.fillers for end in made), at_most=1.0),
            Check("largest sum of clipped and differenced rewards", total, at_most=1e-6),
        ),
    )


@dataclass(frozen=True)
class _End:
    success: float
    fillers: float


@dataclass(frozen=True)
class _Rollouts:
    """``made`` the progress before each step, ``actions`` taken, and ``there``: before the answer or at it."""

    made: Tensor
    actions: Tensor
    there: Tensor

    @property
    def success(self) -> Tensor:
        """Answered after all the progress needed."""
        stopped = (self.actions == _STOP) & self.there
        return (stopped & (self.made >= _NEEDED)).any(1).float()

    @property
    def says(self) -> Tensor:
        """What the process reward says of each step."""
        return torch.where(self.there, torch.tensor(_SAYS)[self.actions], 0.0)


Shaping = Callable[[Tensor, Tensor], Tensor]


def _as_they_are(steps: Tensor, there: Tensor) -> Tensor:
    return steps


def _none_at_all(steps: Tensor, there: Tensor) -> Tensor:
    return torch.zeros_like(steps)


def _rolled(policy: Tensor, generator: torch.Generator) -> _Rollouts:
    made, going = torch.zeros(_BATCH, dtype=torch.long), torch.ones(_BATCH, dtype=torch.bool)
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(_STEPS):
        action = torch.multinomial(policy[made], 1, generator=generator).squeeze(1)
        rows.append((made, action, going))
        made = (made + ((action == _PROGRESS) & going)).clamp(max=_NEEDED)
        going = going & (action != _STOP)
    states, actions, there = (torch.stack(column, 1) for column in zip(*rows, strict=True))
    return _Rollouts(states, actions, there)


def _trained(seed: int, shaping: Shaping) -> _End:
    generator = world(seed)
    logits = nn.Parameter(torch.zeros(_NEEDED + 1, len(_SAYS)))

    def loss() -> Tensor:
        done = _rolled(logits.detach().softmax(-1), generator)
        rewards = torch.where(done.there, shaping(done.says, done.there), 0.0)
        to_go = rewards.flip(1).cumsum(1).flip(1) + done.success[:, None]
        mean = torch.where(done.there, to_go, 0.0).sum(0) / done.there.sum(0).clamp(min=1)
        chosen = logits.log_softmax(-1)[done.made, done.actions]
        return weighted_nll(chosen, to_go - mean, done.there)

    fit([logits], loss, steps=_ITERATIONS, learning_rate=0.05)
    done = [_rolled(logits.detach().softmax(-1), generator) for _ in range(8)]
    fillers = [((each.actions == _FILLER) & each.there).sum(1).float().mean() for each in done]
    return _End(float(torch.stack([each.success.mean() for each in done]).mean()), float(torch.stack(fillers).mean()))


def _rewards(seed: int, shaping: Shaping) -> list[float]:
    """The sum of a shaping's rewards over each of some rollouts of random steps and random scores."""
    generator = world(seed)
    done = _rolled(torch.ones(_NEEDED + 1, len(_SAYS)), generator)
    scores = torch.rand(done.says.shape, generator=generator)
    return shaping(scores, done.there).sum(1).tolist()
