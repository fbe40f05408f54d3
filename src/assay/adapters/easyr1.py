"""EasyR1: ``compute_score`` of a list of rows, or of one.

The caller is hiyouga/EasyR1, ``verl/workers/reward/function.py`` (commit 46c6c210fddc939f81cf638f7d41d180ffdb17b7). It
reads ``overall`` and averages every other key. Newer versions take ``REWARD_NAME`` and ``REWARD_TYPE`` from the module.
With ``ASSAY_REWARD`` (`assay.adapters.environment`):

    worker.reward.reward_function=.../assay/adapters/files/easyr1.py:compute_score

It hands over the response and the ground truth alone, no prompt and no picture: this is the place of rules, and of
rewards that find the rest by the ground truth (``media`` with the key ``ground_truth``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

from assay.adapters.abstaining import OnAbstain, columns_of, refuse
from assay.adapters.asked import refuse_groups
from assay.adapters.environment import configured, once
from assay.adapters.media_index import MediaIndex
from assay.adapters.verl import VerlRows
from assay.rewards.base import Reward

__all__ = ["EasyR1Batch", "EasyR1Single", "batch", "compute_score", "sequential"]


@final
@dataclass(frozen=True)
class EasyR1Batch:
    """A reward as EasyR1's batch function; see `batch`."""

    rows: VerlRows
    on_abstain: OnAbstain

    def __call__(self, reward_inputs: Sequence[Mapping[str, Any]], **config: Any) -> list[dict[str, float]]:
        asked = [
            self.rows.row(None, row.get("ground_truth"), {**config, **row}, row.get("response", ""))
            for row in reward_inputs
        ]
        answers = [columns_of(judgement, self.on_abstain, "overall") for judgement in self.rows.judge(asked)]
        return [{name: cell for name, cell in row.items() if name == "overall" or cell == cell} for row in answers]


@final
@dataclass(frozen=True)
class EasyR1Single:
    """A reward as EasyR1's sequential function; see `sequential`."""

    batch: EasyR1Batch

    def __call__(self, reward_input: Mapping[str, Any], **config: Any) -> dict[str, float]:
        return self.batch([reward_input], **config)[0]


def batch(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    media: MediaIndex | None = None,
    truth: str | None = None,
    root: str | Path = "",
) -> EasyR1Batch:
    """A reward as ``compute_score(reward_inputs, **config) -> [{"overall", "abstained", attributes...}]``.

    Arguments of the configuration are context columns of every row. A cell of an attribute without a number is left
    out, for EasyR1 averages each key over the rows that have it. The other arguments: `assay.adapters.verl`.

    Raises:
        AbstainedError: (when called) the reward abstained, and ``on_abstain`` refuses.
    """
    return EasyR1Batch(VerlRows(reward, media, truth, Path(root)), on_abstain)


def sequential(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    media: MediaIndex | None = None,
    truth: str | None = None,
    root: str | Path = "",
) -> EasyR1Single:
    """`batch` for ``REWARD_TYPE = "sequential"``: one row in, one dictionary out.

    Raises:
        ValueError: the reward compares the responses of a prompt.
    """
    refuse_groups(reward, 'use batch with REWARD_TYPE = "batch"')
    return EasyR1Single(batch(reward, on_abstain=on_abstain, media=media, truth=truth, root=root))


def compute_score(reward_inputs: Any, **config: Any) -> Any:
    """The reward of ``ASSAY_REWARD``, for either type: a list of rows gives a list, one row a dictionary."""
    if isinstance(reward_inputs, Mapping):
        return _made()([cast("Mapping[str, Any]", reward_inputs)], **config)[0]
    return _made()(reward_inputs, **config)


@once
def _made() -> EasyR1Batch:
    said = configured()
    return batch(said.reward, on_abstain=said.on_abstain, media=said.media, root=said.root)
