"""Gymnasium: environments whose reward is an Assay reward of what is seen (Farama-Foundation/Gymnasium 1.x,
``gymnasium/core.py`` and ``gymnasium/vector/vector_env.py``); and the reward function of
HumanCompatibleAI/imitation, ``imitation/rewards/reward_function.py``: ``f(state, action, next_state, done)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, TypeAlias, cast, final

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import iterate

from assay.adapters.abstaining import OnAbstain, refuse
from assay.adapters.frames import FrameReward, Rewards, Window
from assay.adapters.pixels import picture
from assay.adapters.rows import Judgement
from assay.media import Video
from assay.rewards.base import Reward

__all__ = ["Mix", "Seeing", "StateReward", "VectorRewards", "VisualReward", "added", "replaced"]

Mix: TypeAlias = Callable[[Any, Any], Any]
"""The environment's own reward and the seen one (floats, or arrays of one an environment) to what the agent gets."""

Seeing: TypeAlias = Callable[[Any], npt.NDArray[Any]]
"""An observation to the frame ``[height, width, 3]`` in it."""


def replaced(own: Any, seen: Any) -> Any:
    """The agent gets what is seen."""
    return seen


@final
@dataclass(frozen=True, slots=True)
class added:  # noqa: N801
    """``own + weight * seen``."""

    weight: float = 1.0

    def __call__(self, own: Any, seen: Any) -> Any:
        return own + self.weight * seen


@final
class VisualReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose steps are rewarded for what is seen after them.

    A frame is what the environment renders (``render_mode="rgb_array"``), or what ``see`` makes of the observation. The
    reward judges the last ``window`` frames of the episode (one: a picture; several: a video; None: all so far) as a
    response to ``task``; a reset forgets them. ``every`` k judges each k-th step, and the last of an episode; 0 judges
    the last alone. Steps that are not judged have a seen reward of 0: their reward came, or comes, with another.

    ``info["assay"]`` holds value, status, message and attributes of a judged step. The reward is a float32's value.

    Raises:
        ValueError: the environment renders no pictures, and there is no ``see``.
        AbstainedError: the reward abstained (``on_abstain`` chooses otherwise).
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        reward: Reward,
        task: Any = "",
        *,
        window: int | None = 1,
        every: int = 1,
        see: Seeing | None = None,
        mix: Mix = replaced,
        on_abstain: OnAbstain = refuse,
    ) -> None:
        super().__init__(env)
        _check(env.render_mode, see, every)
        self._judge = FrameReward(reward, task, on_abstain)
        self._window = Window(window)
        self._every, self._see, self._mix = every, see, mix
        self._steps = 0
        self._fps = _rate(env.metadata)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._window.begin(self._frame(observation))
        self._steps = 0
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, own, terminated, truncated, info = self.env.step(action)
        self._window.add(self._frame(observation))
        self._steps += 1
        seen = np.float32(0.0)
        if terminated or truncated or (self._every and self._steps % self._every == 0):
            judged = self._judge.judged([self._window.shown(self._fps)])
            seen = self._judge.numbers(judged)[0]
            info = {**info, "assay": _told(judged[0])}
        return observation, float(np.float32(self._mix(float(own), seen))), terminated, truncated, info

    def _frame(self, observation: Any) -> Any:
        return self.env.render() if self._see is None else self._see(observation)


@final
class VectorRewards(VectorWrapper):
    """`VisualReward` for environments that step together: one call of the reward a step, for all of them.

    Rewards are ``[environments]`` float32. With gymnasium's autoreset on the next step, the step that only resets an
    environment is no transition: its frame begins the new episode and its seen reward is 0. With autoreset on the same
    step the last frame of an episode is the one in ``info["final_obs"]``, so ``see`` must read it there.

    ``info["assay"]`` holds arrays ``value`` and ``status``, one an environment.

    Raises:
        ValueError: nothing to see, or autoreset on the same step without ``see``.
        AbstainedError: the reward abstained (``on_abstain`` chooses otherwise).
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        reward: Reward,
        task: Any = "",
        *,
        window: int | None = 1,
        see: Seeing | None = None,
        mix: Mix = replaced,
        on_abstain: OnAbstain = refuse,
    ) -> None:
        super().__init__(env)
        _check(env.render_mode, see, 1)
        self._same_step = env.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
        if self._same_step and see is None:
            raise ValueError(
                "autoreset on the same step renders the next episode; give see=, or another autoreset mode"
            )
        self._judge = FrameReward(reward, task, on_abstain)
        self._windows = [Window(window) for _ in range(self.num_envs)]
        self._see, self._mix = see, mix
        self._over = np.zeros(self.num_envs, dtype=bool)
        self._fps = _rate(env.metadata)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        everyone = np.ones(self.num_envs, dtype=bool)
        begun = everyone if options is None else options.get("reset_mask", everyone)
        observations, info = self.env.reset(seed=seed, options=options)
        frames = self._frames(observations)
        for place in _places(begun):
            self._windows[place].begin(frames[place])
        self._over = self._over & ~begun
        return observations, info

    def step(self, actions: Any) -> tuple[Any, Rewards, Any, Any, dict[str, Any]]:
        observations, own, terminated, truncated, info = self.env.step(actions)
        over = np.asarray(terminated) | np.asarray(truncated)
        frames = self._frames(observations)
        moved = _places(~self._over)
        for place in _places(self._over):  # this step only reset them
            self._windows[place].begin(frames[place])
        for place in moved:
            ended = self._same_step and bool(over[place])
            self._windows[place].add(self._seen(info["final_obs"][place]) if ended else frames[place])
        judged = self._judge.judged([self._windows[place].shown(self._fps) for place in moved])
        seen = np.zeros(self.num_envs, dtype=np.float32)
        seen[moved] = self._judge.numbers(judged)
        if self._same_step:
            for place in _places(over):
                self._windows[place].begin(frames[place])
        self._over = over & (not self._same_step)
        rewards = np.asarray(self._mix(np.asarray(own, dtype=np.float32), seen), dtype=np.float32)
        return observations, rewards, terminated, truncated, {**info, "assay": self._told(moved, judged)}

    def _told(self, moved: Sequence[int], judged: Sequence[Judgement]) -> dict[str, Any]:
        values = np.full(self.num_envs, np.nan, dtype=np.float32)
        status = np.full(self.num_envs, "", dtype=object)
        for place, judgement in zip(moved, judged, strict=True):
            values[place] = np.nan if judgement.value is None else judgement.value
            status[place] = str(judgement.status)
        return {"value": values, "status": status}

    def _frames(self, observations: Any) -> Sequence[Any]:
        if self._see is None:
            return cast("Sequence[Any]", self.env.render())
        return [self._see(observation) for observation in iterate(self.env.observation_space, observations)]

    def _seen(self, observation: Any) -> Any:
        assert self._see is not None
        return self._see(observation)


@final
@dataclass(frozen=True)
class StateReward:
    """A reward as imitation's reward functions are called: ``f(state, action, next_state, done) -> [batch]`` float32.

    The reward sees the next state, or, with ``both``, a video of the two; states are pictures
    ``[batch, height, width, 3]`` (or ``[batch, 3, height, width]``), or what ``see`` makes one of. For
    ``RewardVecEnvWrapper(venv, reward_fn)``.
    """

    reward: Reward
    task: Any = ""
    both: bool = False
    see: Seeing | None = None
    on_abstain: OnAbstain = refuse

    def __call__(self, state: Any, action: Any, next_state: Any, done: Any) -> Rewards:
        after = [self._picture(each) for each in next_state]
        seen: list[Any] = list(after)
        if self.both:
            seen = [
                Video.from_frames((self._picture(one), other), 1.0) for one, other in zip(state, after, strict=True)
            ]
        return FrameReward(self.reward, self.task, self.on_abstain)(seen)

    def _picture(self, state: Any) -> Any:
        return picture(state if self.see is None else self.see(state))


def _check(render_mode: str | None, see: Seeing | None, every: int) -> None:
    if every < 0:
        raise ValueError(f"every counts steps, got {every}")
    if see is None and render_mode != "rgb_array":
        cause = f"the environment's render_mode is {render_mode!r}"
        raise ValueError(f'{cause}; make it with render_mode="rgb_array", or give see= to read frames off observations')


def _places(mask: npt.NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(mask).tolist()


def _rate(metadata: dict[str, Any]) -> float:
    return float(metadata.get("render_fps") or 10.0)


def _told(judgement: Judgement) -> dict[str, Any]:
    return {
        "value": judgement.value,
        "status": str(judgement.status),
        "message": judgement.message,
        **({"attributes": dict(judgement.attributes)} if judgement.attributes else {}),
    }
