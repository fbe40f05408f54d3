"""Any reward as a TRL reward function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from assay.rewards.base import Reward, name_of
from assay.rewards.columns import Judgement, judge
from assay.scores import Status

LogExtra = Callable[[str, list[Any]], None]
LogMetric = Callable[[str, float], None]


@final
@dataclass(frozen=True)
class TrlReward:
    """A reward as TRL's trainers call one: ``f(prompts, completions, **columns) -> list[float | None]``.

    See `trl_reward`. It is picklable when the reward is, and ``__name__`` is what TRL logs it under.
    """

    reward: Reward
    name: str
    root: Path = Path()

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_extra: LogExtra | None = None,
        log_metric: LogMetric | None = None,
        **columns: Any,
    ) -> list[float | None]:
        judged = self.judge(prompts, completions, columns)
        log(self.name, judged, log_extra, log_metric)
        return [judgement.value for judgement in judged]

    def judge(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]) -> list[Judgement]:
        """What the reward says of each row, with its status, attributes and steps."""
        media = {kind: _either(columns, kind) for kind in ("images", "videos", "audios")}
        return judge(self.reward, prompts, completions, **media, context=columns, root=self.root)


def trl_reward(reward: Reward, name: str | None = None, root: str | Path = "") -> TrlReward:
    """Any rule or reward as a function for ``reward_funcs`` of TRL's trainers.

    Prompts and completions are text or messages; columns of the data set that the reward needs become the record's
    context, ``image`` and ``images`` its pictures, and so with ``video`` and ``audio`` (`assay.rewards.columns.judge`
    says how rows are read; paths start at ``root``). What else TRL hands over (token ids, the trainer's state) is not
    read.

    An abstention, and a row that cannot be read, is None: TRL leaves it out of the sum over rewards. Where TRL offers
    its logs, the completions' table gets the columns ``NAME_status`` and ``NAME_message``, and the metrics get
    ``NAME/abstained`` (a share of the batch) and the batch's mean of each attribute, ``NAME/ATTRIBUTE``. A reward of
    which lower is better is negated.

    Raises (when called):
        ContractError: the reward broke the contract.
    """
    return TrlReward(reward, name or plain_name(reward), Path(root))


def plain_name(reward: Reward) -> str:
    """A word to call a reward by where only letters, digits and underscores will do."""
    return re.sub(r"\W+", "_", name_of(reward).partition("(")[0]).strip("_") or "reward"


def log(name: str, judged: Sequence[Judgement], extra: LogExtra | None, metric: LogMetric | None) -> None:
    """Say in the trainer's logs what is not a number: who abstained, and why; and the means of the attributes."""
    if extra is not None:
        extra(f"{name}_status", [str(judgement.status) for judgement in judged])
        extra(f"{name}_message", [judgement.message for judgement in judged])
    if metric is not None and judged:
        metric(f"{name}/abstained", sum(judgement.status is not Status.OK for judgement in judged) / len(judged))
        for attribute in dict.fromkeys(key for judgement in judged for key in judgement.attributes):
            cells = [judgement.attributes.get(attribute, float("nan")) for judgement in judged]
            known = [cell for cell in cells if cell == cell]
            if known:
                metric(f"{name}/{attribute}", sum(known) / len(known))


def _either(columns: Mapping[str, Any], plural: str) -> Any:
    """The column of a kind of media under its plural or its singular."""
    return columns.get(plural, columns.get(plural.removesuffix("s")))
