"""MM-RLHF: a critique of each response, and then a score that has read it.

One backbone has two heads: its own output layer learns to write the critiques that people gave, and a score is read
after the critique. In training the critique is the written one, afterwards the reward's own (greedy)::

    L = -log sigmoid(r_w - r_l) + w_c mean(-log p(critique | x, y)) + .01 (r_w + r_l)^2

Ties add nothing to the words, and pull their scores together. Pairs train a policy with `likelihood.dynamic_beta`.

Deviation: a tie costs Bradley-Terry's half win for each side instead of the square of the gap.

Reference: Zhang et al., "MM-RLHF: The Next Step Forward in Multimodal LLM Alignment", 2025, arXiv 2502.10391.
"""

from __future__ import annotations

from torch import Tensor, nn

from assay.models.heads.critique import CritiqueHead
from assay.models.reading import from_first_step
from assay.objectives.pairwise import bradley_terry, centred
from assay.rewards.critique import LONGEST, with_critiques
from assay.training.budgets import Epochs
from assay.training.critiques import on_critiques
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.training.terms import together


def mm_rlhf(words: Tensor, critique_weight: float = 1.0) -> Training:
    """Pairs and critiques at once; ``words`` ``[vocabulary, hidden]`` is the backbone's own output layer
    (`rewards.critique.language_head`). The trained reward scores as ``CritiqueReward(result.reward)``."""

    def head(hidden: int) -> nn.Module:
        return CritiqueHead.of_words(words)

    pairs = supervise(centred(bradley_terry, 0.01))
    supervision = together((pairs, 1.0), (on_critiques, critique_weight))
    settings = Settings(budget=Epochs(1), batch=32, learning_rate=1e-6)
    options = {"read": from_first_step, "card": {"critique": {"longest": LONGEST}}}
    return Training(head, (Stage(supervision, settings, present=with_critiques),), options)
