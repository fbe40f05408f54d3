"""The frames of an episode that a reward is shown, and what it says of several episodes at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from assay.adapters.abstaining import OnAbstain, number_of, refuse
from assay.adapters.pixels import picture
from assay.adapters.rows import Judgement, judge
from assay.media import Image, Video
from assay.rewards.base import Reward

Rewards = npt.NDArray[np.float32]


@final
class Window:
    """The last ``size`` frames of one episode, oldest first; all of them with None."""

    def __init__(self, size: int | None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"a window holds at least one frame, got {size}")
        self._frames: deque[Image] = deque(maxlen=size)

    def begin(self, frame: Any) -> None:
        """Forget the episode before; the new one starts with this frame."""
        self._frames.clear()
        self.add(frame)

    def add(self, frame: Any) -> None:
        self._frames.append(picture(frame))

    def shown(self, fps: float) -> Image | Video:
        """The frame, where the window is of one; else a video of those that there are."""
        frames = tuple(self._frames)
        return frames[0] if self._frames.maxlen == 1 else Video.from_frames(frames, fps)


@final
@dataclass(frozen=True)
class FrameReward:
    """A reward of frames under a task: the task is the prompt, what is seen the response.

    ``task`` is text, or a list of text and media such as a picture of the goal. ``on_abstain`` says what stands for an
    abstention (`assay.adapters.abstaining`): by default the run stops and says why.
    """

    reward: Reward
    task: Any
    on_abstain: OnAbstain = refuse

    def judged(self, seen: Sequence[Any]) -> list[Judgement]:
        """A judgement of each image or video, in one call of the reward."""
        return judge(self.reward, [self.task] * len(seen), seen)

    def numbers(self, judged: Sequence[Judgement]) -> Rewards:
        """``[seen]`` float32."""
        return np.array([number_of(judgement, self.on_abstain) for judgement in judged], dtype=np.float32)

    def __call__(self, seen: Sequence[Any]) -> Rewards:
        return self.numbers(self.judged(seen))


def relabelled(
    reward: Reward,
    task: Any,
    episodes: Iterable[Sequence[Any]],
    *,
    window: int | None = 1,
    fps: float = 10.0,
    on_abstain: OnAbstain = refuse,
) -> list[Rewards]:
    """Rewards for recorded episodes: ``[frames]`` float32 each, all steps of all episodes in one call of the reward.

    An episode is its frames in order, uint8 (or floats in 0..1) ``[height, width, 3]``; frame t is judged with the
    ``window - 1`` frames before it in its own episode (None: with all before it, the trajectory so far).
    """
    seen: list[Image | Video] = []
    lengths: list[int] = []
    for episode in episodes:
        frames = Window(window)
        for frame in episode:
            frames.add(frame)
            seen.append(frames.shown(fps))
        lengths.append(len(episode))
    rewards = FrameReward(reward, task, on_abstain)(seen)
    return np.split(rewards, np.cumsum(lengths)[:-1]) if lengths else []
