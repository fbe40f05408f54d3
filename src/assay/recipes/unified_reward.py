"""UnifiedReward: pairs to learn from, out of one judge that both compares and scores.

Two responses are drawn and compared several times over, all are scored, and the winner of the highest score is paired
with the loser of the lowest, if it scores higher. The pairs then train a policy or a reward::

    (y+, y-) = (argmax_{won} s(y), argmin_{lost} s(y)),    kept if s(y+) > s(y-)

Deviation: a comparison that cannot be read is no comparison; the released code takes it for a win of the first.

Reference: Wang et al., "Unified Reward Model for Multimodal Understanding and Generation", 2025, arXiv 2503.05236.
"""

from __future__ import annotations

from collections.abc import Callable

from assay.curation.sift import judged, rank_and_sift
from assay.records import Record
from assay.rewards.base import Reward
from assay.training.plan import Curate


def unified_reward(write: Callable[[Record, int, int], str], point: Reward, rounds: int = 5, seed: int = 0) -> Curate:
    """``write`` gives the judge's text about two responses of a record, in the order shown; ``point`` its scores."""
    return rank_and_sift(judged(write), point, rounds=rounds, seed=seed)
