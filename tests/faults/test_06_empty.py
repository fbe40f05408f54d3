"""Fault 6: an empty response, or an empty prompt, is a sequence of its own with a score of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from assay import testing
from assay.media import Image
from assay.models.hf import Backbone
from assay.records import Message, Record, Response
from assay.scores import Status

EVERY: dict[str, Callable[[], Backbone]] = {
    "text": testing.tiny_text,
    "text without template": lambda: testing.tiny_text(chat=False),
    "llava": testing.tiny_llava,
    "idefics3": testing.tiny_idefics3,
    "paligemma": testing.tiny_paligemma,
    "gemma3": testing.tiny_gemma3,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
}


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_response_has_a_score_of_its_own(name: str) -> None:
    reward = testing.learned_reward(EVERY[name]())
    empty = [Response((Message("assistant", ()),)), ""]
    scores = reward([Record.of("why?", ["because", *empty]), Record.of("what?", [""])])
    assert set(scores.status) == {Status.OK}
    filled, nothing, blank, other = scores.values.tolist()
    assert nothing == pytest.approx(blank, abs=1e-5)
    assert abs(filled - nothing) > 1e-3
    assert abs(other - nothing) > 1e-3
    alone = reward([Record.of("why?", [""])]).values
    torch.testing.assert_close(alone[0], scores.values[2], rtol=0, atol=1e-5)


def test_the_frame_of_an_empty_turn_stays() -> None:
    reward = testing.learned_reward()
    (sequence,), *_ = reward.prepare([Record.of("why?", [""])]).batch.groups
    text = reward.backbone.tokenizer.decode(sequence.ids)
    assert text == "<|im_start|>user\nwhy?<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n"
    assert sequence.reads.tolist() == [len(sequence.ids) - 1]


def test_an_empty_prompt_is_scored(picture: Callable[..., Image]) -> None:
    for build in EVERY.values():
        reward = testing.learned_reward(build())
        scores = reward([Record.of("", ["yes", "no"]), Record.of((), ["yes"])])
        assert set(scores.status) == {Status.OK}, scores.messages
        assert scores.values[0] != scores.values[1]
    seen = testing.learned_reward(testing.tiny_llava())([Record.of([picture()], ["a square"])])
    assert seen.status == (Status.OK,)


def test_a_response_without_any_message_is_the_prompt_alone() -> None:
    scores = testing.learned_reward()([Record.of("why?", [Response(())])])
    assert scores.status == (Status.OK,)
    nothing = testing.learned_reward()([Record("r", (), (Response(()),))])
    assert nothing.status == (Status.INVALID,)
    assert nothing.messages[0]
