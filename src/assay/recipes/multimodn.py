"""MultiModN: one modality after another changes a state, what is missing is skipped, every step makes a prediction.

A response that lacks a modality keeps its state, so that its absence is never an input and no shortcut to the label;
the prediction after every step is trained, so that any subset of modalities can be scored::

    s_m = E_m([s_{m-1}; x_m]) where m is there, else s_{m-1}        r_m = w . s_m + b
    L = mean_m loss(r_m, rating) + .01 mean_m |s_m - s_{m-1}|^2

Give it `Towers`, one state a modality. Deviation: skipping is for each response alone, where the released code skips a
modality for the whole batch if one response lacks it.

Reference: Swamy et al., "MultiModN: Multimodal, Multi-Task, Interpretable Modular Networks", 2023, arXiv 2309.14118.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from assay.models.heads.fusion import SequentialFusionHead
from assay.models.outputs import Outputs
from assay.objectives.pointwise import binary_cross_entropy
from assay.records import Record
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import Losses, Objective, supervise
from assay.training.terms import penalty, together


def multimodn(modalities: int = 2, objective: Objective = binary_cross_entropy) -> Training:
    """Ten epochs; ``objective`` of ratings (0..1), pairs or lists is applied to the prediction after every step."""
    overall = supervise(objective)

    def after(step: int, outputs: Outputs, records: Sequence[Record]) -> Losses:
        judged = ~outputs.values.detach().isnan()
        return overall(
            replace(outputs, values=outputs.extra["predictions"][:, step].where(judged, outputs.values)), records
        )

    def changes(outputs: Outputs) -> Tensor:
        return outputs.extra["changes"].mean(1)

    steps = [(partial(after, step), 1.0 / (modalities + 1)) for step in range(modalities + 1)]
    settings = Settings(budget=Epochs(10), batch=32, learning_rate=1e-3)
    supervision = together(*steps, (penalty("state_change", changes), 0.01))
    return Training(partial(SequentialFusionHead, modalities=modalities), (Stage(supervision, settings),))
