"""Odds of labels: against tokens sampled and parsed, and both orders of a pair as one row against one after another."""

from __future__ import annotations

from typing import Any, cast

import torch

from assay.models.answering import LocalModel
from assay.models.asking import Odds, Prompt
from assay.models.families import family_of
from assay.models.generate import generator_from
from assay.models.hf import backbone_from
from assay.records import Record
from assay.records.record import messages_of
from assay.testing import tiny_tokenizer
from measure import Row, flops, interleaved, medians, peak_bytes, ratio
from models import smollm2

WRITTEN = 64
ANSWER = 64
LAYERS = 30
FEWER = 8
LABELS = ("Y", "N")
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)


def asked(layers: int) -> LocalModel:
    """SmolLM2-135M's configuration under its output layer, the first ``layers`` of its 30 layers, asked in process."""
    from transformers import AutoModelForCausalLM

    base = smollm2(layers)
    model = cast("Any", AutoModelForCausalLM).from_config(base.config, attn_implementation="sdpa")
    model.base_model.load_state_dict(base.state_dict())
    model.tie_weights()
    tokenizer = tiny_tokenizer(_CHATML, special=("<|im_start|>", "<|im_end|>"))
    backbone = backbone_from(model.base_model, tokenizer, max_length=8192)
    return LocalModel(generator_from(model.eval(), backbone, max_new_tokens=WRITTEN))


def words(model: LocalModel, tokens: int, seed: int) -> str:
    """About so many tokens of text."""
    generator = torch.Generator().manual_seed(seed)
    known = ["the", "answer", "shape", "is", "red", "people", "write", "letters", "weather", "picture", "no", "yes"]
    text: list[str] = []
    count = 0
    while count < tokens:
        text.append(known[int(torch.randint(len(known), (1,), generator=generator))])
        count += len(model.model.backbone.tokenizer(f" {text[-1]}")["input_ids"])
    return " ".join(text)


def length(model: LocalModel, prompt: Prompt) -> int:
    """Tokens of a prompt, the frame of the answering turn included."""
    return model.model.prefix(Record("0", prompt, ())).ids.numel()


def difference(model: LocalModel, prompts: list[Prompt], odds: list[Odds]) -> float:
    """The largest difference from log-probabilities of plain forwards of the whole model."""
    module: Any = model.model.module
    worst = 0.0
    for prompt, found in zip(prompts, odds, strict=True):
        ids = model.model.prefix(Record("0", prompt, ())).ids.tolist()
        for label, value in zip(LABELS, found.logprobs, strict=True):
            own = model.model.backbone.tokenizer(label, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                table = module(torch.tensor([[*ids, *own]])).logits[0].log_softmax(-1)
            alone = sum(float(table[len(ids) - 1 + place, token]) for place, token in enumerate(own))
            worst = max(worst, abs(alone - value))
    return worst


def work(model: LocalModel, tokens: float, pairs: float) -> float:
    """Arithmetic of the backbone for so many tokens and attention pairs."""
    shape = family_of(model.model.module).shape
    return flops(shape.weights, shape.layers, shape.width, tokens, pairs)


def against_sampling(model: LocalModel, tokens: int, goal: float | None, repeats: int) -> Row:
    """The odds of two labels against an answer of 64 tokens, which would still have to be parsed."""
    prompts = [messages_of(words(model, tokens - 12, tokens), "user")]
    count = length(model, prompts[0])
    written = model.answer(prompts)[0][0].cost.written
    seconds = interleaved(
        {"odds": lambda: model.label_odds(prompts, LABELS), "sampled": lambda: model.answer(prompts)}, repeats
    )
    whole = count + written
    return Row(
        benchmark="label_odds",
        cell=f"{len(LABELS)} labels of a token behind {count:,} tokens",
        baseline=f"{written} sampled tokens",
        ratio=ratio(seconds, "odds", "sampled"),
        goal=goal,
        limit=work(model, whole, whole * (whole + 1) / 2) / work(model, count, count * (count + 1) / 2),
        difference=difference(model, prompts, model.label_odds(prompts, LABELS)),
        difference_goal=1e-3,
        memory=peak_bytes(lambda: model.label_odds(prompts, LABELS)) / peak_bytes(lambda: model.answer(prompts)),
        seconds=medians(seconds),
        note=f"{family_of(model.model.module).shape.layers} of {LAYERS} layers; limit counts arithmetic only",
    )


def both_orders(model: LocalModel, tokens: int, goal: float | None, repeats: int) -> Row:
    """Both orders of a pair as two branches of one row against one order after the other."""
    first, second = words(model, ANSWER, 1), words(model, ANSWER, 2)
    question = words(model, tokens - 2 * ANSWER - 32, tokens)
    prompts = [messages_of(f"{question}\n1: {a}\n2: {b}\n", "user") for a, b in ((first, second), (second, first))]
    counts = [length(model, prompt) for prompt in prompts]
    seconds = interleaved(
        {
            "together": lambda: model.label_odds(prompts, LABELS),
            "apart": lambda: [model.label_odds([prompt], LABELS) for prompt in prompts],
        },
        repeats,
    )
    found = model.label_odds(prompts, LABELS)
    shared = max(odds.cost.cached for odds in found)
    own = sum(count - shared for count in counts)
    pairs = shared * (shared + 1) / 2 + sum((count - shared) * (count + shared + 1) / 2 for count in counts)
    apart = work(model, sum(counts), sum(count * (count + 1) / 2 for count in counts))
    return Row(
        benchmark="label_odds",
        cell=f"both orders, {counts[0]:,} tokens each, {shared:,} in common",
        baseline="one order after the other",
        ratio=ratio(seconds, "together", "apart"),
        goal=goal,
        limit=apart / work(model, shared + own, pairs),
        difference=difference(model, prompts, found),
        difference_goal=1e-3,
        memory=peak_bytes(lambda: model.label_odds(prompts, LABELS))
        / peak_bytes(lambda: model.label_odds(prompts[:1], LABELS)),
        seconds=medians(seconds),
        note=f"{family_of(model.model.module).shape.layers} of {LAYERS} layers",
    )


def rows(quick: bool) -> list[Row]:
    """The goals: 3 times cheaper than 64 sampled tokens behind up to 512, 1.6 times for both orders at 1,024 tokens.

    Behind more tokens reading them is most of the work of either way: the ratio goes to 1, and the goal ends.
    """
    fewer = asked(4 if quick else FEWER)
    if quick:
        return [against_sampling(fewer, 256, 3.0, 3), both_orders(fewer, 1024, 1.6, 3)]
    swapped = both_orders(fewer, 1024, 1.6, 5)
    whole = asked(LAYERS)
    goals = {256: 3.0, 512: 3.0, 1024: None}
    return [*(against_sampling(whole, tokens, goal, 3) for tokens, goal in goals.items()), swapped]
