"""imitation's wrapper gives environments our reward of what is seen."""

import json
import sys
from pathlib import Path

import gymnasium
import numpy as np
from data import GREYS
from imitation.rewards.reward_wrapper import RewardVecEnvWrapper
from stable_baselines3.common.vec_env import DummyVecEnv

sys.path.insert(0, str(Path(__file__).parent))
from assay.adapters.gymnasium import StateReward
from rewards import brightness


class Fade(gymnasium.Env):
    """Each step is one grey brighter; an episode is over at the brightest."""

    observation_space = gymnasium.spaces.Box(0, 255, (8, 6, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.place = 0
        return self.seen(), {}

    def step(self, action):
        self.place += 1
        return self.seen(), 0.0, self.place == len(GREYS) - 1, False, {}

    def seen(self):
        return np.full((8, 6, 3), GREYS[self.place], np.uint8)


venv = RewardVecEnvWrapper(DummyVecEnv([Fade, Fade]), StateReward(brightness(), "Make it bright."))
venv.reset()
given = [venv.step(np.zeros(2, int)) for _ in range(4)]
rewards = [step[1] for step in given]
print(
    json.dumps(
        {
            "rewards": [row.tolist() for row in rewards],
            "dtypes": sorted({str(row.dtype) for row in rewards}),
            "over": [bool(step[2][0]) for step in given],
        }
    )
)
