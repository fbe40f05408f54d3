"""Rewards that LLaMA-Factory's reward stage wrote: a model or an adapter, and its value head in a file of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from assay.models.adapters import putting_on_adapters
from assay.models.checkpoint import CheckpointError, read_header, safetensors_file
from assay.models.heads import ScalarHead
from assay.models.hf import Backbone, backbone_from, load_backbone, load_module, located, read_tokenizer
from assay.models.pictures import pil_processor
from assay.models.placement import Placement, placement
from assay.rewards.learned import LearnedReward

_WEIGHT, _BIAS = "v_head.summary.weight", "v_head.summary.bias"


def has_value_head(directory: Path) -> bool:
    """Whether a directory holds such a head."""
    return (directory / "value_head.safetensors").is_file()


def load_value_head(
    directory: Path, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto"
) -> LearnedReward:
    """The reward ``summary(h_last)`` of TRL's value-head model, scored by the tokenizer's chat template.

    Where the directory holds an adapter, its backbone is the one that ``adapter_config.json`` names.

    Raises:
        CheckpointError: the head is not one of a value-head model, or does not fit the backbone.
    """
    file = safetensors_file(directory, "value_head")
    adapted = (directory / "adapter_config.json").is_file()
    where = placement(device, dtype)
    backbone = _merged(directory, where) if adapted else load_backbone(directory, device=device, dtype=dtype)
    wanted = {_WEIGHT: (1, backbone.hidden_size), _BIAS: (1,)}
    held = {name: shape for name, (_, shape) in read_header(file).items()}
    if {name: held.get(name) for name in wanted} != wanted:
        raise CheckpointError(f"{file}: holds {held}, but a value head of this backbone is {wanted}")
    return LearnedReward(backbone, _head(file, backbone.hidden_size))


def _merged(directory: Path, where: Placement) -> Backbone:
    """The named backbone with the adapter merged in: into the generating class, by whose names adapters are stored."""
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    settings = json.loads((directory / "adapter_config.json").read_text(encoding="utf-8"))
    base = located(settings["base_model_name_or_path"])
    read_header(safetensors_file(directory, "adapter_model"))
    config = cast("Any", AutoConfig).from_pretrained(base, local_files_only=True, trust_remote_code=False)
    takes_pictures = getattr(config, "vision_config", None) is not None
    model = load_module(base, where, kind=AutoModelForImageTextToText if takes_pictures else AutoModelForCausalLM)
    with putting_on_adapters():
        merged = cast("Any", PeftModel).from_pretrained(model, str(directory), is_trainable=False).merge_and_unload()
    module = cast("nn.Module", getattr(merged, str(merged.base_model_prefix)))
    processor = pil_processor(base, local_files_only=True) if takes_pictures else None
    tokenizer = read_tokenizer(directory if (directory / "tokenizer_config.json").is_file() else base)
    return backbone_from(module, tokenizer, processor, source=str(directory), where=where)


def _head(file: Path, hidden: int) -> ScalarHead:
    from safetensors.torch import load_file

    weights = load_file(file)
    head = ScalarHead(hidden, bias=True)
    with torch.no_grad():
        head.linear.weight.copy_(weights[_WEIGHT])
        head.linear.bias.copy_(weights[_BIAS])
    return head
