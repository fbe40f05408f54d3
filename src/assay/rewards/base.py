"""Reward, Spec, chain and combine: a composition of rewards is a reward."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

import torch
from torch import Tensor

from assay.records import Record
from assay.scores import Scores, Status
from assay.transforms.combine import AbstainRule, Combine, any_abstains

Transform: TypeAlias = Callable[[Scores], Scores]


@dataclass(frozen=True, slots=True)
class Spec:
    """What a reward declares of itself. Declarations are tested, not trusted.

    ``needs`` are the context columns it reads; every other column, and all feedback, is hidden from it.
    ``scale`` is ``within_group`` for a score that means something only beside the other responses of its prompt.
    """

    modalities: frozenset[str] = frozenset({"text"})
    low: float | None = None
    high: float | None = None
    unit: str = "score"
    better: Literal["higher", "lower"] = "higher"
    deterministic: bool = True
    differentiable: bool = False
    order_invariant: bool = True
    needs: tuple[str, ...] = ()
    scale: Literal["absolute", "within_group"] = "absolute"
    memory_bytes: int = 0


class Reward(Protocol):
    """Scores every response of every record, in order. Functions and nn.Modules qualify as they are."""

    def __call__(self, records: Sequence[Record], /) -> Scores: ...


@runtime_checkable
class HasSpec(Protocol):
    """A reward that declares what it is."""

    @property
    def spec(self) -> Spec: ...


def spec_of(reward: Reward) -> Spec:
    """The declaration of a reward; a plain function that declares nothing gets the default (text, sees no context)."""
    return reward.spec if isinstance(reward, HasSpec) else Spec()


def views(records: Sequence[Record], needs: Sequence[str]) -> list[Record]:
    """What a reward may see of the records: no feedback, and only the context columns it needs."""
    return [record.view(needs) for record in records]


def score(reward: Reward, records: Sequence[Record]) -> Scores:
    """Call a reward through its declared view, and hold it to the contract: one row a response, in order.

    Raises:
        ValueError: the reward returned another number of rows, or rows of other records.
    """
    scores = reward(views(records, spec_of(reward).needs))
    expected = expected_ids(records)
    if scores.ids != expected:
        raise ValueError(
            f"{reward!r} returned {len(scores)} rows for {len(expected)} responses, or rows in another order; "
            "a reward gives one row a response, in the order of the records"
        )
    return scores


def expected_ids(records: Sequence[Record]) -> tuple[str, ...]:
    """The ids of every response, in order."""
    return tuple(record.response_id(i) for record in records for i in range(len(record.responses)))


def group_index(records: Sequence[Record]) -> Tensor:
    """``[responses]`` int64: the position in the batch of each response's record."""
    counts = torch.tensor([len(record.responses) for record in records], dtype=torch.long)
    return torch.repeat_interleave(torch.arange(len(records)), counts)


def scores_of(
    records: Sequence[Record],
    values: Tensor | Sequence[float],
    status: Sequence[Status] = (),
    messages: Sequence[str] = (),
    **columns: Any,
) -> Scores:
    """Scores for all responses of ``records`` from flat ``values`` ``[responses]``."""
    tensor = values if isinstance(values, Tensor) else torch.tensor(list(values), dtype=torch.float32)
    return Scores(
        values=tensor,
        group=group_index(records),
        ids=expected_ids(records),
        status=tuple(status),
        messages=tuple(messages),
        **columns,
    )


@dataclass(frozen=True)
class _Chain:
    reward: Reward
    transforms: tuple[Transform, ...]

    @property
    def spec(self) -> Spec:
        spec = spec_of(self.reward)
        for transform in self.transforms:
            declared = getattr(transform, "spec_after", None)
            spec = declared(spec) if declared is not None else _after_unknown(spec)
        return spec

    def __call__(self, records: Sequence[Record], /) -> Scores:
        scores = score(self.reward, records)
        for transform in self.transforms:
            scores = transform(scores)
        return scores

    def __repr__(self) -> str:
        return f"chain({', '.join(name_of(link) for link in (self.reward, *self.transforms))})"


@dataclass(frozen=True)
class _Combination:
    rewards: tuple[Reward, ...]
    by: Combine
    abstain: AbstainRule

    @property
    def spec(self) -> Spec:
        return _combined_spec([spec_of(reward) for reward in self.rewards])

    def __call__(self, records: Sequence[Record], /) -> Scores:
        members = [score(reward, records) for reward in self.rewards]
        return self.abstain(members, self.by(members))

    def __repr__(self) -> str:
        rule = "" if self.abstain is any_abstains else f", abstain={name_of(self.abstain)}"
        return f"combine({', '.join(name_of(reward) for reward in self.rewards)}, by={name_of(self.by)}{rule})"


def chain(reward: Reward, *transforms: Transform) -> Reward:
    """The reward with its scores passed through each transform in turn. The result is a reward."""
    return _Chain(reward, transforms)


def combine(*rewards: Reward, by: Combine, abstain: AbstainRule = any_abstains) -> Reward:
    """One reward made of several. ``by`` makes one row of the members' rows; ``abstain`` says which rows then abstain.

    Raises:
        ValueError: no reward was given.
    """
    if not rewards:
        raise ValueError("combine needs at least one reward")
    return _Combination(rewards, by, abstain)


def _after_unknown(spec: Spec) -> Spec:
    return Spec(modalities=spec.modalities, deterministic=spec.deterministic, needs=spec.needs, scale=spec.scale)


def _combined_spec(specs: Sequence[Spec]) -> Spec:
    return Spec(
        modalities=frozenset[str]().union(*(spec.modalities for spec in specs)),
        deterministic=all(spec.deterministic for spec in specs),
        differentiable=all(spec.differentiable for spec in specs),
        order_invariant=all(spec.order_invariant for spec in specs),
        needs=tuple(dict.fromkeys(need for spec in specs for need in spec.needs)),
        scale="within_group" if any(spec.scale == "within_group" for spec in specs) else "absolute",
        memory_bytes=sum(spec.memory_bytes for spec in specs),
    )


def name_of(value: object) -> str:
    """How a link of a composition prints: a function by its name, anything else by its repr."""
    return value.__name__ if inspect.isfunction(value) else repr(value)


def fingerprint(reward: object) -> str:
    """sha256 over everything the scores depend on: composition, arguments, code of functions, weights and templates.

    An object may offer its own ``fingerprint()`` (a learned reward hashes its weights and preprocessing).

    Raises:
        TypeError: some part of the reward has no stable description.
    """
    return hashlib.sha256(json.dumps(_describe(reward), sort_keys=True).encode()).hexdigest()


def _describe(value: object) -> Any:
    own = getattr(value, "fingerprint", None)
    if callable(own) and not isinstance(value, type):
        return ["own", type(value).__qualname__, own()]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.name]
    if isinstance(value, Path):
        return ["path", str(value)]
    if isinstance(value, Tensor):
        return ["tensor", list(value.shape), hashlib.sha256(value.detach().cpu().numpy().tobytes()).hexdigest()]
    if is_dataclass(value) and not isinstance(value, type):
        described = {item.name: _describe(getattr(value, item.name)) for item in fields(value)}
        return [f"{type(value).__module__}.{type(value).__qualname__}", described]
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        return {str(key): _describe(item) for key, item in items.items()}
    if isinstance(value, frozenset | set):
        return sorted(json.dumps(_describe(item)) for item in cast("frozenset[object]", value))
    if isinstance(value, Sequence):
        return [_describe(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, partial):
        bound = cast("partial[object]", value)
        return ["partial", _describe(bound.func), _describe(bound.args), _describe(bound.keywords)]
    if inspect.isfunction(value):
        cells = [_describe(cell.cell_contents) for cell in value.__closure__ or ()]
        code = hashlib.sha256(inspect.getsource(value).encode()).hexdigest()
        return ["function", value.__module__, value.__qualname__, code, cells, _describe(value.__defaults__)]
    raise TypeError(
        f"{value!r} has no stable fingerprint: give it a fingerprint() method, or make it a frozen dataclass"
    )
