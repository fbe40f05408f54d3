"""The first-use self-check: a model shares prompts only after it scored a small group both ways and got the same."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from assay.models.base import Batch, TokenSequence
from assay.models.families import Family, base_of, family_of, text_part
from assay.models.layout import Plan, flat, padded, shared
from assay.models.segments import NAME, register

if TYPE_CHECKING:
    from collections.abc import Generator

_TOLERANCE = 1e-4
_ROUNDING = 16.0
_NOISE_FACTOR = 8.0
_GROUPS = 2
_MEMBERS = 2

Run: TypeAlias = Callable[[Batch, Plan], list[Tensor]]


class SharingDisabledWarning(UserWarning):
    """A model failed the self-check: its prompts are scored in padded rows from here on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the self-check found for one model, dtype and device.

    ``difference`` is the largest difference of a hidden state between shared and alone, ``noise`` the same between a
    padded batch and alone, both in units of the root mean square of the states alone.
    """

    shares: bool
    difference: float
    noise: float
    tolerance: float
    reason: str


_Key: TypeAlias = tuple[torch.dtype, str, bool]
_verdicts: WeakKeyDictionary[nn.Module, dict[_Key, Verdict]] = WeakKeyDictionary()
_kept_verdicts: WeakKeyDictionary[nn.Module, dict[_Key, bool]] = WeakKeyDictionary()
_checking = threading.RLock()


def prepare_model(model: nn.Module) -> None:
    """Let the text part of a transformers model attend by segments when asked; every other call stays what it was.

    Done once after loading, and harmless when repeated. Ordinary calls are bit-equal to ``sdpa``; a model that cannot
    share (`Family.why_not`) is left alone.
    """
    if not family_of(model).shares or is_prepared(model):
        return
    register()
    base = base_of(model)
    base.set_attn_implementation(NAME if text_part(base) is base else {"text_config": NAME})


def is_prepared(model: nn.Module) -> bool:
    """Whether `prepare_model` took hold."""
    config = getattr(text_part(base_of(model)), "config", None)
    return getattr(config, "_attn_implementation", None) == NAME


def verdict(model: nn.Module, batch: Batch, plan: Plan, run: Run) -> Verdict:
    """Whether a plan that shares may be used: remembered for the model's dtype and device, found out on first use.

    Two groups of two members of the batch at hand are scored shared, padded and alone, without gradient and dropout.
    Sharing is refused if shared and alone differ by more than max(1e-4, 16 · machine epsilon, 8 · difference of padded
    and alone), in units of the root mean square of the states. Why 1e-4: in fp32 correct layouts differ by 1e-6, while
    every wrong one that was tried (positions not restarted, responses that see each other, a prompt left causal) moves
    scores by 5e-2 and more. Why the others: in bf16 correct layouts differ by as much as padding does, up to 5e-2 in
    one state of many, and padding itself by nothing where lengths happen to be equal.

    Raises:
        torch.OutOfMemoryError: the check itself did not fit.
    """
    base = base_of(model)
    weight = next(iter(base.parameters()))
    key = (_arithmetic(weight), str(weight.device), any(sequence.images for sequence in flat(batch)))
    with _checking:
        known = _verdicts.setdefault(base, {})
        if key not in known:
            found = _find(model, family_of(model), batch, plan, run)
            if found is None:
                return Verdict(True, 0.0, 0.0, _TOLERANCE, "states are not finite; not decided")
            known[key] = found
            if not found.shares:
                warnings.warn(
                    f"{type(base).__name__}: {found.reason}; prompts are not shared (same scores, slower)",
                    SharingDisabledWarning,
                    stacklevel=4,
                )
        return known[key]


def kept_verdict(model: nn.Module, states: Sequence[Tensor], again: Callable[[], list[Tensor]], pictures: bool) -> bool:
    """Whether states that were computed from a kept prefix on may be used: found out on first use by computing them
    ``again`` without it, and remembered for the model's dtype and device. The bound is that of `verdict`."""
    base = base_of(model)
    weight = next(iter(base.parameters()))
    key = (_arithmetic(weight), str(weight.device), pictures)
    with _checking:
        known = _kept_verdicts.setdefault(base, {})
        if key not in known:
            reference = again()
            scale = torch.cat([each.flatten() for each in reference]).float().square().mean().sqrt().item()
            tolerance = max(_TOLERANCE, _ROUNDING * torch.finfo(_arithmetic(weight)).eps)
            difference = _largest(states, reference) / scale if scale > 0 else 0.0
            known[key] = difference <= tolerance
            if not known[key]:
                reason = f"states from a kept prefix on differ by {difference:.1e}, beyond {tolerance:.1e}"
                warnings.warn(
                    f"{type(base).__name__}: {reason}; prompts are not kept (same scores, slower)",
                    SharingDisabledWarning,
                    stacklevel=5,
                )
        return known[key]


def _find(model: nn.Module, family: Family, batch: Batch, plan: Plan, run: Run) -> Verdict | None:
    small = _small(batch, plan)
    with torch.no_grad(), _without_dropout(model):
        alone = [run(one, padded(family, one)) for one in _alone(small)]
        reference = [states for each in alone for states in each]
        rows = run(small, padded(family, small))
        try:
            prepare_model(model)
            trees = run(small, shared(family, small))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            return Verdict(False, float("inf"), 0.0, _TOLERANCE, f"sharing failed: {type(error).__name__}: {error}")
    scale = torch.cat([states.flatten() for states in reference]).float().square().mean().sqrt().item()
    if not scale > 0 or scale == float("inf"):
        return None
    difference, noise = _largest(trees, reference) / scale, _largest(rows, reference) / scale
    rounding = torch.finfo(_arithmetic(next(model.parameters()))).eps
    tolerance = max(_TOLERANCE, _ROUNDING * rounding, _NOISE_FACTOR * noise)
    good = difference <= tolerance
    word = "within" if good else "beyond"
    reason = f"shared and alone differ by {difference:.1e}, {word} {tolerance:.1e} (padded and alone: {noise:.1e})"
    return Verdict(good, difference, noise, tolerance, reason)


def _arithmetic(weight: Tensor) -> torch.dtype:
    """The format that matrix products are computed in: autocast's, or that of the weights."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _small(batch: Batch, plan: Plan) -> Batch:
    sequences = flat(batch)
    trees = [tree for call in plan.calls for tree in call.trees]
    trees = sorted((tree for tree in trees if len(tree.members) > 1), key=lambda tree: (not tree.prefix, tree.tokens))
    groups: list[list[TokenSequence]] = []
    for tree in trees[:_GROUPS]:
        ends = [*tree.members[-1:], *tree.members[: _MEMBERS - 1]]
        groups.append([sequences[member] for member in ends])
    return Batch(groups or [[sequence] for sequence in sequences[:_MEMBERS]], batch.pixels)


def _alone(batch: Batch) -> list[Batch]:
    return [Batch([[sequence]], batch.pixels) for sequence in flat(batch)]


def _largest(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    differences = [(a.float() - b.float()).abs().max() for a, b in zip(one, other, strict=True) if a.numel()]
    return float(torch.stack(differences).max()) if differences else 0.0


@contextmanager
def _without_dropout(model: nn.Module) -> Generator[None]:
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def sharing_report(model: nn.Module) -> str:
    """One line for a person: whether this model shares prompts, and what that rests on."""
    family = family_of(model)
    base: Any = base_of(model)
    name = type(base).__name__
    if not family.shares:
        return f"{name}: no sharing, because {family.why_not}"
    found = _verdicts.get(cast("nn.Module", base), {})
    if not found:
        return f"{name}: shares prompts; checked on first use with more than one response"
    lines = [
        f"{str(dtype).removeprefix('torch.')} on {device}{', pictures' if pictures else ''}: "
        f"{'shares' if each.shares else 'no sharing'}, {each.reason}"
        for (dtype, device, pictures), each in found.items()
    ]
    return f"{name}: " + "; ".join(lines)
