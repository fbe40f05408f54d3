"""Which weights stay as they are. Each function takes a learned reward and yields the weights that are not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, cast

from torch import nn

from assay.models.families import base_of, family_of, text_part, tower_parts
from assay.models.towers import TowersModule
from assay.rewards.learned import LearnedReward

Freeze: TypeAlias = Callable[[LearnedReward], Iterable[nn.Parameter]]


def nothing(reward: LearnedReward) -> Iterator[nn.Parameter]:
    """Every weight is trained."""
    return iter(())


def backbone(reward: LearnedReward) -> Iterator[nn.Parameter]:
    """Only the head is trained. The hidden states it reads are computed once and kept across epochs."""
    return reward.backbone.module.parameters()


def vision(reward: LearnedReward) -> Iterator[nn.Parameter]:
    """The vision tower and its projector stay: each picture's features are computed once and kept across epochs.

    Raises:
        ValueError: the backbone takes no pictures.
    """
    family = family_of(reward.backbone.module)
    if not family.tower_parts:
        raise ValueError(f"{family.name} has no vision tower to freeze")
    for part in tower_parts(family, base_of(reward.backbone.module)):
        yield from part.parameters()


def models(*names: str) -> Freeze:
    """The named models of a backbone of towers stay: each of their texts and media is encoded once.

    Raises (when called):
        ValueError: the backbone is not made of towers, or has no model of that name.
    """

    def freeze(reward: LearnedReward) -> Iterator[nn.Parameter]:
        base = base_of(reward.backbone.module)
        held = base.models if isinstance(base, TowersModule) else {}
        missing = [name for name in names if name not in held]
        if missing:
            raise ValueError(f"the backbone has no tower model {missing[0]!r}; it has {', '.join(held) or 'none'}")
        for name in names:
            yield from held[name].parameters()

    return freeze


def first_layers(count: int) -> Freeze:
    """The input embeddings and the first ``count`` layers of the language model stay.

    Raises (when called):
        ValueError: the model has fewer layers, or keeps them in a way not known here.
    """

    def freeze(reward: LearnedReward) -> Iterator[nn.Parameter]:
        base = base_of(reward.backbone.module)
        layers = getattr(text_part(base), "layers", None)
        if not isinstance(layers, nn.ModuleList) or count > len(layers):
            have = len(layers) if isinstance(layers, nn.ModuleList) else "no list of"
            raise ValueError(f"cannot freeze {count} layers: {type(base).__name__} has {have} layers")
        yield from cast("nn.Module", base.get_input_embeddings()).parameters()
        yield from layers[:count].parameters()

    return freeze


def together(*parts: Freeze) -> Freeze:
    """All that any of them freezes."""

    def freeze(reward: LearnedReward) -> Iterator[nn.Parameter]:
        for part in parts:
            yield from part(reward)

    return freeze
