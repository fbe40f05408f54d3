"""NeMo-RL: an environment whose reward is an Assay reward, and preference rows for its reward-model training.

The callers are NVIDIA-NeMo/RL, ``nemo_rl/environments/interfaces.py`` (0b8a793a08595fcdb9637324fee230e30c72ce54), whose
``vlm_environment.py`` (25302508ddd329241e75083d3d56b04d89a7921e) shows what a message log holds, and
``nemo_rl/data/datasets/preference_datasets/preference_dataset.py`` (07cd9a1bcfeeddea1ecbf4bce6eb26a1f2d4172f).

NeMo-RL runs environments as Ray actors: ``ray.remote(RewardEnvironment).remote(reward)``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast, final

import torch
from torch import Tensor

from assay.adapters.abstaining import OnAbstain, number_of, refuse
from assay.adapters.asked import Asked, context_of, judged, unjudged
from assay.adapters.rows import Judgement
from assay.records import Record
from assay.records.chat import to_chat
from assay.records.pairs import ordered_pairs
from assay.rewards.base import Reward
from assay.scores import Status

__all__ = ["Returned", "RewardEnvironment", "preference_rows"]

_TURN = ("role", "content", "tool_calls", "tool_call_id", "name")


@final
class Returned(NamedTuple):
    """``EnvironmentReturn`` field for field, where NeMo-RL is not installed."""

    observations: list[dict[str, str]]
    metadata: list[Any]
    next_stop_strings: list[Any]
    rewards: Tensor
    terminateds: Tensor
    answers: list[str | None] | None = None


@final
@dataclass(frozen=True)
class RewardEnvironment:
    """One turn, and its reward: ``step(message_log_batch, metadata)`` ends every episode.

    The prompt is the log up to its first assistant's turn, the response the rest; tokens in the log are not read.
    Pictures stand in the content, as parts (``{"type": "image", "image": ...}``). ``metadata`` are the context columns
    of each row; its ``ground_truth`` fills the one column that the reward needs besides (or ``truth``).

    NeMo-RL's rewards are a tensor that it averages: an abstention raises, or is what ``on_abstain`` says. Its status is
    in the observation and in the metadata under ``assay``.
    """

    reward: Reward
    on_abstain: OnAbstain = refuse
    truth: str | None = None
    root: str | Path = ""

    def step(self, message_log_batch: Sequence[Sequence[Mapping[str, Any]]], metadata: Sequence[Any]) -> Any:
        """``EnvironmentReturn`` with rewards ``[batch]`` float32 and all episodes ended.

        Raises:
            AbstainedError: the reward abstained, and ``on_abstain`` refuses.
        """
        rows = [self._row(log, given) for log, given in zip(message_log_batch, metadata, strict=True)]
        judgements = judged(self.reward, rows, root=self.root)
        rewards = [number_of(judgement, self.on_abstain) for judgement in judgements]
        return _returned()(
            observations=[_observed(judgement, value) for judgement, value in zip(judgements, rewards, strict=True)],
            metadata=[_noted(given, judgement) for given, judgement in zip(metadata, judgements, strict=True)],
            next_stop_strings=[None] * len(rows),
            rewards=torch.tensor(rewards, dtype=torch.float32),
            terminateds=torch.ones(len(rows), dtype=torch.bool),
            answers=[row.completion[-1].get("content") if isinstance(row, Asked) else None for row in rows],
        )

    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
        """The batch as it is, and figures of its rewards (``rewards`` ``[batch]``)."""
        rewards = torch.as_tensor(batch["rewards"], dtype=torch.float32)
        known = rewards[~torch.isnan(rewards)]
        figures = {"assay/num_samples": float(rewards.numel()), "assay/num_scored": float(known.numel())}
        if known.numel():
            figures |= {
                "assay/mean_reward": float(known.mean()),
                "assay/min_reward": float(known.min()),
                "assay/max_reward": float(known.max()),
            }
        return batch, figures

    def shutdown(self) -> None:
        """Nothing is held."""

    def _row(self, log: Sequence[Mapping[str, Any]], given: Any) -> Asked | Judgement:
        turns = [{name: turn[name] for name in _TURN if turn.get(name) is not None} for turn in log]
        first = next((place for place, turn in enumerate(turns) if turn.get("role") == "assistant"), None)
        if first is None:
            return unjudged(Status.EMPTY, "the message log has no turn of the assistant")
        columns = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
        answered = [turn for turn in turns[first:] if turn.get("role") != "environment"]
        context = context_of(self.reward, columns, columns.get("ground_truth"), self.truth)
        return Asked(turns[:first], answered, context=context)


def preference_rows(records: Sequence[Record], task: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of the rank format, ``{"context", "completions": [{"rank": 0, ...}, {"rank": 1, ...}]}``: one for each
    preference of a record, the better response at rank 0. Ties give no row; messages with media give none either, for
    the format is read from JSON.

    Raises:
        BadRowError: a record in which nothing orders two responses, or one with media.
    """
    for record in records:
        for _, preference in ordered_pairs(record):
            completions = [
                {"rank": rank, "completion": to_chat(record.responses[place].messages)}
                for rank, place in enumerate((preference.better, preference.worse))
            ]
            named = {} if task is None else {"task_name": task}
            yield {"context": to_chat(record.prompt), "completions": completions, **named}


def _returned() -> Any:
    if importlib.util.find_spec("nemo_rl") is None:
        return Returned
    return importlib.import_module("nemo_rl.environments.interfaces").EnvironmentReturn


def _observed(judgement: Judgement, value: float) -> dict[str, str]:
    said = f"reward {value:g}" if judgement.value is not None else f"no reward ({judgement.status})"
    return {"role": "environment", "content": f"Environment: {said}"}


def _noted(given: Any, judgement: Judgement) -> Any:
    noted = {"status": str(judgement.status), "message": judgement.message, **judgement.attributes}
    return {**cast("Mapping[str, Any]", given), "assay": noted} if isinstance(given, Mapping) else {"assay": noted}
