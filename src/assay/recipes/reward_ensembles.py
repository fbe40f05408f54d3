"""Helping or herding: an ensemble of rewards whose backbones were pretrained apart is hacked less than one reward.

Rewards that agree on the data they were trained on disagree where the data says nothing, most of all when even their
pretraining differs; averaging them takes out what only one of them likes. Preferences leave each reward's mean and
scale free, so each is standardised on the same reference responses before they are combined::

    r(x, y) = combine_m (r_m(x, y) - mean_m) / std_m        by the mean, the median, or mean - std

The members are trained with ``centred(bradley_terry, 0.01)``, whose small pull to zero fixes that freedom in part. What
all members have wrong in the same way is not taken out.

Deviation: members are standardised on reference responses in place of each prompt's own samples.

Reference: Eisenstein et al., "Helping or Herding? Reward Model Ensembles Mitigate but do not Eliminate Reward Hacking",
2023, arXiv 2312.09244.
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.records import Record
from assay.rewards.base import Reward, chain, combine, score
from assay.transforms.combine import Combine, mean
from assay.transforms.shape import fit_scale


def reward_ensembles(*members: Reward, reference: Sequence[Record], by: Combine | None = None) -> Reward:
    """The members, each in standard deviations over ``reference``, combined ``by`` the mean unless told otherwise;
    ``by=ensemble(1.0)`` is the conservative mean less the std.

    Raises:
        ValueError: no member, or one that gave fewer than two different scores on the reference.
    """
    standard = [chain(member, fit_scale(score(member, reference))) for member in members]
    return combine(*standard, by=mean() if by is None else by)
