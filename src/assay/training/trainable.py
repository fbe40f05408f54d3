"""What of a reward is trained: flags, formats and modes of its weights."""

from __future__ import annotations

from torch import nn

from assay.models.families import base_of
from assay.rewards.learned import LearnedReward
from assay.training.freeze import backbone
from assay.training.lora import with_adapters
from assay.training.settings import Settings


def frozen_weights(reward: LearnedReward, settings: Settings) -> set[int]:
    """The identities of the weights that stay as they are: what is frozen, what the head fixes, and, beside adapters,
    all of the backbone's own."""
    fixed = (weight for weight in reward.head.parameters() if not weight.requires_grad)
    whole = backbone(reward) if settings.lora is not None else ()
    return {id(weight) for weight in (*settings.freeze(reward), *fixed, *whole)}


def trainable(reward: LearnedReward, settings: Settings) -> LearnedReward:
    """The reward with the chosen weights to train, in float32, and adapters if there are any."""
    frozen = frozen_weights(reward, settings)
    for weight in reward.model.parameters():
        weight.requires_grad_(id(weight) not in frozen)
    if settings.lora is not None:
        reward = with_adapters(reward, settings.lora)
    for weight in reward.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    if settings.recompute:
        base = base_of(reward.backbone.module)
        enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return reward


def release(reward: LearnedReward, settings: Settings) -> None:
    """Keep activations again."""
    if settings.recompute:
        base = base_of(reward.backbone.module)
        disable = getattr(base, "activation_checkpointing_disable", None) or base.gradient_checkpointing_disable
        disable()
        base.disable_input_require_grads()


def train_mode(model: nn.Module) -> None:
    """Training mode for what is trained: a part without a trained weight keeps its dropout off."""
    model.train()
    for part in model.modules():
        weights = list(part.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            part.eval()
