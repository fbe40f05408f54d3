"""Ensembles of learned rewards.

By seed: ``combine(*rewards, by=ensemble())`` of rewards trained from different seeds. By head: a reward with an
`EnsembleHead`, one forward for all members. By adapter: `adapter_ensemble`, one copy of the backbone and one low-rank
adapter and head a member.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from assay.models.adapters import putting_on_adapters
from assay.models.checkpoint import CheckpointError
from assay.records import Record
from assay.rewards import saving
from assay.rewards.base import name_of
from assay.rewards.learned import LearnedReward
from assay.scores import Scores
from assay.spec import Spec, merge
from assay.transforms.combine import AbstainRule, Combine, any_abstains, ensemble


@dataclass(frozen=True)
class _AdapterEnsemble:
    members: Mapping[str, LearnedReward]
    by: Combine
    abstain: AbstainRule

    @property
    def _module(self) -> Any:
        return next(iter(self.members.values())).backbone.module

    @property
    def spec(self) -> Spec:
        specs = [member.spec for member in self.members.values()]
        after = cast("Callable[..., Spec] | None", getattr(self.by, "spec_after", None))
        spec = merge(specs) if after is None else after(*specs)
        heads = [member.head for member in self.members.values()]
        weights = {id(w): w for part in (self._module, *heads) for w in (*part.parameters(), *part.buffers())}
        memory = sum(weight.numel() * weight.element_size() for weight in weights.values())
        return replace(spec, differentiable=False, memory_bytes=memory)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        module = self._module
        before = module.active_adapter
        try:
            found: list[Scores] = []
            for name, member in self.members.items():
                module.set_adapter(name)
                found.append(member(records))
        finally:
            module.set_adapter(before)
        return self.abstain(found, self.by(found))

    def __repr__(self) -> str:
        return f"adapter_ensemble({len(self.members)} members, by={name_of(self.by)})"


def switched(
    reward: LearnedReward,
    heads: Mapping[str, nn.Module],
    *,
    by: Combine | None = None,
    abstain: AbstainRule = any_abstains,
) -> _AdapterEnsemble:
    """One reward of several adapters that ``reward``'s backbone holds: each scores with its own head, in turn.

    ``heads`` by the adapters' names. ``by`` is `ensemble` of ``k = 0``: the mean, with the spread as std. What a frozen
    picture tower computed is shared by the members. The adapter that was active before is active after a call.

    Raises:
        ValueError: fewer than two heads, or one for an adapter that the backbone does not have.
    """
    held = cast("Mapping[str, Any]", getattr(reward.backbone.module, "peft_config", {}))
    if len(heads) < 2 or not set(heads) <= set(held):
        raise ValueError(
            f"an ensemble needs heads for two or more of the backbone's adapters {sorted(held)}, got {sorted(heads)}"
        )
    members: dict[str, LearnedReward] = {}
    for name, head in heads.items():
        member = reward.replace(head=head)
        member.model.features = reward.model.features
        members[name] = member
    return _AdapterEnsemble(members, ensemble(0.0) if by is None else by, abstain)


def adapter_ensemble(
    directories: Sequence[str | Path],
    *,
    by: Combine | None = None,
    abstain: AbstainRule = any_abstains,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> _AdapterEnsemble:
    """Rewards saved with ``adapter=True`` on one backbone, as one reward that holds the backbone once.

    Every member is loaded and checked as by itself (`saving.load`), then its adapter joins the first member's backbone
    as ``member_1`` and so on. See `switched`.

    Raises:
        CheckpointError: a directory is damaged, holds no adapter, or one of another backbone, reading or condition.
        ValueError: fewer than two directories.
    """
    places = [Path(directory) for directory in directories]
    if len(places) < 2:
        raise ValueError(f"an ensemble has at least 2 members, got {len(places)}")
    kinds = [_kind(place) for place in places]
    for place, kind in zip(places[1:], kinds[1:], strict=True):
        if differing := [name for name in kind if kind[name] != kinds[0][name]]:
            raise CheckpointError(f"{place}: not of one kind with {places[0]}: {', '.join(differing)} differ")
    first = saving.load(places[0], device=device, dtype=dtype)
    module = cast("Any", first.backbone.module)
    heads: dict[str, nn.Module] = {str(module.active_adapter): first.head}
    for number, place in enumerate(places[1:], start=1):
        heads[f"member_{number}"] = saving.load(place, device=device, dtype=dtype).head
        with putting_on_adapters():
            module.load_adapter(str(place / "adapter"), adapter_name=f"member_{number}", is_trainable=False)
    module.eval()
    return switched(first, heads, by=by, abstain=abstain)


def _kind(place: Path) -> dict[str, Any]:
    """What members must share, from a saved reward's manifest."""
    try:
        manifest = cast("dict[str, Any]", json.loads((place / saving.MANIFEST).read_text(encoding="utf-8")))
        backbone = manifest["backbone"]
        adapter = backbone["adapter"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{place}: not a saved reward: {error}") from error
    if not adapter:
        raise CheckpointError(f"{place}: holds a whole backbone, not an adapter: save it with adapter=True")
    shared = {name: manifest[name] for name in ("read", "condition", "max_length", "on_too_long")}
    return {**shared, "backbone": adapter["base"], "template": backbone["fingerprints"]["template"]}
