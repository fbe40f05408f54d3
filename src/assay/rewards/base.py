"""Reward, Spec, chain and combine: a composition of rewards is a reward."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import torch
from torch import Tensor

from assay.records import Record
from assay.rewards.fingerprint import fingerprint
from assay.scores import Scores, Status
from assay.spec import Spec, merge
from assay.transforms.combine import AbstainRule, Combine, any_abstains

__all__ = [
    "ContractError",
    "HasSpec",
    "Reward",
    "Spec",
    "Transform",
    "chain",
    "combine",
    "expected_ids",
    "fingerprint",
    "group_index",
    "name_of",
    "score",
    "scores_of",
    "spec_of",
    "views",
]

Transform: TypeAlias = Callable[[Scores], Scores]
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class ContractError(ValueError):
    """A reward broke the contract: rows missing, added or reordered, or not Scores at all. No record is to blame."""


class Reward(Protocol):
    """Scores every response of every record, in order. Functions and nn.Modules qualify as they are."""

    def __call__(self, records: Sequence[Record], /) -> Scores: ...


@runtime_checkable
class HasSpec(Protocol):
    """A reward that declares what it is."""

    @property
    def spec(self) -> Spec: ...


def spec_of(reward: Reward) -> Spec:
    """The declaration of a reward; a plain function that declares nothing gets the default (text, sees no context).

    Raises:
        ContractError: its ``spec`` is not a Spec.
    """
    if not isinstance(reward, HasSpec):
        return Spec()
    spec = cast("object", reward.spec)
    if not isinstance(spec, Spec):
        raise ContractError(f"{name_of(reward)}.spec is a {type(spec).__name__}, not an assay.Spec")
    return spec


def views(records: Sequence[Record], needs: Sequence[str]) -> list[Record]:
    """What a reward may see of the records: no feedback, and only the context columns it needs."""
    return [record.view(needs) for record in records]


def score(reward: Reward, records: Sequence[Record]) -> Scores:
    """Call a reward through its declared view, and hold it to the contract: one row a response, in order.

    Raises:
        ContractError: the reward returned no Scores, another number of rows, or rows of other records.
    """
    scores = cast("object", reward(views(records, spec_of(reward).needs)))
    if not isinstance(scores, Scores):
        raise ContractError(
            f"{name_of(reward)} returned a {type(scores).__name__}, not Scores; "
            "assay.rewards.base.scores_of(records, values) makes them from one number a response"
        )
    expected = expected_ids(records)
    if scores.ids != expected or scores.group.tolist() != group_index(records).tolist():
        raise ContractError(
            f"{name_of(reward)} returned {len(scores)} rows for {len(expected)} responses, or rows in another order; "
            "a reward gives one row a response, in the order of the records"
        )
    return scores


def expected_ids(records: Sequence[Record]) -> tuple[str, ...]:
    """The ids of every response, in order."""
    return tuple(record.response_id(i) for record in records for i in range(len(record.responses)))


def group_index(records: Sequence[Record]) -> Tensor:
    """``[responses]`` int64: the position in the batch of each response's record."""
    return torch.tensor([i for i, record in enumerate(records) for _ in record.responses], dtype=torch.long)


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
            declared = cast("Callable[[Spec], Spec] | None", getattr(transform, "spec_after", None))
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
        specs = [spec_of(reward) for reward in self.rewards]
        declared = cast("Callable[..., Spec] | None", getattr(self.by, "spec_after", None))
        if declared is None:
            return merge(specs)
        spec = declared(*specs)
        return spec if self.abstain is any_abstains else replace(spec, low=None, high=None)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        members = [score(reward, records) for reward in self.rewards]
        return self.abstain(members, self.by(members))

    def __repr__(self) -> str:
        rule = "" if self.abstain is any_abstains else f", abstain={name_of(self.abstain)}"
        return f"combine({', '.join(name_of(reward) for reward in self.rewards)}, by={name_of(self.by)}{rule})"


def chain(reward: Reward, *transforms: Transform) -> Reward:
    """The reward with its scores passed through each transform in turn. The result is a reward.

    A transform that has ``spec_after(spec)`` says what becomes of the range and unit; after any other they are unknown.
    """
    return _Chain(reward, transforms)


def combine(*rewards: Reward, by: Combine, abstain: AbstainRule = any_abstains) -> Reward:
    """One reward made of several. ``by`` makes one row of the members' rows; ``abstain`` says which rows then abstain.

    Each member sees only the columns it declares. A combination that has ``spec_after(*specs)`` says what range comes
    of the members' ranges; that range is declared under `any_abstains` alone, where no row lacks a member.

    Raises:
        ValueError: no reward was given.
    """
    if not rewards:
        raise ValueError("combine needs at least one reward")
    return _Combination(rewards, by, abstain)


def _after_unknown(spec: Spec) -> Spec:
    return replace(spec, low=None, high=None, unit="score", differentiable=False)


def name_of(value: object) -> str:
    """How a link of a composition prints, on one line and without addresses: a function by its name, else its repr."""
    if inspect.isfunction(value):
        return value.__name__
    if inspect.isbuiltin(value) or inspect.ismethoddescriptor(value):
        return str(getattr(value, "__qualname__", repr(value)))
    if isinstance(value, partial):
        bound = cast("partial[object]", value)
        given = [name_of(item) for item in bound.args] + [f"{k}={name_of(v)}" for k, v in bound.keywords.items()]
        return f"partial({', '.join([name_of(bound.func), *given])})"
    return _ADDRESS.sub("", " ".join(repr(value).split()))
