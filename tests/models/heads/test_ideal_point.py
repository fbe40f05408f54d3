"""Ideal points: people as mixtures of prototypes, the population, new people from a few pairs, saved rewards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from assay.models.condition import Condition
from assay.models.heads.ideal_point import IdealPointHead
from assay.models.outputs import States
from assay.objectives.pairwise import bradley_terry
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import tiny_text


def states(hidden: Tensor, people: list[int | None], users: int, prompt: Tensor | None = None) -> States:
    rows = [
        F.one_hot(torch.tensor(p), users).float() if p is not None else torch.full((users,), torch.nan) for p in people
    ]
    return States(hidden, (1,) * len(hidden), torch.stack(rows), prompt)


def test_the_value_is_the_distance_to_a_mixture_of_prototypes() -> None:
    head = IdealPointHead(6, 3, prototypes=2, width=4, seed=1)
    hidden = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    found = head(states(hidden, [0, 2, 1], 3))
    ideals = head.users.softmax(-1)[[0, 2, 1]] @ head.prototypes
    assert torch.allclose(found.values, -(head.project(hidden) - ideals).norm(dim=-1), atol=1e-6)
    assert torch.allclose(found.extra["weights"].sum(-1), torch.ones(3))


def test_prototypes_made_from_the_prompt() -> None:
    head = IdealPointHead(6, 3, width=4, from_prompt=True)
    hidden, prompt = torch.randn(2, 2, 6, generator=torch.Generator().manual_seed(0))
    found = head(states(hidden, [0, 2], 3, prompt))
    made = torch.einsum("kwh,nh->nkw", head.prototypes, prompt)
    ideals = (head.users.softmax(-1)[[0, 2]][..., None] * made).sum(1)
    assert torch.allclose(found.values, F.cosine_similarity(head.project(hidden), ideals), atol=1e-6)
    assert head.needs_prompt
    assert not IdealPointHead(6, 3).needs_prompt
    with pytest.raises(ValueError, match="prompt"):
        head(states(hidden, [0, 2], 3))


def test_nobody_known_has_the_mean_and_variance_over_everyone() -> None:
    head = IdealPointHead(6, 4, width=4)
    hidden = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    each = torch.cat([head(states(hidden, [person], 4)).values for person in range(4)])
    found = head(states(hidden.repeat(2, 1), [None, 1], 4))
    assert torch.allclose(found.values, torch.stack([each.mean(), each[1]]), atol=1e-6)
    assert torch.allclose(found.log_variance[0].exp(), each.var(correction=0), atol=1e-6)
    assert found.log_variance[1].isnan()
    assert found.extra["weights"][0].isnan().all()
    assert torch.allclose(head(States(hidden, (1,))).values, each.mean(), atol=1e-6)
    found.values.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters() if weight.grad is not None)


@pytest.mark.parametrize("from_prompt", [False, True])
def test_a_new_person_is_fitted_and_nothing_else_changes(from_prompt: bool) -> None:
    head = IdealPointHead(6, 2, prototypes=3, width=4, from_prompt=from_prompt)
    head.users.data = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    before = {name: weight.clone() for name, weight in head.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    pair, prompt = torch.randn(2, 40, 6, generator=generator), torch.randn(40, 6, generator=generator)
    with torch.no_grad():
        first, second = (head(states(side, [1] * 40, 2, prompt)).values for side in pair)
    swap = (first < second)[:, None]
    chosen, rejected = torch.where(swap, pair[1], pair[0]), torch.where(swap, pair[0], pair[1])
    logits = head.fit_user(States(chosen, (1,) * 40, prompt=prompt), States(rejected, (1,) * 40, prompt=prompt))
    assert all(torch.equal(weight, before[name]) for name, weight in head.state_dict().items())
    assert all(weight.grad is None for weight in head.parameters())
    assert int(logits.argmax()) == 2
    place = head.add_user(logits)
    assert place == 2
    assert head.options()["users"] == 3

    def loss(person: int) -> float:
        with torch.no_grad():
            better, worse = (head(states(side, [person] * 40, 3, prompt)).values for side in (chosen, rejected))
        return float(bradley_terry(better, worse).mean())

    assert loss(place) <= min(loss(0), loss(1)) + 1e-3


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="at least one"):
        IdealPointHead(6, 0)
    with pytest.raises(ValueError, match="one of 3 people"):
        IdealPointHead(6, 3)(states(torch.zeros(1, 6), [0], 2))


def test_a_reward_for_people_is_saved_and_an_unknown_one_is_the_population_or_abstains(tmp_path: Path) -> None:
    backbone = tiny_text()
    people = ["ann", "bob", "cem"]
    records = [Record.of("prompt", ["yes", "no, not at all"], rater=name) for name in [*people, "dora"]]
    head = IdealPointHead(backbone.hidden_size, 3, width=4)
    reward = LearnedReward(backbone, head, condition=Condition.of_names("rater", people, abstains=False))
    found = reward(records)
    values = found.values.reshape(4, 2)
    assert torch.allclose(values[3], values[:3].mean(0), atol=1e-5)
    assert found.std is not None
    assert found.std.reshape(4, 2)[:3].isnan().all()
    assert torch.allclose(found.std.reshape(4, 2)[3], values[:3].std(0, correction=0), atol=1e-4)
    again = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, found.values)
    strict = reward.replace(condition=Condition.of_names("rater", people, abstains=True))(records)
    assert strict.values[6:].isnan().all()
    assert strict.status[6] is not Status.OK
    assert strict.status[0] is Status.OK
