"""verifiers: a reward of traces (PrimeIntellect-ai/verifiers 0.2 and later, ``verifiers/v1/task.py``, ``Task.score``),
and a rubric for the environments of 0.1 (``verifiers/rubrics/rubric.py``).

    class Describe(vf.Task):
        helpful = trace_reward(reward, "helpful")          # in place of a method under @vf.reward

or, with no code, a module that holds ``helpful = trace_reward(reward)`` and
``--env.taskset.task.rewards.helpful.fn my_module:helpful``.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast, final

from assay.adapters.abstaining import OnAbstain, as_nan, number_of, refuse
from assay.adapters.asked import Asked, Together, judged, refuse_groups
from assay.adapters.rows import Judgement
from assay.rewards.base import Reward
from assay.rewards.rules.callable import plain_name

__all__ = ["GroupFunction", "SingleFunction", "TraceReward", "reward_traces", "rubric", "trace_reward"]


@final
@dataclass(frozen=True)
class TraceReward:
    """A reward where verifiers expects a function under ``@vf.reward``; made by `trace_reward`."""

    judged_by: Together[Asked]
    name: str
    on_abstain: OnAbstain
    _vf_weight: float
    reward: ClassVar[bool] = True
    reward_priority: ClassVar[int] = 0

    @property
    def __name__(self) -> str:
        return self.name

    async def __call__(self, task: Any, trace: Any) -> float:
        judgement = await asyncio.to_thread(self.judged_by, _asked(trace, task))
        _tell(trace, self.name, judgement)
        return number_of(judgement, self.on_abstain)


def trace_reward(
    reward: Reward,
    name: str | None = None,
    *,
    weight: float = 1.0,
    root: str | Path = "",
    on_abstain: OnAbstain = refuse,
) -> TraceReward:
    """One reward of a ``vf.Task``: the messages of a trace's last branch, from the first that was sampled on, are the
    response to those before. Rollouts that finish while others are judged are judged together.

    The task's fields are context columns. ``trace.info["assay"]`` gets the status and the message, the trace's metrics
    ``NAME/ATTRIBUTE``. By default an abstention is an error of the trace, which verifiers records: its reward stays
    None.

    Raises:
        ValueError: the reward compares the responses of a prompt; `reward_traces` hands them over together.
        AbstainedError (when called): the reward abstained, with ``on_abstain=refuse``.
    """
    refuse_groups(reward, "call reward_traces in Env.finalize")
    together = Together[Asked](partial(judged, reward, root=root))
    return TraceReward(together, name or plain_name(reward), on_abstain, weight)


async def reward_traces(
    reward: Reward,
    traces: Sequence[Any],
    name: str | None = None,
    *,
    weight: float = 1.0,
    root: str | Path = "",
    on_abstain: OnAbstain = refuse,
) -> list[Judgement]:
    """Judge the traces of an episode together and record the reward on each: for ``Env.finalize``.

    Neighbouring traces of one prompt are one record, so a reward that compares responses sees them side by side.

    Raises:
        AbstainedError: the reward abstained on a trace, with ``on_abstain=refuse``; none is recorded then.
    """
    given = name or plain_name(reward)
    rows = [_asked(trace, trace.task.data) for trace in traces]
    judgements = await asyncio.to_thread(judged, reward, rows, root=root)
    values = [number_of(judgement, on_abstain) for judgement in judgements]
    for trace, judgement, value in zip(traces, judgements, values, strict=True):
        _tell(trace, given, judgement)
        trace.record_reward(given, value, weight)
    return judgements


@final
@dataclass(frozen=True)
class SingleFunction:
    """A reward function of verifiers 0.1: one rollout."""

    judged_by: Together[Asked]
    name: str
    on_abstain: OnAbstain

    @property
    def __name__(self) -> str:
        return self.name

    async def __call__(self, prompt: Any, completion: Any, answer: Any = "", info: Any = None) -> float:
        row = Asked(prompt, completion, context=_columns(answer, info))
        return number_of(await asyncio.to_thread(self.judged_by, row), self.on_abstain)


@final
@dataclass(frozen=True)
class GroupFunction:
    """A group reward function of verifiers 0.1: all rollouts of a prompt, which its plural parameters say."""

    judged_by: Reward
    name: str
    on_abstain: OnAbstain
    root: str | Path = field(default="")

    @property
    def __name__(self) -> str:
        return self.name

    async def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], answers: Sequence[Any], infos: Sequence[Any]
    ) -> list[float]:
        rows = [
            Asked(prompt, completion, context=_columns(answer, info))
            for prompt, completion, answer, info in zip(prompts, completions, answers, infos, strict=True)
        ]
        judgements = await asyncio.to_thread(judged, self.judged_by, rows, root=self.root)
        return [number_of(judgement, self.on_abstain) for judgement in judgements]


def rubric(
    rewards: Mapping[str, Reward],
    weights: Mapping[str, float] | None = None,
    *,
    group: bool = False,
    root: str | Path = "",
    on_abstain: OnAbstain = as_nan,
) -> Any:
    """A ``vf.Rubric`` of verifiers 0.1 with one function a reward, weighted 1 or as ``weights`` says.

    With ``group`` each function is handed all rollouts of a prompt. ``answer`` and the fields of ``info`` are context
    columns. This rubric turns every exception of a function into a reward of 0.0, so an abstention is NaN here unless
    ``on_abstain`` names a number; `refuse` is refused.

    Raises:
        ValueError: weights for other names, ``on_abstain=refuse``, or a reward that compares responses without
            ``group``.
        ImportError: verifiers is not installed, or has no rubrics (0.2 and later: `trace_reward`).
    """
    if on_abstain is refuse:
        raise ValueError("verifiers 0.1 makes 0.0 of every exception: give on_abstain=as_nan or worth(number)")
    given = dict.fromkeys(rewards, 1.0) if weights is None else dict(weights)
    if set(given) != set(rewards):
        raise ValueError(f"weights for {sorted(given)}, but rewards {sorted(rewards)}")
    functions = [_function(reward, name, group, root, on_abstain) for name, reward in rewards.items()]
    package = importlib.import_module("verifiers")
    if not hasattr(package, "Rubric"):
        raise ImportError(f"verifiers {package.__version__} has no Rubric; put trace_reward(reward) on a vf.Task")
    return package.Rubric(funcs=functions, weights=[given[name] for name in rewards])


def _function(
    reward: Reward, name: str, group: bool, root: str | Path, on_abstain: OnAbstain
) -> SingleFunction | GroupFunction:
    if group:
        return GroupFunction(reward, name, on_abstain, root)
    refuse_groups(reward, "give group=True")
    return SingleFunction(Together[Asked](partial(judged, reward, root=root)), name, on_abstain)


def _asked(trace: Any, task: Any) -> Asked:
    nodes: list[Any] = trace.branches[-1].nodes if trace.branches else []
    first = next((place for place, node in enumerate(nodes) if node.sampled), len(nodes))
    turns = [cast("dict[str, Any]", node.message.model_dump(exclude_none=True)) for node in nodes]
    return Asked(turns[:first], turns[first:], context=task.model_dump())


def _tell(trace: Any, name: str, judgement: Judgement) -> None:
    trace.info.setdefault("assay", {})[name] = {"status": str(judgement.status), "message": judgement.message}
    known = {f"{name}/{key}": cell for key, cell in judgement.attributes.items() if cell == cell}
    trace.record_metrics(known)


def _columns(answer: Any, info: Any) -> dict[str, Any]:
    fields = cast("Mapping[str, Any]", info) if isinstance(info, Mapping) else {}
    return {"answer": answer, **fields}
