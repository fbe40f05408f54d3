"""Fault 22: the score of a row depends on what else is in its batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from assay.benchmarks.verify import verify
from assay.cli.main import app
from assay.records import Record
from assay.rewards.base import scores_of
from assay.testing import learned_reward, tiny_text

FAULTY = '''
import torch
from assay.models.heads import ScalarHead
from assay.models.outputs import states_of
from assay.rewards.base import Spec, scores_of
from assay.testing import tiny_text

class Quantised:
    """Activations rounded to int8 with one scale for the whole batch."""
    spec = Spec(differentiable=True)

    def __init__(self):
        self.backbone = tiny_text(0)
        self.head = ScalarHead(self.backbone.hidden_size, seed=0)
        for layer in self.backbone.module.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.register_forward_pre_hook(self.rounded)

    @staticmethod
    def rounded(layer, inputs):
        scale = inputs[0].abs().max() / 127
        return ((inputs[0] / scale).round() * scale, *inputs[1:])

    def __call__(self, records):
        prepared = self.backbone.prepare(records)
        states = self.backbone.encode(prepared.batch)
        return scores_of(records, self.head(states_of(states)).values.detach())
'''


def rows(count: int = 9) -> list[Record]:
    answers = ("yes", "no, I do not think that it is so", "it depends on the " + "very " * 30 + "question")
    return [Record.of(f"question {i} " * (1 + i % 4), answers[: 2 + i % 2], id=str(i)) for i in range(count)]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_row_scores_the_same_alone_in_any_batch_and_in_any_order(size: int):
    reward, records = learned_reward(), rows()
    whole = {name: value for scores in [reward(records)] for name, value in zip(scores.ids, scores.values, strict=True)}
    spread = torch.stack(list(whole.values())).std()
    for some in (records, records[::-1]):
        for start in range(0, len(some), size):
            scores = reward(some[start : start + size])
            for name, value in zip(scores.ids, scores.values, strict=True):
                assert abs(value - whole[name]) / spread <= 1e-5


def test_any_number_of_candidates_beside_it():
    reward = learned_reward()
    many = [f"candidate {i} " * (1 + i % 5) for i in range(17)]
    whole = reward([Record.of("which?", many)]).values
    for count in (1, 2, 5, 16):
        few = reward([Record.of("which?", many[:count])]).values
        assert (few - whole[:count]).abs().max() / whole.std() <= 1e-5


def test_the_fault_is_found_in_the_library():
    namespace: dict[str, object] = {}
    exec(FAULTY, namespace)  # the same source that the command line loads below
    assert not verify(namespace["Quantised"](), rows()).passed


def test_the_fault_is_found_on_the_command_line(tmp_path: Path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    found = CliRunner().invoke(app, ["verify", f"{tmp_path / 'faulty.py'}:Quantised", "--json"])
    facts = json.loads(found.stdout)
    assert found.exit_code == 1
    wrong = {item["name"] for item in facts["findings"] if item["gated"] and not item["passed"]}
    assert "each record alone" in wrong


def test_in_bf16_the_observed_spread_is_printed():
    found = verify(learned_reward(tiny_text()), rows(), reload=False)
    low = next(item for item in found.findings if item.name == "in bfloat16")
    assert found.passed
    assert 1e-4 < low.difference < 1
    assert low.flipped is not None


def test_a_reward_that_centres_over_the_batch_is_not_certified():
    def centred(records):
        values = torch.tensor([float(len(r.text)) for record in records for r in record.responses])
        return scores_of(records, values - values.mean())

    assert not verify(centred, rows()).passed
