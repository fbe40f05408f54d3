"""Secrets of RLHF II: how strong each preference is by the vote of several rewards, and what to do with weak ones.

Several rewards are trained on the same data in other orders and from other starts. The mean of their margins on a pair
is its strength: below 0 the label is likely wrong, near 0 the pair is ambiguous. Labels of negative strength are
flipped, softened or dropped, or the strength becomes the margin of the loss, before the final reward is trained::

    mu = mean_m [r_m(x, y_c) - r_m(x, y_r)]        flip: y_c <-> y_r where mu < 0

Deviation: the threshold is 0, not the lowest fifth (`curation.strength.lowest` gives that). The paper's meta-learned
reward is `training.gradients.meta_reward_step`, its contrastive term `objectives.contrastive.info_nce`.

Reference: Wang et al., "Secrets of RLHF in Large Language Models Part II: Reward Modeling", 2024, arXiv 2401.06080.
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.curation.strength import Policy, flip, margins, relabel
from assay.curation.strength import preference_strength as strength_of
from assay.records import Record
from assay.rewards.base import Reward
from assay.rewards.batches import batched, score_each
from assay.scores import Scores
from assay.training.plan import Curate


def preference_strength(*members: Reward, policies: Sequence[Policy] = (flip(),), batch: int = 64) -> Curate:
    """Records with their preferences put through ``policies`` in turn (`flip`, `soft`, `adaptive_margin`, `drop` of
    `curation.strength`), by the mean and spread of the members' margins; the paper has 10 members.

    Raises:
        ValueError: when called, no member or no policy.
    """

    def curate(records: Sequence[Record]) -> Sequence[Record]:
        scores = [
            Scores.concatenate([score_each(member, chunk) for chunk in batched(records, batch)]) for member in members
        ]
        mean, spread = strength_of(margins(scores, records))
        return relabel(records, mean, spread, *policies)

    return curate
