"""The learned rewards inside a composition, changed in place of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from assay.models.hf import Backbone
from assay.rewards.base import Reward
from assay.rewards.learned import LearnedReward


def with_learned(reward: Reward, change: Callable[[LearnedReward], LearnedReward]) -> Reward:
    """The same composition with each learned reward in it changed: in chains, combinations, and other dataclasses that
    hold rewards in their fields, also in tuples, lists and mappings of them."""
    return cast("Reward", _changed(reward, change))


def keeping_prefixes(reward: Reward, max_bytes: int) -> Reward:
    """The same composition, in which each learned reward keeps what it read of prompts (`LearnedReward.keeping`); those
    that read no prompt token by token stay as they are."""

    def keep(learned: LearnedReward) -> LearnedReward:
        return learned.keeping(max_bytes) if isinstance(learned.backbone, Backbone) else learned

    return with_learned(reward, keep)


def _changed(value: Any, change: Callable[[LearnedReward], LearnedReward]) -> Any:
    if isinstance(value, LearnedReward):
        return change(value)
    if isinstance(value, tuple | list):
        items = [_changed(item, change) for item in cast("list[Any]", value)]
        return type(value)(items) if _differ(items, cast("list[Any]", value)) else value
    if isinstance(value, Mapping):
        held = cast("Mapping[Any, Any]", value)
        made = {key: _changed(item, change) for key, item in held.items()}
        return made if _differ(made.values(), held.values()) else cast("Any", value)
    if is_dataclass(value) and not isinstance(value, type):
        own = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
        made = {name: _changed(item, change) for name, item in own.items()}
        different = {name: item for name, item in made.items() if item is not own[name]}
        return replace(value, **different) if different else value
    return value


def _differ(made: Any, own: Any) -> bool:
    return any(new is not old for new, old in zip(made, own, strict=True))
