"""Real Gymnasium environments, single and vector, and a real PPO of stable-baselines3, rewarded for what is seen."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from assay.adapters.abstaining import AbstainedError, worth
from assay.adapters.frames import relabelled
from assay.adapters.gymnasium import StateReward, VectorRewards, VisualReward, added
from assay.media import Video
from assay.rewards.rules.judging import Abstention, Rule, judge_responses
from assay.scores import Status
from assay.spec import Spec

SIDE = 8


class Walk(gymnasium.Env):
    """A white column on black that the agent moves left or right; its own reward is -1 a step. ``length`` steps."""

    def __init__(self, length=6, start=3, render_mode="rgb_array"):
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.render_mode, self.length, self.start = render_mode, length, start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = self.start, 0
        return self.render(), {}

    def step(self, action):
        self.place = int(np.clip(self.place + (1 if action else -1), 0, SIDE - 1))
        self.steps += 1
        return self.render(), -1.0, False, self.steps >= self.length, {"own": True}

    def render(self):
        drawn = np.zeros((SIDE, SIDE, 3), np.uint8)
        drawn[:, self.place] = 255
        return drawn


def column(image):
    return float(np.asarray(image.pil())[0, :, 0].argmax())


def place(record, response):
    """The column that is white in the last frame; one hundred for each frame before it."""
    part = response.messages[0].parts[0]
    frames = part.frames if isinstance(part, Video) else (part,)
    return 100.0 * (len(frames) - 1) + column(frames[-1])


PLACE = Rule("place", place, Spec(modalities=frozenset({"image", "video"})), through=judge_responses)


def refusing(record, response):
    return Abstention(Status.TIMEOUT, "too slow")


REFUSING = Rule("refusing", refusing, Spec(), through=judge_responses)


def rewards_of(env, actions):
    return [env.step(action) for action in actions]


def test_the_checker_of_gymnasium_passes_and_rewards_are_what_is_seen():
    from gymnasium.utils.env_checker import check_env

    env = VisualReward(Walk(), PLACE, "go right")
    check_env(env, skip_render_check=True)
    env.reset(seed=0)
    steps = rewards_of(env, [1, 1, 0])
    assert [reward for _, reward, *_ in steps] == [4.0, 5.0, 4.0]
    assert isinstance(steps[0][1], float)
    assert steps[0][4] == {"own": True, "assay": {"value": 4.0, "status": "ok", "message": ""}}


def test_a_window_of_frames_is_a_video_and_a_reset_forgets_it():
    env = VisualReward(Walk(), PLACE, window=3)
    env.reset()
    assert [reward for _, reward, *_ in rewards_of(env, [1, 1, 1])] == [104.0, 205.0, 206.0]
    env.reset()
    assert env.step(1)[1] == 104.0
    whole = VisualReward(Walk(), PLACE, window=None)
    whole.reset()
    assert [reward for _, reward, *_ in rewards_of(whole, [1] * 4)] == [104.0, 205.0, 306.0, 407.0]


def test_steps_between_and_the_end_alone_and_mixing():
    env = VisualReward(Walk(), PLACE, every=4, mix=added(2.0))
    env.reset()
    assert [reward for _, reward, *_ in rewards_of(env, [1, 0] * 3)] == [-1, -1, -1, 5.0, -1, 5.0]
    last = VisualReward(Walk(), PLACE, every=0, window=None)
    last.reset()
    steps = rewards_of(last, [1, 0] * 3)
    assert [reward for _, reward, *_ in steps] == [0, 0, 0, 0, 0, 603.0]
    assert ["assay" in info for *_, info in steps] == [False] * 5 + [True]


def test_an_abstention_stops_the_run_or_is_worth_what_was_said():
    env = VisualReward(Walk(), REFUSING)
    env.reset()
    with pytest.raises(AbstainedError, match=r"timeout.*too slow"):
        env.step(1)
    kept = VisualReward(Walk(), REFUSING, on_abstain=worth(-3.0))
    kept.reset()
    _, reward, *_, info = kept.step(1)
    assert reward == -3.0
    assert info["assay"] == {"value": None, "status": "timeout", "message": "too slow"}


def test_what_cannot_be_seen_is_refused():
    with pytest.raises(ValueError, match="rgb_array"):
        VisualReward(Walk(render_mode=None), PLACE)
    with pytest.raises(ValueError, match="at least one frame"):
        VisualReward(Walk(), PLACE, window=0)
    same = SyncVectorEnv([Walk], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="same step"):
        VectorRewards(same, PLACE)
    env = VisualReward(Walk(render_mode=None), PLACE, see=lambda observation: observation)
    env.reset()
    assert env.step(1)[1] == 4.0


class Counted:
    spec = Spec(modalities=frozenset({"image", "video"}))

    def __init__(self):
        self.calls = []

    def __call__(self, records, /):
        self.calls.append(sum(len(record.responses) for record in records))
        return PLACE(records)


def test_vector_environments_are_judged_together_and_a_reset_step_is_no_transition():
    reward = Counted()
    venv = SyncVectorEnv([lambda: Walk(2, 3), lambda: Walk(3, 5)])
    env = VectorRewards(venv, reward, window=2)
    env.reset(seed=0)
    given = [env.step(np.array([1, 1])) for _ in range(4)]
    assert [step[1].tolist() for step in given] == [[104, 106], [105, 107], [0, 107], [104, 0]]
    assert all(step[1].dtype == np.float32 for step in given)
    assert all(step[1].shape == (2,) for step in given)
    assert reward.calls == [2, 2, 1, 1]
    assert given[2][4]["assay"]["status"].tolist() == ["", "ok"]


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_other_ways_to_reset(mode):
    venv = SyncVectorEnv([lambda: Walk(2, 3), lambda: Walk(3, 5)], autoreset_mode=mode)
    env = VectorRewards(venv, PLACE, window=None, see=lambda observation: observation)
    env.reset()
    actions = np.array([1, 1])
    assert env.step(actions)[1].tolist() == [104, 106]
    assert env.step(actions)[1].tolist() == [205, 207]
    if mode is AutoresetMode.DISABLED:
        env.reset(options={"reset_mask": np.array([True, False])})
    assert env.step(actions)[1].tolist() == [104, 307]


def test_a_vector_reward_is_what_single_environments_give():
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 2, (5, 3))
    env = VectorRewards(SyncVectorEnv([Walk] * 3), PLACE, window=3)
    env.reset()
    together = np.array([env.step(row)[1] for row in actions])
    for number in range(3):
        single = VisualReward(Walk(), PLACE, window=3)
        single.reset()
        assert [single.step(action)[1] for action in actions[:, number]] == together[:, number].tolist()


def test_recorded_episodes_are_relabelled_in_one_call():
    reward = Counted()
    frames = np.zeros((5, SIDE, SIDE, 3), np.uint8)
    for step in range(5):
        frames[step, :, step] = 255
    first, second = relabelled(reward, "go", [frames[:3], frames[3:]], window=2)
    assert (first.tolist(), second.tolist()) == ([0, 101, 102], [3, 104])
    assert first.dtype == np.float32
    assert reward.calls == [5]
    assert relabelled(reward, "go", []) == []
    floats = relabelled(reward, "go", [frames.astype(np.float32) / 255])[0]
    assert floats.tolist() == [0, 1, 2, 3, 4]


def test_the_shape_of_imitation():
    states = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    after = states.copy()
    for row in range(3):
        after[row, :, row + 1] = 255
    reward = StateReward(PLACE, "go right")
    got = reward(states, np.zeros(3), after, np.zeros(3, bool))
    assert (got.tolist(), got.dtype, got.shape) == ([1, 2, 3], np.float32, (3,))
    assert StateReward(PLACE, both=True)(states, np.zeros(3), after, np.zeros(3, bool)).tolist() == [101, 102, 103]
    channels_first = after.transpose(0, 3, 1, 2)
    assert reward(channels_first, None, channels_first, None).tolist() == [1, 2, 3]
    with pytest.raises(AbstainedError):
        StateReward(REFUSING)(states, None, after, None)


class Line(Walk):
    """`Walk` that an agent observes as one number; the picture is for the reward."""

    def __init__(self):
        super().__init__(length=8)
        self.observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        _, info = super().reset(seed=seed)
        return self.seen(), info

    def step(self, action):
        _, *rest = super().step(action)
        return self.seen(), *rest

    def seen(self):
        return np.array([self.place / SIDE], np.float32)


@pytest.fixture
def sb3():
    return pytest.importorskip("stable_baselines3")


@pytest.mark.usefixtures("sb3")
def test_environments_of_stable_baselines3_are_judged_together_and_keep_their_last_frames():
    from stable_baselines3.common.env_util import make_vec_env

    from assay.adapters.stable_baselines3 import Framed, SeenRewards

    reward = Counted()
    starts = iter((3, 5))
    venv = SeenRewards(make_vec_env(lambda: Framed(Walk(2, next(starts))), n_envs=2), reward, "go", window=2)
    venv.reset()
    given = [venv.step(np.array([1, 1])) for _ in range(3)]
    assert [step[1].tolist() for step in given] == [[104, 106], [105, 107], [104, 106]]
    assert given[0][1].dtype == np.float32
    assert [step[2].tolist() for step in given] == [[False] * 2, [True] * 2, [False] * 2]
    assert given[1][3][0]["assay"] == {"value": 105.0, "status": "ok"}
    assert reward.calls == [2, 2, 2]
    plain = SeenRewards(make_vec_env(Walk, n_envs=1), PLACE)
    with pytest.raises(KeyError, match="Framed"):
        plain.reset()
    with pytest.raises(ValueError, match="rgb_array"):
        Framed(Walk(render_mode=None))


def test_ppo_of_stable_baselines3_learns_what_the_picture_reward_says(sb3):
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecMonitor

    from assay.adapters.stable_baselines3 import Framed, SeenRewards

    venv = VecMonitor(SeenRewards(make_vec_env(lambda: Framed(Line()), n_envs=4, seed=0), PLACE, "go right"))
    small = {"net_arch": [16]}
    agent = sb3.PPO(
        "MlpPolicy", venv, n_steps=32, batch_size=64, learning_rate=1e-2, gamma=0.9, seed=0, policy_kwargs=small,
        device="cpu",
    )  # fmt: skip
    before, _ = evaluate_policy(agent, venv, n_eval_episodes=20, deterministic=False)
    agent.learn(2048)
    after, _ = evaluate_policy(agent, venv, n_eval_episodes=20, deterministic=False)
    best = 4 + 5 + 6 + 7 * 5
    assert before < 0.75 * best
    assert after > 0.9 * best
