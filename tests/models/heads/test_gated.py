"""Gates: softmax within each aspect, hard routing, what the penalty closes, and a gated reward trained and reloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from assay.models.heads.gated import GatedHead, gate_entropy, gate_penalty
from assay.models.outputs import States
from assay.records import Preference, Rating, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text

GROUPS = {"motion": ("smooth", "steady", "real"), "match": ("objects", "count")}


def states(rows: int = 5, hidden: int = 8) -> States:
    generator = torch.Generator().manual_seed(0)
    return States(
        torch.randn(rows, hidden, generator=generator),
        (1,) * rows,
        prompt=torch.randn(rows, hidden, generator=generator),
    )


def test_criteria_make_aspects_and_aspects_the_value() -> None:
    given = states()
    found = GatedHead(8, GROUPS)(given)
    assert found.names == (
        "motion/smooth",
        "motion/steady",
        "motion/real",
        "match/objects",
        "match/count",
        "motion",
        "match",
    )
    criteria, aspects = found.attributes[:, :5], found.attributes[:, 5:]
    inner, gates = found.extra["criterion_gates"], found.extra["gates"]
    assert torch.allclose(inner[:, :3].sum(-1), torch.ones(5))
    assert torch.allclose(inner[:, 3:].sum(-1), torch.ones(5))
    assert torch.allclose(aspects[:, 0], (inner[:, :3] * criteria[:, :3]).sum(-1))
    assert torch.allclose(found.values, (gates * aspects).sum(-1))
    assert torch.allclose(gates.sum(-1), torch.ones(5))


def test_gates_read_the_prompt_and_not_the_response() -> None:
    given = states()
    head = GatedHead(8, GROUPS)
    other = States(given.hidden + 1.0, given.counts, prompt=given.prompt)
    assert torch.equal(head(given).extra["gates"], head(other).extra["gates"])
    assert not torch.equal(head(given).values, head(other).values)


def test_hard_routing_takes_one_aspect_and_gives_the_gate_no_gradient() -> None:
    head = GatedHead(8, GROUPS, hard=True, width=6)
    found = head(states())
    chosen = found.extra["gate_logits"].argmax(-1)
    assert torch.equal(found.values, found.attributes[:, 5:].gather(1, chosen[:, None]).squeeze(1))
    found.values.sum().backward()
    assert all(weight.grad is None for weight in head.aspect_gate.parameters())
    gate_entropy(found.extra["gate_logits"], torch.tensor([0, 1, -1, 0, 1])).sum().backward()
    assert all(weight.grad is not None for weight in head.aspect_gate.parameters())


def test_a_sequence_without_a_state_has_no_number_and_no_gradient() -> None:
    given = states()
    hidden = given.hidden.clone()
    hidden[1] = torch.nan
    head = GatedHead(8, GROUPS)
    found = head(States(hidden, given.counts, prompt=given.prompt))
    assert found.values.isnan().tolist() == [False, True, False, False, False]
    found.values.nansum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters() if weight.grad is not None)


def test_the_penalty_by_hand() -> None:
    gates = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.0, 1.0]])
    relevant = torch.tensor([[0.0, 1.0], [torch.nan, 0.5], [1.0, 0.0]])
    found = gate_penalty(gates, relevant)
    expected = torch.tensor([-torch.log(torch.tensor(0.8)), -0.5 * torch.log(torch.tensor(0.5)), 13.8])
    assert torch.allclose(found, expected, atol=0.02)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        gate_penalty(gates, relevant + 1.0)


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="criterion"):
        GatedHead(8, {"empty": ()})
    with pytest.raises(ValueError, match="temperature"):
        GatedHead(8, GROUPS, temperature=0.0)


def test_a_gated_reward_is_saved_and_scores_the_same(tmp_path: Path) -> None:
    backbone = tiny_text()
    head = GatedHead(backbone.hidden_size, GROUPS, hard=True, gate_layers=2, seed=3)
    reward = LearnedReward(backbone, head)
    records = [Record.of(f"prompt {n}", ["yes", "no, not at all"]) for n in range(3)]
    found = reward(records)
    assert set(found.attributes) == set(head.names)
    again = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, found.values)
    assert isinstance(again.head, GatedHead)
    assert again.head.options() == head.options()


def test_criteria_learn_from_ratings_and_the_value_from_pairs() -> None:
    from assay.objectives.pairwise import bradley_terry
    from assay.objectives.pointwise import squared_error
    from assay.training.supervision import on_pairs, on_ratings
    from assay.training.terms import together

    backbone = tiny_text()
    head = GatedHead(backbone.hidden_size, GROUPS)
    reward = LearnedReward(backbone, head)
    feedback = (Preference(0, 1), Rating(0, 2.0, criterion="motion/real"), Rating(1, -1.0, criterion="match"))
    record = Record.of("prompt", ["good", "bad"], feedback=feedback)
    outputs = reward.outputs(reward.prepare([record]).batch)
    rows = together((on_ratings(squared_error), 1.0), (on_pairs(bradley_terry), 1.0))
    found = rows(outputs, [record])
    assert outputs.attributes is not None
    real = outputs.attributes[0, outputs.names.index("motion/real")]
    match = outputs.attributes[1, outputs.names.index("match")]
    assert torch.allclose(found.items[:2], torch.stack([(real - 2.0) ** 2, (match + 1.0) ** 2]))
    assert torch.allclose(found.items[2], -torch.nn.functional.logsigmoid(outputs.values[0] - outputs.values[1]))
