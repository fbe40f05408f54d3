"""Transforming and combining rewards: the log-probability that a response is good in every respect.

A reward learned from preferences has no scale or zero of its own, and one very high reward can hide a low one in a sum.
Centred on a reference response and passed through log-sigmoid, a reward is the log-probability of being better than the
reference, it saturates once that is likely, and the sum of several is the log-probability that all hold::

    u_k(x, y) = log sigmoid(r_k(x, y) - r_k,ref)        u = sum_k u_k

``r_k,ref`` is the 85 % quantile of reward k over responses of the policy before it is optimised. For one reward alone
the transform is monotone and changes no best of n; it changes sums, and policy optimisation.

Deviation: one reference a reward, pooled over the reference prompts; the paper takes the quantile of each prompt.

Reference: Wang et al., "Transforming and Combining Rewards for Aligning Large Language Models", 2024, arXiv 2402.00742.
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.records import Record
from assay.rewards.base import Reward, chain, combine, score
from assay.transforms.combine import weighted_sum
from assay.transforms.shape import fit_log_sigmoid


def log_sigmoid_combination(*rewards: Reward, reference: Sequence[Record], quantile: float = 0.85) -> Reward:
    """The rewards, each centred on its ``quantile`` over the responses of ``reference``, as one log-probability, at
    most 0; a row abstains where any of them does.

    Raises:
        ValueError: no reward, a quantile outside 0..1, or a reward that judged nothing of the reference.
    """
    centred = [chain(reward, fit_log_sigmoid(score(reward, reference), quantile)) for reward in rewards]
    return combine(*centred, by=weighted_sum(*[1.0] * len(centred)))
