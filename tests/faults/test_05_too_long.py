"""Fault 5: a prompt and response longer than the model takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from assay import testing
from assay.media import Image
from assay.models.prepare import truncate_prompt
from assay.records import Record
from assay.scores import Status

LONG = "an old question that goes on and on " * 20


def records() -> list[Record]:
    return [
        Record.of("short", ["a", "b"], id="fits"),
        Record.of(LONG + "is it red?", ["yes", "no, it is blue"], id="long prompt"),
        Record.of("short", ["a", "and " * 300], id="one long answer"),
    ]


def test_by_default_what_is_too_long_abstains_and_nothing_else() -> None:
    reward = testing.learned_reward(max_length=100)
    scores = reward(records())
    ok, long = Status.OK, Status.TOO_LONG
    assert scores.status == (ok, ok, long, long, ok, long)
    assert torch.isnan(scores.values).tolist() == [status is not ok for status in scores.status]
    assert "the limit is 100" in scores.messages[2]
    assert "truncate_prompt" in scores.messages[2]
    alone = reward([records()[0]]).values
    torch.testing.assert_close(scores.values[:2], alone, rtol=0, atol=1e-5)


def test_the_limit_is_the_model_s_own_where_none_is_given() -> None:
    reward = testing.learned_reward(testing.tiny_text(max_position_embeddings=100))
    assert reward.max_length == 100
    assert reward(records()).status[2] is Status.TOO_LONG


def test_truncation_is_chosen_flagged_and_the_same_for_both_responses() -> None:
    reward = testing.learned_reward(max_length=100, on_too_long=truncate_prompt)
    scores = reward(records())
    assert scores.status[2:4] == (Status.OK, Status.OK)
    assert all("truncated" in message for message in scores.messages[2:4])
    assert scores.messages[:2] == ("", "")
    first, second = reward.prepare(records()).batch.groups[1]
    whole = testing.learned_reward().prepare(records()).batch.groups[1]
    assert first.truncated
    assert second.truncated
    cut = {len(w.ids) - len(t.ids) for w, t in zip(whole, (first, second), strict=True)}
    assert len(cut) == 1
    assert max(len(first.ids), len(second.ids)) == 100
    text = reward.backbone.tokenizer.decode(first.ids)
    assert text.endswith("is it red?<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n")
    assert first.reads.tolist() == [len(first.ids) - 1]


def test_a_response_is_never_cut() -> None:
    reward = testing.learned_reward(max_length=100, on_too_long=truncate_prompt)
    assert reward(records()).status[4:] == (Status.TOO_LONG, Status.TOO_LONG)


def test_bos_stays_and_a_picture_is_never_cut(picture: Callable[..., Image]) -> None:
    backbone = testing.tiny_gemma3()
    before = Record.of([picture(), LONG, "is it red?"], ["yes", "no"])
    behind = Record.of([LONG, picture(), "is it red?"], ["yes", "no"])
    reward = testing.learned_reward(backbone, max_length=120, on_too_long=truncate_prompt)
    assert set(reward([before]).status) == {Status.TOO_LONG}
    assert set(reward([behind]).status) == {Status.OK}
    (sequence, _), *_ = reward.prepare([behind]).batch.groups
    assert sequence.ids[0] == backbone.tokenizer.bos_token_id
    assert sequence.types is not None
    assert sequence.types.numel() == sequence.ids.numel()
    assert int(sequence.types.sum()) == 4


@pytest.mark.parametrize("adapted", [False, True])
def test_the_policy_is_part_of_what_a_score_depends_on(adapted: bool, tmp_path: Path) -> None:
    plain = testing.learned_reward(max_length=100)
    cutting = testing.learned_reward(max_length=100, on_too_long=truncate_prompt)
    assert plain.fingerprint() != cutting.fingerprint()
    chosen = cutting if adapted else plain
    loaded = type(chosen).load(chosen.save(tmp_path / "rm"), device="cpu")
    assert loaded(records()).status == chosen(records()).status
