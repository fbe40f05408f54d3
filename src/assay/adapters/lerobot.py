"""lerobot: a reward with the call of its reward models, ``compute_reward(batch) -> Tensor[B]``.

The shape is that of huggingface/lerobot, ``src/lerobot/rewards/pretrained.py``
(71c62e796b9adbcc00966332fb9ab2ab66b26fe1), and of the batches that ``rewards/robo_reward/modeling_robo_reward.py``
(a03bfa231d271b612eec0279b0de4c26036ae300) reads. lerobot itself is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from assay.adapters.abstaining import OnAbstain, number_of, refuse
from assay.adapters.pixels import picture, video
from assay.adapters.rows import Judgement, judge
from assay.media import Image, Video
from assay.rewards.base import Reward

__all__ = ["BatchReward"]


@final
@dataclass(frozen=True)
class BatchReward:
    """A reward of the frames of a batch under their tasks.

    ``cameras`` are the keys of frames, ``[B, 3, height, width]`` (a picture each) or ``[B, T, 3, height, width]`` (a
    film of ``fps`` frames a second each), uint8 or floats in 0..1: frames as the data set gives them, before they are
    normalised. ``task_key`` holds the tasks, text each, or one text for all rows; a batch without it is judged under
    ``task``.

    The frames are copied to 8 bits, so a score has no gradient in them.
    """

    reward: Reward
    cameras: tuple[str, ...] = ("observation.image",)
    task_key: str = "task"
    task: str = ""
    fps: float = 10.0
    on_abstain: OnAbstain = refuse

    def compute_reward(self, batch: Mapping[str, Any]) -> Tensor:
        """``[B]`` float32, on the device of the frames.

        Raises:
            KeyError: a camera is not in the batch.
            ValueError: frames of another shape, or cameras of batches of different sizes.
            AbstainedError: the reward abstained, with ``on_abstain=refuse``.
        """
        judged = self.judged(batch)
        numbers = [number_of(judgement, self.on_abstain) for judgement in judged]
        return torch.tensor(numbers, dtype=torch.float32, device=batch[self.cameras[0]].device)

    def judged(self, batch: Mapping[str, Any]) -> list[Judgement]:
        """What the reward says of each row, with its status."""
        films = [[self._seen(frames) for frames in _frames(batch, camera)] for camera in self.cameras]
        if len({len(film) for film in films}) != 1:
            raise ValueError(f"cameras of {[len(film) for film in films]} rows")
        given: Any = batch.get(self.task_key)
        tasks = self.task if given is None else given
        each: Sequence[Any] = [tasks] * len(films[0]) if isinstance(tasks, str) else tasks
        return judge(self.reward, each, [list(row) for row in zip(*films, strict=True)])

    def reset(self) -> None:
        """Nothing is kept between batches."""

    def _seen(self, frames: Tensor) -> Image | Video:
        return picture(frames) if frames.ndim == 3 else video(frames, self.fps)


def _frames(batch: Mapping[str, Any], camera: str) -> Tensor:
    if camera not in batch:
        raise KeyError(f"no {camera!r} in the batch, which has {sorted(map(str, batch))}")
    frames: Tensor = batch[camera]
    if frames.ndim not in (4, 5):
        raise ValueError(f"{camera} is [B, 3, height, width] or [B, T, 3, height, width], got {list(frames.shape)}")
    return frames
