"""LLaVA-RLHF: a reward that is told the facts of a picture, so that it need not believe what an answer makes up.

Captions, options and other known facts follow the prompt, in a drawn order, when the reward is trained and when it
scores; the policy never sees them. Rules are added to what it says before a policy is trained::

    L = -log sigmoid(r(x + facts, y_w) - r(x + facts, y_l))        R = r(x + facts, y) + 2 correct(y) - 10 length(y)

Deviations: correctness is the match of the whole answer with the reference, length counts words over ``longest``; the
penalty for answers cut off belongs to the policy's sampler.

Reference: Sun et al., "Aligning Large Multimodal Models with Factually Augmented RLHF", 2023, arXiv 2309.14525.
"""

from __future__ import annotations

from functools import partial

from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.rewards.augmented import augmented, each, facts
from assay.rewards.base import Reward, combine
from assay.rewards.rules import exact_match, length
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.transforms.combine import weighted_sum


def llava_rlhf(column: str = "facts", seed: int = 0) -> Training:
    """An epoch of Bradley-Terry on prompts that hold the facts of a context column, where there are any."""
    settings = Settings(budget=Epochs(1), batch=32, learning_rate=2e-5)
    stage = Stage(supervise(bradley_terry), settings, present=each(facts(column, seed=seed)))
    return Training(partial(ScalarHead, bias=True), (stage,))


def with_bonuses(reward: Reward, column: str = "facts", reference: str = "answer", longest: float = 896.0) -> Reward:
    """What a policy is trained on: the trained reward told the facts, and the two rules. A record without a reference
    abstains; combine the parts yourself where only some have one."""
    informed = augmented(reward, facts(column), needs=(column,))
    rules = (exact_match(reference), length(per_words=longest))
    return combine(informed, *rules, by=weighted_sum(1.0, 2.0, -10.0))
