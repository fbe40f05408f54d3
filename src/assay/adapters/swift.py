"""ms-swift: a reward as an outcome reward (`ORM`, `AsyncORM`), a reward-model plugin and a process reward (`PRM`).

The callers are ms-swift 4.6.0 (PyPI; modelscope/ms-swift): ``swift/rl_core/grpo_algorithm.py``
(``compute_rewards_per_func``), ``swift/rlhf_trainers/grpo_trainer.py`` (``_prepare_rewards``) and
``swift/pipelines/sampling/utils.py`` (``get_reward``). In a file for ``--external_plugins``:

    register(assay.load("DIRECTORY"), "my_reward")      # then --reward_funcs my_reward

With ``ASSAY_REWARD`` (`assay.adapters.environment`) the file ``assay/adapters/files/assay_swift.py`` does it.

Outcome rewards and plugins give None for an abstention, which swift leaves out of the row's sum. Its sampler compares
step rewards as numbers and has no word for one: there the abstention raises, unless ``on_abstain`` gives a number.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from assay.adapters.abstaining import OnAbstain, number_of, refuse
from assay.adapters.asked import Asked, context_of, judged, unjudged
from assay.adapters.environment import configured
from assay.adapters.rows import Judgement
from assay.rewards.base import Reward
from assay.scores import Status

__all__ = ["outcome", "outcome_async", "plugin", "process", "register", "register_configured"]


def outcome(reward: Reward, name: str, root: str | Path = "") -> type:
    """A class for ``swift.rewards.orms``: ``orms["x"] = outcome(reward, "x")``; swift logs the class's name.

    ``x(args=None)(completions, **columns) -> list[float | None]``. ``messages`` hold the prompt, ``images``, ``videos``
    and ``audios`` fill the ``<image>`` tags, other columns are context.
    """

    def call(self: object, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return [judgement.value for judgement in _judge(reward, completions, columns, root)]

    return _class(name, "ORM", call)


def outcome_async(reward: Reward, name: str, root: str | Path = "") -> type:
    """`outcome` as an ``AsyncORM``: it judges in a thread, beside swift's other async rewards."""

    async def call(self: object, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        found = await asyncio.to_thread(_judge, reward, completions, columns, root)
        return [judgement.value for judgement in found]

    return _class(name, "AsyncORM", call)


def plugin(reward: Reward, name: str, root: str | Path = "") -> type:
    """A class for ``swift.rewards.rm_plugins``, ``--reward_model_plugin``: ``x(model, template)(inputs) -> list``.

    ``inputs`` are rows of ``messages``, the last one the response, with ``images`` and further columns. The model that
    swift loads for ``--reward_model`` is not used: the reward is.
    """

    def make(self: Any, model: Any = None, template: Any = None) -> None:
        self.model, self.template = model, template

    def call(self: object, inputs: Sequence[Mapping[str, Any]], **further: Any) -> list[float | None]:
        rows = [_asked(row, None, row) for row in inputs]
        return [judgement.value for judgement in judged(reward, rows, tags=True, root=root)]

    return type(name, (), {"__init__": make, "__call__": call, "__doc__": f"{name}: an Assay reward."})


def process(reward: Reward, name: str, on_abstain: OnAbstain = refuse, root: str | Path = "") -> type:
    """A class for ``swift.rewards.prms``: ``x()(infer_requests, ground_truths) -> list[list[float]]``, a reward a step.

    swift takes the smallest of a row. A reward without steps gives a list of one. Ground truths are the context column
    ``ground_truth`` (or the one column that the reward needs). A step without a score of its own is an abstention.
    """

    def call(
        self: object, infer_requests: Sequence[Any], ground_truths: Sequence[Any] | None = None, **further: Any
    ) -> list[list[float]]:
        truths = [None] * len(infer_requests) if ground_truths is None else list(ground_truths)
        rows = [
            _asked(row := _row_of(request), None, context_of(reward, row, truth, None))
            for request, truth in zip(infer_requests, truths, strict=True)
        ]
        return [_steps(judgement, on_abstain) for judgement in judged(reward, rows, tags=True, root=root)]

    return _class(name, "PRM", call)


def register(reward: Reward, name: str, on_abstain: OnAbstain = refuse, root: str | Path = "") -> None:
    """Put the reward into swift's ``orms``, ``rm_plugins`` and ``prms`` under ``name``, and its async form into
    ``orms`` under ``NAME_async``.

    Raises:
        ModuleNotFoundError: ms-swift is not installed.
        ValueError: swift has a reward of that name.
    """
    rewards: Any = importlib.import_module("swift.rewards")
    tables: dict[str, dict[str, Any]] = {"orms": rewards.orms, "rm_plugins": rewards.rm_plugins, "prms": rewards.prms}
    if taken := [table for table, entries in tables.items() if name in entries]:
        raise ValueError(f"swift.rewards.{taken[0]} has a {name!r} already; choose another name")
    tables["orms"][name] = outcome(reward, name, root)
    tables["orms"][f"{name}_async"] = outcome_async(reward, f"{name}_async", root)
    tables["rm_plugins"][name] = plugin(reward, name, root)
    tables["prms"][name] = process(reward, name, on_abstain, root)


def register_configured(name: str) -> None:
    """`register` with the reward of ``ASSAY_REWARD`` (`assay.adapters.environment`)."""
    said = configured()
    register(said.reward, name, said.on_abstain, said.root)


def _class(name: str, base: str, call: Any) -> type:
    """A class named for swift's logs, of swift's base where swift is installed."""

    def make(self: Any, args: Any = None, **further: Any) -> None:
        self.args = args

    bases: tuple[type, ...] = ()
    if importlib.util.find_spec("swift") is not None and importlib.util.find_spec("swift.rewards") is not None:
        bases = (getattr(importlib.import_module("swift.rewards"), base),)
    return type(name, bases, {"__init__": make, "__call__": call, "__doc__": f"{name}: an Assay reward."})


def _judge(reward: Reward, completions: Sequence[Any], columns: Mapping[str, Any], root: str | Path) -> list[Judgement]:
    given = {name: column for name, column in columns.items() if _is_column(column, len(completions))}
    rows = [{name: column[place] for name, column in given.items()} for place in range(len(completions))]
    asked = [_asked(row, completion, row) for row, completion in zip(rows, completions, strict=True)]
    return judged(reward, asked, tags=True, root=root)


def _is_column(value: Any, rows: int) -> bool:
    """Whether it is a column of the batch, and not such as the trainer's state."""
    return isinstance(value, list | tuple) and len(cast("Sequence[Any]", value)) == rows


def _asked(row: Mapping[str, Any], completion: Any, context: Mapping[str, Any]) -> Asked | Judgement:
    """A row of messages; the last one of the assistant is the response, and ``completion`` what became of it."""
    messages = list(cast("Sequence[Mapping[str, Any]]", row.get("messages") or ()))
    if messages and messages[-1].get("role") == "assistant":
        said = messages.pop()
        completion = said.get("content") if completion is None else completion
    if not messages or completion is None:
        return unjudged(Status.INVALID, "no messages before the response, or no response; give both in 'messages'")
    media = {kind: row.get(kind) for kind in ("images", "videos", "audios")}
    return Asked(messages, completion, **media, context=context)


def _row_of(request: Any) -> Mapping[str, Any]:
    """A request as a dictionary; swift's sampler hands over `InferRequest` objects."""
    if isinstance(request, Mapping):
        return cast("Mapping[str, Any]", request)
    return {name: getattr(request, name, None) for name in ("messages", "images", "videos", "audios")}


def _steps(judgement: Judgement, on_abstain: OnAbstain) -> list[float]:
    if judgement.value is None or not judgement.steps:
        return [number_of(judgement, on_abstain)]
    lost = Judgement(None, Status.NON_FINITE, "a step has no score")
    return [step if step == step else on_abstain(lost) for step in judgement.steps]
