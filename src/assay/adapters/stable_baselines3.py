"""stable-baselines3: vectorised environments whose steps are judged together (DLR-RM/stable-baselines3 2.x,
``common/vec_env/base_vec_env.py``).

    venv = make_vec_env(lambda: Framed(make()), n_envs=8)
    PPO("MlpPolicy", SeenRewards(venv, reward, "Reach the edge."))

A single environment is had with `assay.adapters.gymnasium.VisualReward`, which asks the reward for each environment by
itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat, final

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from assay.adapters.abstaining import OnAbstain, refuse
from assay.adapters.frames import FrameReward, Window
from assay.adapters.gymnasium import Mix, replaced
from assay.rewards.base import Reward

__all__ = ["Framed", "SeenRewards"]

_FRAME = "assay_frame"


@final
class Framed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that renders a frame into the info of each reset and step, where `SeenRewards` finds it.

    A vectorised environment resets what is over before anyone could render the last frame.

    Raises:
        ValueError: the environment's render mode is not ``rgb_array``.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        if env.render_mode != "rgb_array":
            raise ValueError(f'render_mode is {env.render_mode!r}; make the environment with render_mode="rgb_array"')

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, _FRAME: self.env.render()}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, own, terminated, truncated, info = self.env.step(action)
        return observation, own, terminated, truncated, {**info, _FRAME: self.env.render()}


@final
class SeenRewards(VecEnvWrapper):
    """Environments made with `Framed` whose steps are rewarded for what is seen after them: one call of the reward a
    step for all, ``[environments]`` float32.

    The reward judges the last ``window`` frames of each episode as a response to ``task``, as
    `assay.adapters.gymnasium.VisualReward` does. Each ``info["assay"]`` holds value and status. What ``make_vec_env``
    logs of an episode is the environment's own reward; a ``VecMonitor`` around this logs what the agent gets.

    Raises (while stepping):
        KeyError: an environment was not made with `Framed`.
        AbstainedError: the reward abstained (``on_abstain`` chooses otherwise).
    """

    def __init__(
        self,
        venv: VecEnv,
        reward: Reward,
        task: Any = "",
        *,
        window: int | None = 1,
        fps: float = 10.0,
        mix: Mix = replaced,
        on_abstain: OnAbstain = refuse,
    ) -> None:
        super().__init__(venv)
        self._judge = FrameReward(reward, task, on_abstain)
        self._windows = [Window(window) for _ in range(venv.num_envs)]
        self._fps, self._mix = fps, mix

    def reset(self) -> Any:
        observations = self.venv.reset()
        for place in range(self.num_envs):
            self._begin(place)
        return observations

    def step_wait(self) -> Any:
        observations, own, over, infos = self.venv.step_wait()
        for window, info in zip(self._windows, infos, strict=True):
            window.add(_frame(info))
        judged = self._judge.judged([window.shown(self._fps) for window in self._windows])
        rewards = np.asarray(self._mix(np.asarray(own, np.float32), self._judge.numbers(judged)), dtype=np.float32)
        for place, (info, judgement) in enumerate(zip(infos, judged, strict=True)):
            info["assay"] = {"value": judgement.value, "status": str(judgement.status)}
            if over[place]:
                self._begin(place)
        return observations, rewards, over, infos

    def _begin(self, place: int) -> None:
        self._windows[place].begin(_frame(self.venv.reset_infos[place]))


def _frame(info: Mapping[str, Any]) -> Any:
    if _FRAME not in info:
        raise KeyError("no frame in the info of a step: make each environment with Framed(env)")
    return info[_FRAME]
