"""Low-rank adapters by peft: put on the language model for training, merged into its weights after it."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from assay.models.adapters import putting_on_adapters
from assay.models.families import base_of, text_part
from assay.rewards.learned import LearnedReward
from assay.training.settings import Lora


def with_adapters(reward: LearnedReward, lora: Lora) -> LearnedReward:
    """The reward with adapters on the linear layers of its language model; it shares all weights with the given one.

    Raises:
        ImportError: peft is not installed.
        ValueError: ``targets`` fit no linear layer of the language model.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ImportError("LoRA needs peft: pip install 'assay[train]'") from error
    names = _targets(reward.backbone.module, lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=cast("Any", lora.alpha), lora_dropout=lora.dropout, target_modules=names, bias="none"
    )
    with putting_on_adapters():
        module = cast("nn.Module", get_peft_model(cast("Any", reward.backbone.module), config))
    return _around(reward, module)


def merged(reward: LearnedReward) -> LearnedReward:
    """The reward with ``W + (alpha / rank) B A`` as plain weights of the backbone."""
    return _around(reward, cast("nn.Module", cast("Any", reward.backbone.module).merge_and_unload()))


def without_adapters(reward: LearnedReward) -> LearnedReward:
    """The reward with its adapters taken off, its own weights as they were."""
    return _around(reward, cast("nn.Module", cast("Any", reward.backbone.module).unload()))


def _around(reward: LearnedReward, module: nn.Module) -> LearnedReward:
    made = reward.replace(backbone=reward.backbone.with_module(module))
    made.model.features = reward.model.features
    return made


def _targets(module: nn.Module, ends: tuple[str, ...]) -> list[str]:
    base = cast("nn.Module", base_of(module))
    inside = {id(layer) for layer in text_part(base).modules() if isinstance(layer, nn.Linear)}
    linear = [name for name, layer in base.named_modules() if id(layer) in inside]
    chosen = [name for name in linear if not ends or any(f".{name}".endswith(f".{end}") for end in ends)]
    if not chosen:
        shown = sorted({name.rsplit(".", 1)[-1] for name in linear})
        raise ValueError(f"no linear layer of the language model ends in {ends}; there are {shown}")
    return chosen
