"""All steps of a response in one forward: each is what the response cut there gives, in every causal class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from assay import testing
from assay.media import Image, Text, Video
from assay.models.hf import Backbone, backbone_from
from assay.models.reading import every_response_token, last, step_ends
from assay.models.sharing import padded, shared
from assay.records import Message, Record, Response
from assay.records.record import StepEnd
from assay.records.steps import lines, up_to_step
from assay.scores import Status
from assay.worlds.films import tune, video_records

FAMILIES: dict[str, Callable[[], Backbone]] = {
    "text": testing.tiny_text,
    "plain": lambda: testing.tiny_text(chat=False),
    "llava": testing.tiny_llava,
    "idefics3": testing.tiny_idefics3,
    "smolvlm": testing.tiny_smolvlm,
    "paligemma": testing.tiny_paligemma,
    "gemma3": testing.tiny_gemma3,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
    "qwen2_audio": testing.tiny_qwen2_audio,
}
STEPS = ("It is red.", "So yes <|im_end|> <eos>", "the answer is one", "done")


def states(backbone: Backbone, record: Record, **options: Any) -> list[torch.Tensor]:
    prepared = backbone.prepare([record], read=step_ends)
    assert set(prepared.status) == {Status.OK}, prepared.messages
    with torch.no_grad():
        return backbone.encode(prepared.batch, **options)


def record_for(name: str, backbone: Backbone, picture: Callable[..., Image]) -> Record:
    other = Response.from_steps(("It is blue.", "no"))
    if backbone.pictures is None:
        return Record.of("why is it?", [Response.from_steps(STEPS), other])
    if name == "paligemma":
        return Record.of([picture(64, 48), "why is it?"], [Response.from_steps(STEPS), other])
    if name == "qwen2_audio":
        return Record.of([tune(["low", "high"]), "why is it?"], [Response.from_steps(STEPS), other])
    parts = (Text("first I look\n"), picture(48, 64, seed=2), Text("it is red\nso yes"))
    ends = (StepEnd(0, 0, 12), StepEnd(0, 1), StepEnd(0, 2, 9), StepEnd(0, 2, 16))
    return Record.of([picture(64, 48), "why is it?"], [Response((Message("assistant", parts),), ends), other])


@pytest.mark.parametrize("layout", [padded, shared, None], ids=["padded", "shared", "chosen"])
@pytest.mark.parametrize("name", FAMILIES)
def test_each_step_is_as_the_response_cut_there(name: str, layout: Any, picture: Callable[..., Image]) -> None:
    backbone = FAMILIES[name]()
    record = record_for(name, backbone, picture)
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(backbone.hidden_size, generator=generator) / backbone.hidden_size**0.5
    for response, found in zip(record.responses, states(backbone, record, layout=layout), strict=True):
        assert len(found) == len(response.step_ends)
        for step in range(len(response.step_ends)):
            (alone,) = states(backbone, Record.of(record.prompt, [up_to_step(response, step)]), layout=padded)
            assert len(alone) == step + 1
            torch.testing.assert_close(found[step] @ head, alone[-1] @ head, rtol=0, atol=1e-5)
    assert float(states(backbone, record)[0].std(0).mean()) > 0.01


def test_a_video_in_a_response_belongs_to_its_step() -> None:
    backbone = testing.tiny_qwen2_5_vl()
    (film,) = video_records(1, seed=1)
    video = next(part for part in film.parts() if isinstance(part, Video))
    said = Response((Message("assistant", (Text("look:"), video, Text("it moves"))),), ())
    marked = Response(said.messages, lines(said))
    assert marked.step_ends == (StepEnd(0, 1), StepEnd(0, 2, 8))
    record = Record.of("why?", [marked])
    (found,) = states(backbone, record)
    for step in range(2):
        (alone,) = states(backbone, Record.of("why?", [up_to_step(marked, step)]))
        torch.testing.assert_close(found[: step + 1], alone, rtol=0, atol=1e-4)


def test_a_model_that_reads_in_both_directions_has_no_steps() -> None:
    tokenizer = testing.tiny_tokenizer()
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = BertConfig(vocab_size=len(tokenizer), num_attention_heads=2, **sizes)
    torch.manual_seed(0)
    backbone = backbone_from(BertModel(config), tokenizer)
    record = Record.of("why?", [Response.from_steps(["one", "two"])])
    refused = backbone.prepare([record, record], read=step_ends)
    assert refused.status == (Status.INVALID,) * 2
    assert "BertModel reads in both directions" in refused.messages[0]
    assert not refused.batch.groups
    for where in (last, every_response_token):
        assert backbone.prepare([record], read=where).status == (Status.OK,)


def test_a_model_in_training_is_judged_without_its_dropout() -> None:
    backbone = testing.tiny_text(attention_dropout=0.5)
    backbone.module.train()
    assert backbone.prepare([Record.of("q", [Response.from_steps(["a"])])], read=step_ends).status == (Status.OK,)
    assert backbone.module.training
