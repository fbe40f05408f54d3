"""Themis: a reward that asks tools about a response, reads what they say, and scores after it.

Calls and observations follow the response as messages. The backbone's output layer learns to write them, at equal
weight with half a Bradley-Terry term on the state after them::

    L = mean(-log p(trace | x, y)) + .5 * -log sigmoid(r_w - r_l)

A response whose tools failed is left out of training, and abstains when it is scored.

Deviation: which calls are made is a `Plan` (a rule, or a generator's text read by `tools.written`).

Reference: Li et al., "Tool-Augmented Reward Modeling", 2023, arXiv 2310.01045.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from assay.curation.tooled import with_traces
from assay.models.heads.critique import CritiqueHead
from assay.models.reading import from_first_step
from assay.objectives.pairwise import bradley_terry
from assay.rewards.toolbox import calculator
from assay.rewards.tools import Plan, Tool, arithmetic
from assay.training.budgets import Epochs
from assay.training.critiques import on_critiques
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.training.terms import together


def themis(words: Tensor, plan: Plan = arithmetic, tools: Mapping[str, Tool] | None = None) -> Training:
    """Traces and pairs at once; ``words`` ``[vocabulary, hidden]`` is the backbone's own output layer
    (`rewards.critique.language_head`), ``tools`` a calculator if none are given. The trained reward scores as
    ``ToolReward(result.reward, plan, tools)``."""

    def head(hidden: int) -> nn.Module:
        return CritiqueHead.of_words(words)

    supervision = together((on_critiques, 1.0), (supervise(bradley_terry), 0.5))
    settings = Settings(budget=Epochs(5), batch=64, learning_rate=1e-5)
    traced = with_traces(plan, {"calculator": calculator} if tools is None else tools)
    return Training(head, (Stage(supervision, settings, present=traced),), {"read": from_first_step})
