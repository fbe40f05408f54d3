"""The states of what was chosen and rejected: what a person is learned from on a backbone that is not trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from assay.models.condition import Condition
from assay.models.heads.ideal_point import IdealPointHead
from assay.models.outputs import States
from assay.records import Record
from assay.records.pairs import preferences_of
from assay.rewards.learned import LearnedReward

_RECORDS_AT_ONCE = 64


@torch.no_grad()
def chosen_states(reward: LearnedReward, records: Sequence[Record]) -> tuple[States, States]:
    """The last states ``[pairs, hidden]`` of what was chosen and of what was rejected, float32, without gradient.

    Certain preferences count (`records.pairs.preferences_of`), ties and undecided ones do not; a response that cannot
    be read is in no pair. ``prompt`` is there where the head asks for it.
    """
    ends: list[tuple[Tensor, Tensor]] = []
    prompts: list[Tensor] = []
    for first in range(0, len(records), _RECORDS_AT_ONCE):
        part = records[first : first + _RECORDS_AT_ONCE]
        prepared = reward.prepare([record.view() for record in part])
        states = reward.model.states(prepared.batch, layout=reward.layout, token_budget=reward.token_budget)
        found = {row: state.float() for row, state in zip(prepared.rows, states, strict=True)}
        offset = 0
        for record in part:
            for item in preferences_of(record):
                sides = (offset + item.better, offset + item.worse)
                if not item.tie and item.probability != 0.5 and found.keys() >= set(sides):
                    better, worse = sides if item.probability > 0.5 else reversed(sides)
                    ends.append((found[better][-1], found[worse][-1]))
                    prompts.append(found[better][0])
            offset += len(record.responses)
    asks = bool(getattr(reward.head, "needs_prompt", False))
    empty = torch.zeros(0, reward.backbone.hidden_size, device=reward.backbone.placement.device)
    prompt = (torch.stack(prompts) if prompts else empty) if asks else None
    sides = [torch.stack(side) for side in zip(*ends, strict=True)] or [empty, empty]
    chosen, rejected = (States(side, (1,) * len(side), prompt=prompt) for side in sides)
    return chosen, rejected


def with_person(reward: LearnedReward, name: str, records: Sequence[Record], *, seed: int = 0) -> LearnedReward:
    """A reward of `IdealPointHead` that also knows the person ``name``, by their choices in ``records``.

    Only the weights of that person are fitted (`IdealPointHead.fit_user`); everyone else is scored as before. The two
    rewards share a backbone, each has a head of its own.

    Raises:
        TypeError: the reward has another head, or no condition of names.
        ValueError: the name is known already, or the records hold no certain choice.

    Source: PAL, 2024, arXiv 2406.08469.
    """
    head, condition = reward.head, reward.condition
    if not isinstance(head, IdealPointHead) or condition is None or not condition.names:
        raise TypeError("a person is added to a reward with an IdealPointHead and a Condition.of_names")
    if name in condition.names:
        raise ValueError(f"{name!r} is known already: {list(condition.names)}")
    chosen, rejected = chosen_states(reward, records)
    if not chosen.counts:
        raise ValueError(f"the records hold no certain choice of {name!r}")
    wider = copy.deepcopy(head)
    wider.add_user(wider.fit_user(chosen, rejected, seed=seed))
    people = (*condition.names, name)
    condition = Condition.of_names(condition.column, people, abstains=condition.abstains)
    return reward.replace(head=wider, condition=condition)
