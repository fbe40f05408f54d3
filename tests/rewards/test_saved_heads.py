"""What a saved reward names by path: found again inside this package, and refused anywhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from assay import testing
from assay.models import named
from assay.models.checkpoint import CheckpointError
from assay.models.condition import Condition
from assay.models.heads import AttributeHead, OrdinalHead, ScalarHead, StepHead
from assay.models.heads.dual import DualEncoderHead
from assay.models.heads.gated import GatedHead
from assay.models.reading import Marked, every_response_token
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.rewards import saving
from assay.rewards.learned import LearnedReward
from assay.training.budgets import Constant, Steps
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import on_pairs

FAST = Settings(budget=Steps(20), schedule=Constant(), batch=8, learning_rate=3e-3, head_learning_rate=3e-2)


def pairs(count: int = 12) -> list[Record]:
    return [Record.of(f"question {n}", ["good", "bad"], id=str(n), feedback=[Preference(0, 1)]) for n in range(count)]


def changed(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The saved directory with another manifest, whole as far as its marker says."""
    manifest = json.loads((place / saving.MANIFEST).read_text())
    change(manifest)
    (place / saving.MANIFEST).write_text(json.dumps(manifest))
    marker = json.loads((place / saving.MARKER).read_text())
    marker[saving.MANIFEST] = (place / saving.MANIFEST).stat().st_size
    (place / saving.MARKER).write_text(json.dumps(marker))


@pytest.mark.parametrize(
    "path",
    [
        "os:system",
        "assay.models.heads.evil:Head",
        "assay.models.heads.linear:nn",
        "assay.models.heads.scalar:torch",
        "assay.models.heads.scalar:Front.options",
        "assay.models.heads_of_mine:Head",
        "assay.models.reading:last",
        "assay.rewards.rules.match:exact",
        "assay.models.heads.linear:linear",
        "../evil:Head",
        "",
    ],
)
def test_a_head_outside_of_the_heads_is_refused(tmp_path: Path, path: str) -> None:
    place = testing.learned_reward().save(tmp_path / "rm")
    changed(place, lambda manifest: manifest["head"].update({"class": path}))
    with pytest.raises(CheckpointError, match=r"no function or class|is no head"):
        LearnedReward.load(place)


@pytest.mark.parametrize("key", ["read", "backbone"])
def test_a_reading_or_a_backbone_from_elsewhere_is_refused(tmp_path: Path, key: str) -> None:
    place = testing.learned_reward().save(tmp_path / "rm")

    def elsewhere(manifest: dict[str, Any]) -> None:
        if key == "read":
            manifest["read"] = "subprocess:run"
        else:
            manifest["backbone"]["read"] = "subprocess:run"

    changed(place, elsewhere)
    with pytest.raises(CheckpointError, match="subprocess:run"):
        LearnedReward.load(place)


def test_an_option_from_elsewhere_and_options_of_another_head_are_refused(tmp_path: Path) -> None:
    place = testing.learned_reward().save(tmp_path / "rm")
    changed(place, lambda manifest: manifest["head"]["options"].update({"pool": {"name": "builtins:exec"}}))
    with pytest.raises(CheckpointError, match="builtins:exec"):
        LearnedReward.load(place)
    place = testing.learned_reward().save(tmp_path / "two")
    changed(place, lambda manifest: manifest["head"]["options"].update({"levels": 3}))
    with pytest.raises(CheckpointError, match="not made of these options"):
        LearnedReward.load(place)
    place = testing.learned_reward().save(tmp_path / "three")
    changed(place, lambda manifest: manifest["head"]["options"].update({"hidden": 32}))
    with pytest.raises(CheckpointError, match="but the head is"):
        LearnedReward.load(place)


def test_another_format_says_what_to_do(tmp_path: Path) -> None:
    place = testing.learned_reward().save(tmp_path / "rm")
    changed(place, lambda manifest: manifest.update({"format": 1}))
    with pytest.raises(CheckpointError, match=r"format 1, this version reads format 2: .* train it again"):
        LearnedReward.load(place)


def my_own(marked: Marked) -> torch.Tensor:
    return marked.response[:1]


@pytest.mark.parametrize(
    "options", [{"read": my_own}, {"read": lambda marked: marked.response}, {"head": nn.Linear(64, 1)}]
)
def test_what_is_not_of_this_package_has_no_written_form(tmp_path: Path, options: dict[str, Any]) -> None:
    reward = testing.learned_reward().replace(**options)
    with pytest.raises(ValueError, match="no written form"):
        saving.save(reward, tmp_path / "rm")
    assert not list(tmp_path.iterdir())


def test_options_come_back_as_they_were() -> None:
    options = {"names": ("b", "a"), "groups": {"z": ("x",), "a": ("y",)}, "pool": every_response_token, "rate": 0.5}
    again = named.read(json.loads(json.dumps(named.written(options), sort_keys=True)))
    assert again == options
    assert list(again["groups"]) == ["z", "a"]
    with pytest.raises(ValueError, match="no written form"):
        named.written({"x": object()})


@pytest.mark.parametrize(
    "head",
    [
        ScalarHead(64, condition=3),
        AttributeHead(64, ("b", "a"), weights=(1.0, 2.0), norm=True),
        OrdinalHead(64, 4),
        StepHead(64, classes=2),
        GatedHead(64, {"z": ("one", "two"), "a": ("three",)}),
        DualEncoderHead(64, left=0, right=-1),
    ],
    ids=lambda head: type(head).__name__,
)
def test_any_head_is_saved_with_its_condition_and_reference(tmp_path: Path, head: nn.Module) -> None:
    condition = Condition.of_numbers("direction", 3, abstains=False)
    reward = testing.learned_reward().replace(
        head=head, read=every_response_token, condition=condition, card={"note": "mine"}
    )
    loaded = LearnedReward.load(reward.save(tmp_path / "rm"))
    assert loaded.condition == condition
    assert loaded.read is every_response_token
    assert loaded.card == {"note": "mine"}
    records = [Record.of("question", ["good", "bad answer"], id="a", direction=[1, 0, 2])]
    assert torch.equal(loaded(records).values, reward(records).values)
    assert loaded.fingerprint() == reward.fingerprint()
    assert type(loaded.head) is type(head)


def test_a_gated_head_reads_the_prompt_trains_and_is_saved(tmp_path: Path) -> None:
    backbone = testing.tiny_text()
    head = GatedHead(backbone.hidden_size, {"truth": ("right", "clear"), "form": ("short",)})
    reward = LearnedReward(backbone, head)
    batch = reward.prepare(pairs(2)).batch
    states = reward.model.states(batch)
    assert {len(each) for each in states} == {2}
    assert torch.allclose(states[0][0], states[1][0], atol=1e-5)  # both responses have one prompt
    assert not torch.allclose(states[0][1], states[1][1], atol=1e-3)
    result = train(reward, pairs(), on_pairs(bradley_terry), FAST, output=tmp_path / "rm")
    scores = result.reward(pairs())
    assert bool((scores.values[::2] > scores.values[1::2]).all())
    assert set(scores.attributes) == set(head.names)
    assert torch.equal(LearnedReward.load(tmp_path / "rm")(pairs()).values, scores.values)


def test_what_a_head_fixes_stays_fixed() -> None:
    reward = testing.learned_reward().replace(
        head=DualEncoderHead(64, left=0, right=-1, fixed=True, scale=3.0), read=every_response_token
    )
    records = [Record.of("q", ["good one", "bad two"], id=str(n), feedback=[Preference(0, 1)]) for n in range(8)]
    before = {name: weight.clone() for name, weight in reward.head.named_parameters() if not weight.requires_grad}
    assert before
    train(reward, records, on_pairs(bradley_terry), FAST)
    after = dict(reward.head.named_parameters())
    assert all(torch.equal(after[name], weight) and not after[name].requires_grad for name, weight in before.items())
