"""InternLM-XComposer2.5-Reward: one scalar reward for text, pictures and video, kept from learning length.

The head reads the mean of the states of the response's tokens and is trained by Bradley-Terry; the vision tower stays
as it is. Pairs whose chosen response is far longer than the rejected one are left out of training, because what is true
of nearly all pairs, that the longer one won, is learned before what the pair is about::

    r(x, y) = w . mean_t h_t        L = -E log sigmoid(r_chosen - r_rejected)   over pairs with words_c <= 1.5 words_r

Deviation: the paper does not give the ratio of lengths; 1.5 is ours.

Reference: Zang et al., "InternLM-XComposer2.5-Reward: A Simple Yet Effective Multi-Modal Reward Model", 2025, arXiv
2501.12368.
"""

from __future__ import annotations

from functools import partial

from assay.curation.matched import not_longer, words
from assay.models.heads import ScalarHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import every_response_token
from assay.objectives.pairwise import bradley_terry
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def xcomposer_reward(ratio: float = 1.5) -> Training:
    """A head on the mean of the response's tokens, and an epoch of Bradley-Terry over the pairs whose chosen response
    has at most ``ratio`` times the words of the other. Give ``freeze.vision`` to a backbone with a vision tower."""
    settings = Settings(budget=Epochs(1), batch=256, learning_rate=1e-5)
    stage = Stage(supervise(bradley_terry), settings, curate=not_longer(words, ratio))
    return Training(partial(ScalarHead, pool=mean_of_reads), (stage,), {"read": every_response_token})
