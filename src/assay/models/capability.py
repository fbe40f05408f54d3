"""Whether a backbone can share a prompt exactly, and what a forward of it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

_SHAREABLE_LAYERS = frozenset({"full_attention", "sliding_attention"})


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a language model, for estimates.

    ``weights``: parameters every token is multiplied with (all but embeddings); ``layers``; ``width``: query heads
    times head size; ``key_width``: key heads times head size; ``device``: the kind of device it is on.
    """

    weights: int
    layers: int
    width: int
    key_width: int
    device: str = "cpu"


def shape_of(text: nn.Module) -> Shape:
    """The size of a language model, from its weights and configuration."""
    config: Any = getattr(text, "config", None)
    weights = sum(
        weight.numel()
        for module in text.modules()
        if not isinstance(module, nn.Embedding)
        for weight in module.parameters(recurse=False)
    )
    heads = int(getattr(config, "num_attention_heads", 0) or 1)
    hidden = int(getattr(config, "hidden_size", 0) or 1)
    head = int(getattr(config, "head_dim", 0) or hidden // heads)
    keys = int(getattr(config, "num_key_value_heads", 0) or heads)
    layers = int(getattr(config, "num_hidden_layers", 0) or 1)
    device = next((weight.device.type for weight in text.parameters()), "cpu")
    return Shape(weights=weights, layers=layers, width=heads * head, key_width=keys * head, device=device)


def why_not(model: nn.Module, text: nn.Module, *, prefix_lm: bool = False) -> str:
    """Why a prompt cannot be shared exactly by this model; empty when nothing speaks against it.

    ``prefix_lm``: the class declares its text part bidirectional, but masks it so that only the prompt is (PaliGemma).
    """
    checks = (_prompt_learning(model), _recurrent(text), _layer_kinds(text), _attention(text))
    reasons = [*checks, "" if prefix_lm else _bidirectional(text)]
    return next((reason for reason in reasons if reason), "")


def _prompt_learning(model: nn.Module) -> str:
    configs: dict[str, Any] = getattr(model, "peft_config", None) or {}
    learned = [name for name, config in configs.items() if getattr(config, "is_prompt_learning", False)]
    return f"adapter {learned[0]!r} prepends learned tokens inside the model" if learned else ""


def _recurrent(text: nn.Module) -> str:
    if getattr(text, "_is_stateful", False):
        return f"{type(text).__name__} has recurrent layers: their state would run from one response into the next"
    mixers = sorted({type(module).__name__ for module in text.modules() if isinstance(module, nn.Conv1d)})
    return f"{type(text).__name__} has convolutions over the sequence, which cross response borders" if mixers else ""


def _layer_kinds(text: nn.Module) -> str:
    kinds: Sequence[str] = getattr(getattr(text, "config", None), "layer_types", None) or ()
    other = sorted(set(kinds) - _SHAREABLE_LAYERS)
    return f"{type(text).__name__} has layers of kind {', '.join(other)}" if other else ""


def _bidirectional(text: nn.Module) -> str:
    config: Any = getattr(text, "config", None)
    declared = getattr(config, "use_bidirectional_attention", False) or getattr(config, "is_causal", True) is False
    found = any(getattr(module, "is_causal", True) is False for module in text.modules())
    return (
        f"{type(text).__name__} is bidirectional: a prompt token's state depends on the response"
        if (declared or found)
        else ""
    )


def _attention(text: Any) -> str:
    name = type(text).__name__
    can_set = getattr(type(text), "_can_set_attn_implementation", None)
    if can_set is None or not can_set() or not getattr(text, "_supports_attention_backend", False):
        return f"{name} does not take its attention through the framework's attention hook"
    softcap = getattr(text.config, "attn_logit_softcapping", None)
    if not getattr(text, "_supports_sdpa", False) and softcap is None:
        return f"{name} has attention that scaled_dot_product_attention cannot express"
    return ""
