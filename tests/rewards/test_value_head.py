"""LLaMA-Factory's reward checkpoints score as TRL's value-head model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

import assay
from assay import testing
from assay.models.checkpoint import CheckpointError
from assay.records import Record

RECORDS = [Record.of("why?", ["because", "because it is so", "no"])]


def written(place: Path, *, adapter: bool, side: str = "right") -> tuple[Any, nn.Linear, Any]:
    tokenizer = testing.tiny_text().tokenizer
    tokenizer.padding_side = side
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
    base = place / "base" if adapter else place
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    if adapter:
        config = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
        model.peft_config["default"].base_model_name_or_path = str(base)
        model.save_pretrained(place)
    summary = nn.Linear(64, 1)
    head = {"v_head.summary.weight": summary.weight.detach(), "v_head.summary.bias": summary.bias.detach()}
    save_file(head, place / "value_head.safetensors")
    return model, summary, tokenizer


@pytest.mark.parametrize(("adapter", "side"), [(False, "right"), (False, "left"), (True, "right"), (True, "left")])
@torch.no_grad()
def test_it_scores_as_the_value_head_model(adapter: bool, side: str, tmp_path: Path) -> None:
    model, summary, tokenizer = written(tmp_path, adapter=adapter, side=side)
    expected = []
    for response in RECORDS[0].responses:
        chat = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": response.text}]
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=False)
        hidden = model(ids, output_hidden_states=True).hidden_states[-1]
        expected.append(summary(hidden[0, -1])[0])
    reward = assay.load(str(tmp_path), device="cpu")
    torch.testing.assert_close(reward(RECORDS).values, torch.stack(expected), rtol=0, atol=1e-5)


def test_a_head_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    written(tmp_path, adapter=False)
    save_file({"v_head.summary.weight": torch.zeros(1, 32)}, tmp_path / "value_head.safetensors")
    with pytest.raises(CheckpointError, match="a value head of this backbone"):
        assay.load(str(tmp_path), device="cpu")
