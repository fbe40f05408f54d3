"""OpenRLHF: the function of a reward file, ``reward_func(queries, prompts, labels)``.

The caller is OpenRLHF 0.11.2 (PyPI), ``openrlhf/utils/agent.py``, ``SingleTurnAgentExecutor``. A file of one's own is
two lines, or none with ``ASSAY_REWARD`` (`assay.adapters.environment`) and the file that is shipped:

    --reward.remote_url $(python -c "import assay.adapters.files.openrlhf as m; print(m.__file__)")

OpenRLHF logs any exception of the function at level INFO and goes on with the reward None, which later breaks its
batch or is taken for a wish to use a reward model: abstentions are best given a number there (``on_abstain``).
The same reward over HTTP, without a file: ``assay serve``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from assay.adapters.abstaining import OnAbstain, columns_of, refuse
from assay.adapters.asked import Asked, Together, context_of, judged, refuse_groups, unjudged
from assay.adapters.environment import configured, once
from assay.adapters.media_index import MediaIndex
from assay.adapters.rows import Judgement
from assay.records.placeholders import around_prompt
from assay.rewards.base import Reward, spec_of
from assay.scores import Status

__all__ = ["ENDS", "OpenRLHFReward", "response_of", "reward_func", "reward_function"]

ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "</s>", "<eos>")
"""What chat models end a turn with; the decoded query still has it."""


@final
@dataclass(frozen=True)
class OpenRLHFReward:
    """A reward as OpenRLHF's reward function; see `reward_function`."""

    reward: Reward
    on_abstain: OnAbstain
    media: MediaIndex | None
    truth: str | None
    ends: tuple[str, ...]
    root: Path
    together: Together[Asked | Judgement] | None

    def __call__(
        self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any] | None = None, **further: Any
    ) -> dict[str, Any]:
        given = [None] * len(queries) if labels is None else list(labels)
        rows = [self._row(*row) for row in zip(queries, prompts, given, strict=True)]
        alone = len(rows) == 1 and self.together is not None
        judgements = [self.together(rows[0])] if alone and self.together else self.judge(rows)
        columns = [columns_of(judgement, self.on_abstain, "rewards") for judgement in judgements]
        rewards = torch.tensor([row["rewards"] for row in columns])
        names = dict.fromkeys(name for row in columns for name in row if name != "rewards")
        extra = {name: torch.tensor([row.get(name, torch.nan) for row in columns]) for name in names}
        return {"rewards": rewards, "scores": self._in_unit(rewards), "extra_logs": extra}

    def judge(self, rows: Sequence[Asked | Judgement]) -> list[Judgement]:
        """Judgements of rows."""
        return judged(self.reward, rows, tags=True, root=self.root)

    def _row(self, query: str, prompt: str, label: Any) -> Asked | Judgement:
        response = response_of(query, prompt, self.ends)
        if response is None:
            return unjudged(Status.INVALID, "the query does not hold its prompt; the response cannot be told from it")
        context = context_of(self.reward, {"label": label}, label, self.truth)
        if self.media is None:
            return Asked(prompt, response, context=context)
        found = self.media.find(dict.fromkeys(self.media.key, label))
        if found is None:
            return unjudged(Status.MISSING_CONTEXT, f"no row of the label {label!r} in the media index")
        media = {kind: found.get(kind, found.get(kind.removesuffix("s"))) for kind in ("images", "videos", "audios")}
        return Asked(found.get("prompt", prompt), response, **media, context=context)

    def _in_unit(self, rewards: Tensor) -> Tensor:
        """Rewards in 0..1 for dynamic filtering: by the range that the reward declares, else the logistic sigmoid."""
        spec = spec_of(self.reward)
        if spec.low is None or spec.high is None or spec.low == spec.high:
            return rewards.sigmoid()
        low, high = (-spec.high, -spec.low) if spec.better == "lower" else (spec.low, spec.high)
        return ((rewards - low) / (high - low)).clamp(0.0, 1.0)


def reward_function(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    media: MediaIndex | None = None,
    truth: str | None = None,
    ends: Sequence[str] = ENDS,
    root: str | Path = "",
) -> OpenRLHFReward:
    """A reward as ``reward_func(queries, prompts, labels)``, name it so in the file:
    ``reward_func = reward_function(assay.load("DIRECTORY"))``.

    It returns ``{"rewards": [B], "scores": [B], "extra_logs": {name: [B]}}``, float tensors. ``scores`` lie in 0..1: by
    the range that the reward declares, else the logistic sigmoid of the reward. A query is the prompt as it was
    templated and the response with its special tokens: the response is what follows the prompt, less one of ``ends``.
    The prompt that the reward sees is therefore templated text, unless ``media`` finds the messages and pictures by the
    row's label.

    OpenRLHF asks for one row at a time from many threads; rows that wait are judged together. A reward that compares
    responses sees but one there: it is refused when called so.
    """
    made = OpenRLHFReward(reward, on_abstain, media, truth, tuple(ends), Path(root), None)
    refuse_groups(reward, "serve it, or use a trainer that hands over groups")
    return OpenRLHFReward(reward, on_abstain, media, truth, tuple(ends), Path(root), Together(made.judge))


def response_of(query: str, prompt: str, ends: Sequence[str] = ENDS) -> str | None:
    """What follows the prompt in a query, less one end of turn; None where it is not there (`around_prompt`)."""
    around = around_prompt(query, prompt)
    if around is None:
        return None
    response = around[1].rstrip("\n")
    return next((response.removesuffix(end) for end in ends if response.endswith(end)), response)


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any] | None = None, **further: Any
) -> dict[str, Any]:
    """The reward in ``ASSAY_REWARD`` (`assay.adapters.environment`)."""
    return _made()(queries, prompts, labels)


@once
def _made() -> OpenRLHFReward:
    said = configured()
    return reward_function(said.reward, on_abstain=said.on_abstain, media=said.media, root=said.root)
