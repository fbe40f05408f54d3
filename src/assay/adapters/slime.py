"""slime: a custom reward function, ``async def rm(args, sample)``, of one sample or of a group.

The caller is THUDM/slime, ``slime/rollout/rm_hub/__init__.py`` (commit 0b420f1ef4161f02d2a00d47c1318eec955a4e2e), and
``Sample`` of ``slime/utils/types.py`` (0d234f3e3a83c81b7d37209994e0b994deacbb24). With ``ASSAY_REWARD``
(`assay.adapters.environment`) no file is needed:

    --custom-rm-path assay.adapters.slime.rm [--group-rm] [--reward-key score]

The server speaks slime's ``--rm-type remote_rm`` as well (``assay serve``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

from assay.adapters.abstaining import OnAbstain, columns_of, number_of, refuse
from assay.adapters.asked import Asked, Together, context_of, judged
from assay.adapters.environment import configured, once
from assay.adapters.rows import Judgement
from assay.rewards.base import Reward, name_of, spec_of

__all__ = ["SlimeReward", "reward_function", "rm"]


@final
@dataclass(frozen=True)
class SlimeReward:
    """A reward as slime's custom reward function; see `reward_function`."""

    reward: Reward
    on_abstain: OnAbstain
    truth: str | None
    remove: bool
    root: Path
    together: Together[Asked | Judgement] | None = None

    async def __call__(self, args: Any, samples: Any, **further: Any) -> Any:
        key: str | None = getattr(args, "reward_key", None)
        if isinstance(samples, list | tuple):
            group = list(cast("Sequence[Any]", samples))
            judgements = await asyncio.to_thread(self.judge, [self._row(sample) for sample in group])
            return [self._told(sample, judgement, key) for sample, judgement in zip(group, judgements, strict=True)]
        if self.together is None or spec_of(self.reward).scale == "within_group":
            raise ValueError(f"{name_of(self.reward)} compares the responses of a prompt; run slime with --group-rm")
        judgement = await asyncio.to_thread(self.together, self._row(samples))
        return self._told(samples, judgement, key)

    def judge(self, rows: Sequence[Asked | Judgement]) -> list[Judgement]:
        """Judgements of rows."""
        return judged(self.reward, rows, tags=True, root=self.root)

    def _row(self, sample: Any) -> Asked:
        media: Mapping[str, Any] = getattr(sample, "multimodal_inputs", None) or {}
        cells = {kind: media.get(kind, media.get(kind.removesuffix("s"))) for kind in ("images", "videos", "audios")}
        given: Mapping[str, Any] = getattr(sample, "metadata", None) or {}
        context = context_of(self.reward, {**given, "label": sample.label}, sample.label, self.truth)
        return Asked(sample.prompt, sample.response, **cells, context=context)

    def _told(self, sample: Any, judgement: Judgement, key: str | None) -> Any:
        if judgement.value is None and self.remove:
            sample.remove_sample = True
            judgement = Judgement(0.0, judgement.status, judgement.message, judgement.attributes)
        if key:
            return {**columns_of(judgement, self.on_abstain, key), "status": str(judgement.status)}
        return number_of(judgement, self.on_abstain)


def reward_function(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    remove: bool = False,
    truth: str | None = None,
    root: str | Path = "",
) -> SlimeReward:
    """A reward as slime's ``async def rm(args, sample)``, and of ``--group-rm``, ``rm(args, samples)``.

    It returns a float a sample; with ``--reward-key K`` a dictionary of ``K``, ``status``, ``abstained`` and the
    attributes. The prompt, the response and the media (``multimodal_inputs``) are the sample's; ``label`` and the
    metadata are context, and the label fills the one column that the reward needs besides (or ``truth``).

    slime has no word for an abstention: it raises, or is what ``on_abstain`` says. With ``remove`` the sample is marked
    ``remove_sample``, which takes it out of the loss; its reward of 0.0 still enters the mean of its group.

    Raises:
        AbstainedError: (when called) the reward abstained, and ``on_abstain`` refuses.
        ValueError: (when called) one sample of a reward that compares responses.
    """
    made = SlimeReward(reward, on_abstain, truth, remove, Path(root))
    return SlimeReward(reward, on_abstain, truth, remove, Path(root), Together(made.judge))


async def rm(args: Any, sample: Any, **further: Any) -> Any:
    """The reward of ``ASSAY_REWARD``: ``--custom-rm-path assay.adapters.slime.rm``."""
    return await _made()(args, sample, **further)


@once
def _made() -> SlimeReward:
    said = configured()
    return reward_function(said.reward, on_abstain=said.on_abstain, root=said.root)
