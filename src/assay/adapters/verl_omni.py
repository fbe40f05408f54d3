"""verl-omni: rewards of generated pictures and videos, handed over as uint8 tensors.

The callers are verl-project/verl-omni, ``verl_omni/reward_loop/reward_manager/visual.py`` (commit
1486d9cea111b6c5f20d71778f96d4f1916e54ad) and ``multi.py`` (061f8b95a8c68734044bcd13b1e6f39c89f31baa): by keyword
``data_source, solution_image, ground_truth, extra_info`` and, with a reward model, a router's address and more.

    reward.reward_functions.assay={path: pkg://assay.adapters.verl_omni, name: assay_reward, weight: 1, required: true}

``required: true`` matters: without it the multi-reward manager turns any exception, an abstention's too, into 0.0.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch

from assay.adapters.abstaining import OnAbstain, refuse
from assay.adapters.asked import Asked, Together, refuse_groups, unjudged
from assay.adapters.environment import configured, once
from assay.adapters.media_index import MediaIndex
from assay.adapters.pixels import picture, tensor_of, video
from assay.adapters.rows import Judgement
from assay.adapters.verl import VerlRows, answer, learnt
from assay.media import Image, Video
from assay.rewards.base import Reward
from assay.scores import Status

__all__ = ["VerlOmniScore", "assay_reward", "compute_score"]

_LOG = logging.getLogger(__name__)
_KNOWN = frozenset({"reward_router_address", "reward_model_tokenizer", "model_name", "sampling_params"})


@final
@dataclass(frozen=True)
class VerlOmniScore:
    """A reward as verl-omni's ``compute_score``; see `compute_score`."""

    rows: VerlRows
    on_abstain: OnAbstain
    fps: float
    together: Together[Asked | Judgement]
    names: list[str] = field(compare=False)
    fixed: bool = False
    ignored: set[str] = field(default_factory=set[str], compare=False, repr=False)

    def __call__(
        self,
        data_source: Any,
        solution_image: Any,
        ground_truth: Any = None,
        extra_info: Mapping[str, Any] | None = None,
        **further: Any,
    ) -> dict[str, Any]:
        self._say_ignored(further)
        judgement = self.together(self._row(data_source, solution_image, ground_truth, extra_info))
        return answer(judgement, self.on_abstain, learnt(self.names, self.fixed, [judgement]))

    def _row(self, source: Any, pixels: Any, truth: Any, extra: Mapping[str, Any] | None) -> Asked | Judgement:
        try:
            shown = medium_of(pixels, self.fps)
        except (TypeError, ValueError) as error:
            return unjudged(Status.UNREADABLE_MEDIA, str(error))
        given = dict(extra or {})
        said = [given.get(name) for name in ("prompt", "question")]
        if isinstance(truth, str) and not any(one is not None and len(one) for one in said):
            given["prompt"] = truth
        return self.rows.row(source, truth, given, [shown])

    def _say_ignored(self, further: Mapping[str, Any]) -> None:
        new = set(further) - _KNOWN - self.ignored
        if new:
            self.ignored.update(new)
            _LOG.warning("arguments that no Assay reward reads: %s", ", ".join(sorted(new)))


def compute_score(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    fps: float = 8.0,
    media: MediaIndex | None = None,
    truth: str | None = None,
    attributes: Sequence[str] | None = None,
    root: str | Path = "",
) -> VerlOmniScore:
    """A reward of pictures or videos as ``compute_score(data_source, solution_image, ground_truth, extra_info, ...)``.

    ``solution_image`` is uint8 ``[3, height, width]``, a picture, or ``[frames, 3, height, width]`` (also
    ``[3, frames, height, width]``), a video of ``fps`` frames a second. The prompt is ``extra_info``'s, else the
    ``ground_truth``, which is where verl-omni's data for pictures keep it. Whatever else is passed is ignored, and
    logged once. The other arguments and the answer are those of `assay.adapters.verl.compute_score`.
    """
    refuse_groups(reward, "verl-omni asks for each picture alone")
    rows = VerlRows(reward, media, truth, Path(root))
    return VerlOmniScore(rows, on_abstain, fps, Together(rows.judge), list(attributes or ()), attributes is not None)


def medium_of(pixels: Any, fps: float) -> Image | Video:
    """The picture or video of a uint8 tensor (or array).

    Raises:
        TypeError: another type than uint8.
        ValueError: another shape.
    """
    tensor = tensor_of(pixels)
    if tensor.dtype != torch.uint8:
        raise TypeError(f"solution_image is {tensor.dtype}, not uint8: latents and floats are no pictures")
    if tensor.ndim == 4 and tensor.shape[1] != 3 and tensor.shape[0] == 3:
        tensor = tensor.transpose(0, 1)
    return video(tensor, fps) if tensor.ndim == 4 else picture(tensor)


def assay_reward(
    data_source: Any,
    solution_image: Any,
    ground_truth: Any = None,
    extra_info: Mapping[str, Any] | None = None,
    **further: Any,
) -> dict[str, Any]:
    """``compute_score`` of the reward in ``ASSAY_REWARD`` (`assay.adapters.environment`)."""
    return _made()(data_source, solution_image, ground_truth, extra_info, **further)


@once
def _made() -> VerlOmniScore:
    said = configured()
    return compute_score(said.reward, on_abstain=said.on_abstain, media=said.media, root=said.root)
