"""TRL: rewards for ``reward_funcs`` of `GRPOTrainer` and its relatives (huggingface/trl 1.16, `grpo_trainer.py`,
``_calculate_rewards``), sync or async; TRL itself is not imported.

    GRPOTrainer(model, reward_funcs=reward_function(reward), ...)

The trainer calls by keyword: ``prompts, completions, completion_ids, trainer_state, log_extra, log_metric`` and every
column of the data set. A NaN, which is what None becomes, is left out of the row's sum.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeAlias, final, overload

from assay.adapters.rows import Judgement
from assay.rewards.base import Reward
from assay.rewards.rules.callable import LogExtra, LogMetric, TrlReward, log, plain_name, trl_reward

__all__ = [
    "AsyncTrlReward",
    "AttributeReward",
    "TrlFunction",
    "TrlReward",
    "attribute_functions",
    "reward_function",
    "reward_functions",
    "reward_weights",
]


@final
@dataclass(frozen=True)
class AsyncTrlReward:
    """A `TrlReward` that TRL awaits: it judges in a thread, beside the trainer's other async rewards."""

    judged_by: TrlReward

    @property
    def __name__(self) -> str:
        return self.judged_by.name

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> list[float | None]:
        judged = await asyncio.to_thread(self.judged_by.judge, prompts, completions, columns)
        log(self.judged_by.name, judged, log_extra, log_metric)
        return [judgement.value for judgement in judged]


TrlFunction: TypeAlias = TrlReward | AsyncTrlReward


@overload
def reward_function(
    reward: Reward, name: str | None = None, root: str | Path = "", asynchronous: Literal[False] = False
) -> TrlReward: ...
@overload
def reward_function(
    reward: Reward, name: str | None = None, root: str | Path = "", *, asynchronous: Literal[True]
) -> AsyncTrlReward: ...
@overload
def reward_function(
    reward: Reward, name: str | None = None, root: str | Path = "", asynchronous: bool = False
) -> TrlFunction: ...
def reward_function(
    reward: Reward, name: str | None = None, root: str | Path = "", asynchronous: bool = False
) -> TrlFunction:
    """One reward as one of ``reward_funcs``; rows, logs and abstentions as `assay.rewards.rules.trl_reward` says.

    With ``asynchronous`` it is an ``async def`` to TRL, which gathers all such rewards: right for a reward that waits
    for a server. A reward that computes gains nothing by it.

    A reward that compares responses sees the generations of a prompt that are on this process: keep a prompt's
    generations on one (``per_device_train_batch_size`` a multiple of ``num_generations``).
    """
    function = trl_reward(reward, name, root)
    return AsyncTrlReward(function) if asynchronous else function


def reward_functions(
    rewards: Mapping[str, Reward], root: str | Path = "", asynchronous: bool = False
) -> list[TrlFunction]:
    """Several rewards, each logged under its own name. Their weights: `reward_weights`."""
    return [reward_function(reward, name, root, asynchronous) for name, reward in rewards.items()]


def reward_weights(functions: Sequence[Any], weights: Mapping[str, float]) -> list[float]:
    """``reward_weights`` of the trainer's configuration, in the order of ``functions``.

    Raises:
        ValueError: a function without a weight, two of one name, or a weight for none.
    """
    names = [str(function.__name__) for function in functions]
    if sorted(names) != sorted(weights):
        raise ValueError(f"weights for {sorted(weights)}, but the functions are called {sorted(names)}")
    return [weights[name] for name in names]


@final
@dataclass(frozen=True)
class AttributeReward:
    """One attribute of a reward as a TRL reward function; see `attribute_functions`."""

    attribute: str
    once: _Once

    @property
    def __name__(self) -> str:
        return f"{self.once.function.name}_{self.attribute}"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> list[float | None]:
        judged = self.once.judged(prompts, completions, columns, log_extra, log_metric)
        cells = [judgement.attributes.get(self.attribute, math.nan) for judgement in judged]
        return [None if math.isnan(cell) else cell for cell in cells]


def attribute_functions(
    reward: Reward, attributes: Sequence[str], name: str | None = None, root: str | Path = ""
) -> list[AttributeReward]:
    """The named attributes of one reward as one function each, ``NAME_ATTRIBUTE``; the reward is asked once a batch.

    An attribute's values are as the reward gives them, never negated: of one that is better low, give the trainer a
    negative weight. None where the row, the cell or the attribute abstains.
    """
    once = _Once(TrlReward(reward, name or plain_name(reward), Path(root)))
    return [AttributeReward(attribute, once) for attribute in attributes]


@final
@dataclass
class _Once:
    """The judgements of the last batch, for the functions that are handed it one after another.

    A batch is known by its list objects, which are held so that their addresses stay theirs.
    """

    function: TrlReward
    lock: Any = field(default_factory=Lock, compare=False, repr=False)
    last: tuple[Any, Any, list[Judgement]] | None = field(default=None, compare=False, repr=False)

    def judged(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Any],
        extra: LogExtra | None,
        metric: LogMetric | None,
    ) -> list[Judgement]:
        with self.lock:
            if self.last is None or self.last[0] is not prompts or self.last[1] is not completions:
                judged = self.function.judge(prompts, completions, columns)
                log(self.function.name, judged, extra, metric)
                self.last = (prompts, completions, judged)
            return self.last[2]

    def __reduce__(self) -> tuple[type[_Once], tuple[TrlReward]]:
        return _Once, (self.function,)
