"""A head that an objective can train: of the kind asked for, or the one that gives what the objective reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from torch import nn

from assay.models.heads import AttributeHead, GaussianHead, OrdinalHead, ScalarHead, StepHead
from assay.models.heads.aggregate import Aggregate
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import Where, last, step_ends
from assay.training.supervision import Objective

HeadOf = Callable[[int], nn.Module]


@final
@dataclass(frozen=True, slots=True)
class Wishes:
    """What a head is to be: its kind (None: what the objective needs), and its arguments where they are given.

    ``attributes`` are names, ``weights`` theirs; ``levels`` the lowest and the highest grade; ``condition`` the width
    of what it is conditioned on.
    """

    kind: Callable[..., nn.Module] | None = None
    attributes: Sequence[str] = ()
    weights: Sequence[float] = ()
    levels: tuple[int, int] | None = None
    aggregate: Aggregate | None = None
    read: Where | None = None
    condition: int = 0
    bias: bool = False
    norm: bool = False
    seed: int = 0


@final
@dataclass(frozen=True, slots=True)
class Fitting:
    """What makes a head from the backbone's hidden size, and where it reads."""

    make: HeadOf
    read: Where


class UnfitHeadError(ValueError):
    """A head that is not made of what was asked for; the message says what is missing or too much."""


def fitting(objective: Objective, wishes: Wishes | None = None) -> Fitting:
    """The head that ``wishes`` describe for an objective. Without a kind: a `StepHead` for an objective of steps (two
    classes where it takes logits), an `OrdinalHead` for levels, a `GaussianHead` for a log variance, an
    `AttributeHead` where attributes are named, else a `ScalarHead`.

    It reads the ends of steps for an objective of steps, else the last token. Where more is read than the last token,
    a head that pools takes the mean of what it reads.

    Raises:
        UnfitHeadError: the head lacks an argument that was given, or needs one that was not.
    """
    asked = wishes or Wishes()
    named = list(inspect.signature(objective).parameters)
    of_steps = named[1:2] == ["labels"]
    kind = asked.kind or _kind(named, asked)
    where = asked.read or (step_ends if of_steps else last)
    accepts = inspect.signature(kind).parameters
    options = {name: value for name, (value, _) in _given(asked).items()}
    refused = [option for name, (_, option) in _given(asked).items() if name not in accepts]
    if refused:
        raise UnfitHeadError(f"{_called(kind)} takes no {' and no '.join(refused)}; it takes {', '.join(accepts)}")
    if of_steps and named[0] == "logits" and "classes" in accepts:
        options["classes"] = 2
    if where is not last and not of_steps and "pool" in accepts:
        options["pool"] = mean_of_reads
    if "users" in accepts and asked.condition:
        options["users"] = asked.condition
    if "seed" in accepts:
        options["seed"] = asked.seed
    _refuse_missing(kind, accepts, options)
    return Fitting(partial(kind, **options), where)


def head_for(objective: Objective, hidden: int) -> nn.Module:
    """The untrained head that an objective is given when no other is asked for.

    Raises:
        UnfitHeadError: it has to be told more than the objective says.
    """
    return fitting(objective).make(hidden)


def _kind(named: list[str], asked: Wishes) -> Callable[..., nn.Module]:
    if named[1:2] == ["labels"]:
        return StepHead
    if named[:2] == ["logits", "targets"]:
        return OrdinalHead
    if "log_variance" in named:
        return GaussianHead
    return AttributeHead if asked.attributes else ScalarHead


def _given(asked: Wishes) -> dict[str, tuple[Any, str]]:
    """The head's arguments that were given, each with the option that gives it."""
    found: dict[str, tuple[Any, str]] = {}
    if asked.attributes:
        found["names"] = (tuple(asked.attributes), "--attributes")
    if asked.weights:
        found["weights"] = (tuple(asked.weights), "weights of --attributes")
    if asked.levels is not None:
        low, high = asked.levels
        found |= {"levels": (high - low + 1, "--levels"), "lowest": (float(low), "--levels")}
    if asked.aggregate is not None:
        found["aggregate"] = (asked.aggregate, "--aggregate")
    if asked.bias:
        found["bias"] = (True, "--head-bias")
    if asked.norm:
        found["norm"] = (True, "--head-norm")
    if asked.condition and "users" not in _accepted(asked.kind):
        found["condition"] = (asked.condition, "--condition")
    return found


def _accepted(kind: Callable[..., nn.Module] | None) -> frozenset[str]:
    return frozenset(inspect.signature(kind).parameters) if kind is not None else frozenset()


_HOW = {"names": "--attributes a,b,c", "levels": "--levels 1-5", "users": "--condition COLUMN"}


def _refuse_missing(kind: Callable[..., nn.Module], accepts: Any, options: dict[str, Any]) -> None:
    needed = [
        name
        for name, each in list(accepts.items())[1:]
        if each.default is inspect.Parameter.empty and name not in options and each.kind is not each.VAR_KEYWORD
    ]
    if needed:
        of_own = "a function (hidden) -> head of your own, --head file.py:name"
        how = list(dict.fromkeys(_HOW.get(name, of_own) for name in needed))
        raise UnfitHeadError(f"{_called(kind)} has to be told {', '.join(needed)}: give {' and '.join(how)}")


def _called(kind: Callable[..., nn.Module]) -> str:
    return str(getattr(kind, "__name__", kind))
