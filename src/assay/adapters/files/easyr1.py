"""For EasyR1's ``worker.reward.reward_function=FILE.py:compute_score``, which reads the two constants too."""

from assay.adapters.easyr1 import compute_score

REWARD_NAME = "assay"
REWARD_TYPE = "batch"

__all__ = ["REWARD_NAME", "REWARD_TYPE", "compute_score"]
