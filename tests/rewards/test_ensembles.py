"""Ensembles by seed, by head and by adapter."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from assay.models.checkpoint import CheckpointError
from assay.models.heads import ScalarHead
from assay.models.heads.ensemble import EnsembleHead
from assay.models.hf import load_backbone
from assay.models.outputs import States
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.rewards.base import combine, fingerprint, score, spec_of
from assay.rewards.ensembles import adapter_ensemble, switched
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.budgets import Constant, Steps
from assay.training.loop import train
from assay.training.members import each_member
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.transforms import ensemble, median

RECORDS = [
    Record.of(f"question {i}", [f"good {i}", "bad"], id=f"r{i}", feedback=[Preference(i % 2, 1 - i % 2)])
    for i in range(8)
]


def test_the_values_of_an_ensemble_head_are_the_mean_less_k_std_of_its_members() -> None:
    hidden = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    for width in (0, 8):
        head = EnsembleHead(16, 4, k=0.7, width=width)
        found = head(States(hidden, (1,) * 5))
        assert found.attributes.shape == (5, 4)
        assert found.names == ("member_0", "member_1", "member_2", "member_3")
        std = found.attributes.std(dim=1, unbiased=False)
        torch.testing.assert_close(found.values, found.attributes.mean(1) - 0.7 * std)
        torch.testing.assert_close((0.5 * found.log_variance).exp(), std)
        again = EnsembleHead(**head.options())
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), head.parameters(), strict=True))
    with pytest.raises(ValueError, match="2 members"):
        EnsembleHead(16, 1)


def test_members_that_agree_have_no_spread_and_a_finite_gradient() -> None:
    head = EnsembleHead(4, 2, k=1.0)
    head.outer[1].load_state_dict(head.outer[0].state_dict())
    found = head(States(torch.ones(1, 4), (1,)))
    found.values.sum().backward()
    assert float((0.5 * found.log_variance).exp()) < 1e-6
    assert all(bool(torch.isfinite(w.grad).all()) for w in head.parameters() if w.grad is not None)


def test_an_ensemble_head_trains_each_member_is_saved_and_scores_the_same(tmp_path: Path) -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, EnsembleHead(backbone.hidden_size, 3))
    before = [layer.weight.detach().clone() for layer in reward.head.outer]
    settings = Settings(budget=Steps(12), batch=8, schedule=Constant(), learning_rate=3e-3, head_learning_rate=3e-2)
    result = train(reward, RECORDS, each_member(supervise(bradley_terry), share=0.6), settings)
    assert all(not torch.equal(old, layer.weight) for old, layer in zip(before, result.reward.head.outer, strict=True))
    place = result.reward.save(tmp_path / "rm")
    one, two = result.reward(RECORDS), LearnedReward.load(place)(RECORDS)
    assert torch.equal(one.values, two.values)
    assert torch.equal(one.std, two.std)
    assert list(one.attributes) == ["member_0", "member_1", "member_2"]
    members = torch.stack(list(one.attributes.values()))
    torch.testing.assert_close(one.values, members.mean(0))


def test_a_members_loss_is_its_own_and_of_its_own_records() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, EnsembleHead(backbone.hidden_size, 3))
    outputs = reward.outputs(reward.prepare(RECORDS).batch)
    plain = supervise(bradley_terry)
    every = each_member(plain)(outputs, RECORDS)
    assert every.items.shape == (24,)
    columns = outputs.attributes.reshape(8, 2, 3)
    for member in range(3):
        values = columns[:, :, member]
        better = torch.tensor([record.feedback[0].better for record in RECORDS])
        rows = torch.arange(8)
        expected = bradley_terry(values[rows, better], values[rows, 1 - better])
        torch.testing.assert_close(every.items[8 * member : 8 * member + 8], expected)
    assert every.metrics["accuracy"][1] == 24
    shared = each_member(plain, share=0.5)
    some = shared(outputs, RECORDS)
    assert 0 < len(some.items) < 24
    apart = sum(len(shared(reward.outputs(reward.prepare([r]).batch), [r]).items) for r in RECORDS)
    assert apart == len(some.items), "the draw follows from the record, not from the batch"
    with pytest.raises(ValueError, match="EnsembleHead"):
        each_member(plain)(LearnedReward.fresh(backbone).outputs(reward.prepare(RECORDS).batch), RECORDS)
    with pytest.raises(ValueError, match="share"):
        each_member(plain, share=0.0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three rewards on one backbone on disk, each an adapter and a head."""
    place = tmp_path_factory.mktemp("members")
    base = tiny_text()
    base.module.save_pretrained(place / "base")
    base.tokenizer.save_pretrained(place / "base")
    made: list[Path] = []
    for seed in range(3):
        backbone = load_backbone(place / "base", device="cpu")
        torch.manual_seed(seed)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        wrapped = backbone.with_module(get_peft_model(backbone.module, config))
        reward = LearnedReward(wrapped, ScalarHead(backbone.hidden_size, seed=seed))
        made.append(reward.save(place / f"rm{seed}", adapter=True))
    return made


def test_adapters_on_one_backbone_score_as_each_alone(saved: list[Path]) -> None:
    together = adapter_ensemble(saved, device="cpu")
    alone = [LearnedReward.load(place, device="cpu") for place in saved]
    expected = score(combine(*alone, by=ensemble(0.0)), RECORDS)
    found = score(together, RECORDS)
    torch.testing.assert_close(found.values, expected.values, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.std, expected.std, rtol=0, atol=1e-6)
    assert float(found.std.min()) > 1e-3
    assert spec_of(together).memory_bytes < 1.6 * alone[0].spec.memory_bytes
    assert "3 members" in repr(together)
    first = next(iter(together.members.values())).backbone.module
    assert first.active_adapter == "default"
    assert fingerprint(together) == fingerprint(adapter_ensemble(saved, device="cpu"))
    assert fingerprint(together) != fingerprint(adapter_ensemble(saved[:2], device="cpu"))


def test_members_are_combined_as_asked(saved: list[Path]) -> None:
    middle = score(adapter_ensemble(saved, by=median(), device="cpu"), RECORDS)
    each = torch.stack([LearnedReward.load(place, device="cpu")(RECORDS).values for place in saved])
    torch.testing.assert_close(middle.values, each.median(0).values, rtol=0, atol=1e-6)


def test_what_is_no_ensemble_is_refused(saved: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        adapter_ensemble(saved[:1])
    whole = LearnedReward.fresh(tiny_text()).save(tmp_path / "whole")
    with pytest.raises(CheckpointError, match="adapter=True"):
        adapter_ensemble([saved[0], whole])
    with pytest.raises(CheckpointError, match="not a saved reward"):
        adapter_ensemble([saved[0], tmp_path])
    reward = LearnedReward.load(saved[0], device="cpu")
    with pytest.raises(ValueError, match="two or more"):
        switched(reward, {"default": reward.head, "other": reward.head})


def test_a_member_of_another_length_policy_is_refused(saved: list[Path], tmp_path: Path) -> None:
    other = LearnedReward.load(saved[1], device="cpu").replace(max_length=64)
    object.__setattr__(other.backbone, "source", str(saved[0].parent / "base"))
    place = other.save(tmp_path / "short", adapter=True)
    with pytest.raises(CheckpointError, match="max_length differ"):
        adapter_ensemble([saved[0], place])
