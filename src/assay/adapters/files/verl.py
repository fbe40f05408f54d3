"""For verl's ``reward.custom_reward_function.path=FILE.py``."""

from assay.adapters.verl import assay_reward, assay_rewards

__all__ = ["assay_reward", "assay_rewards"]
