"""Language models as generators: what they say next, for every class, and that nothing but the seed decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from assay import testing
from assay.curation.step_labels import monte_carlo
from assay.media import Image, Text
from assay.models.generate import LanguageModel, generator_from, load_generator
from assay.models.hf import Backbone
from assay.records import Message, Record, Response, StepLabels
from assay.records.steps import split_steps

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
}


def whole(backbone: Backbone) -> Any:
    """The tiny backbone under an output layer."""
    kind: Any = AutoModelForCausalLM if backbone.pictures is None else AutoModelForImageTextToText
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = kind.from_config(backbone.config)
    model.base_model.load_state_dict(backbone.module.state_dict())
    torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.3, generator=torch.Generator().manual_seed(2))
    return model.eval()


def generator(name: str = "text", **options: Any) -> LanguageModel:
    backbone = FAMILIES[name]()
    return generator_from(whole(backbone), backbone, **{"max_new_tokens": 6, **options})


def likeliest(model: LanguageModel, record: Record, count: int) -> str:
    """The likeliest tokens one by one, each from a forward of the whole sequence by the scoring engine."""
    backbone = model.backbone
    text = record.responses[0].text
    head: Any = model.module
    for _ in range(count):
        answer = replace(record, responses=(Response.from_steps([text]),))
        prepared = backbone.prepare([answer], read=lambda marked: marked.steps)
        with torch.no_grad():
            (states,) = backbone.encode(prepared.batch)
            logits = head.get_output_embeddings()(states[-1])
        text += backbone.tokenizer.decode([int(logits.argmax())], skip_special_tokens=True)
    return text


@pytest.mark.parametrize("name", FAMILIES)
def test_the_next_token_is_the_likeliest_that_scoring_sees(name: str, picture: Callable[..., Image]) -> None:
    model = generator(name, temperature=0.0, max_new_tokens=1)
    shown = [] if model.backbone.pictures is None else [picture(64, 48), picture(48, 64, seed=2)]
    record = Record.of([*shown, "why is it?"], [Response.from_steps(["it is"])])
    ((first, second),) = model.generate([record], 2)
    assert first == second
    assert first.text == likeliest(model, record, 1)
    assert first.text.startswith("it is")
    assert first.step_ends == record.responses[0].step_ends


def test_nothing_said_begins_the_answer() -> None:
    model = generator(temperature=0.0)
    record = Record.of("why?", [])
    ((found,),) = model.generate([record], 1)
    ((same,),) = model.generate([Record.of("why?", [""])], 1)
    assert found == same
    assert len(found.messages) == 1
    assert found.messages[0].role == "assistant"
    assert found.text


def test_a_seed_decides_a_completion_whatever_is_beside_it() -> None:
    model = generator(max_new_tokens=8)
    records = [Record.of("why?", ["because"]), Record.of("how?", ["so"])]
    together = model.generate(records, 4, 7)
    assert together == [model.generate([record], 4, 7)[0] for record in records]
    assert [row[:2] for row in together] == model.generate(records, 2, 7)
    assert together != model.generate(records, 4, 8)
    assert len({response.text for response in together[0]}) > 1


def test_sampling_follows_the_model_s_probabilities() -> None:
    model = generator(max_new_tokens=1, temperature=0.7)
    record = Record.of("why?", ["because"])
    n = 1500
    found = [response.text for response in model.generate([record], n)[0]]
    prepared = model.backbone.prepare([Record.of("why?", [Response.from_steps(["because"])])], read=lambda m: m.steps)
    head: Any = model.module
    with torch.no_grad():
        logits = head.get_output_embeddings()(model.backbone.encode(prepared.batch)[0][-1]) / 0.7
    likely = int(logits.argmax())
    share = float(logits.softmax(-1)[likely])
    text = "because" + model.backbone.tokenizer.decode([likely], skip_special_tokens=True)
    assert found.count(text) / n == pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5 + 0.01)
    only = replace(model, top_p=1e-6).generate([record], 20)[0]
    assert {response.text for response in only} == {text}


def test_an_answer_stops_where_the_template_ends_a_turn() -> None:
    model = generator(temperature=0.0, max_new_tokens=8)
    end = model.backbone.tokenizer.convert_tokens_to_ids("<|im_end|>")
    head: Any = model.module
    with torch.no_grad():
        head.get_output_embeddings().weight[end] = 0
        record = Record.of("why?", ["because"])
        longer = model.generate([record], 1)[0][0].text
        states = model.backbone.encode(
            model.backbone.prepare(
                [Record.of("why?", [Response.from_steps(["because"])])], read=lambda m: m.steps
            ).batch
        )[0][-1]
        head.get_output_embeddings().weight[end] = states * 10
    assert longer != "because"
    assert model.generate([record], 1)[0][0].text == "because"


def test_a_tool_s_answer_is_followed_by_a_new_message() -> None:
    model = generator(temperature=0.0)
    said = Response((Message("assistant", (Text("look"),)), Message("tool", (Text("42"),))))
    ((found,),) = model.generate([Record.of("why?", [said])], 1)
    assert found.messages[:2] == said.messages
    assert found.messages[2].role == "assistant"


def test_steps_are_labelled_by_a_real_model() -> None:
    model = generator(max_new_tokens=4)
    record = split_steps(Record.of("why?", ["because\nit is\nso"]))
    label = monte_carlo(model, lambda _, response: len(response.text) % 2 == 0, 4)
    (labels,) = label(record).feedback
    assert isinstance(labels, StepLabels)
    assert len(labels.labels) == 3
    assert label(record) == label(record)
    assert all(value in (0, 0.25, 0.5, 0.75, 1) for value in labels.labels)


@pytest.mark.parametrize("name", ["text", "idefics3"])
def test_a_generator_loads_from_a_directory(name: str, tmp_path: Path) -> None:
    model = generator(name, temperature=0.0)
    module: Any = model.module
    module.save_pretrained(tmp_path)
    model.backbone.tokenizer.save_pretrained(tmp_path)
    if model.backbone.pictures is not None:
        model.backbone.pictures.processor.save_pretrained(tmp_path)
    loaded = load_generator(tmp_path, temperature=0.0, max_new_tokens=6)
    record = Record.of("why?", ["because"])
    assert loaded.generate([record], 1) == model.generate([record], 1)
    assert loaded.name == str(tmp_path)


def test_what_cannot_be_generated_is_refused() -> None:
    model = generator()
    with pytest.raises(ValueError, match="one response, or none"):
        model.generate([Record.of("q", ["a", "b"])], 1)
    with pytest.raises(ValueError, match="at least 1 completion"):
        model.generate([Record.of("q", [])], 0)
    with pytest.raises(ValueError, match="top_p"):
        replace(model, top_p=0.0)
    with pytest.raises(ValueError, match="no output layer"):
        generator_from(model.backbone.module, model.backbone)
