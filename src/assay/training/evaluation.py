"""The loss and figures of a reward on records with feedback, without learning from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.training.inputs import Inputs
from assay.training.step import Processes, autocast
from assay.training.supervision import Supervision
from assay.training.tally import Tally
from assay.training.terms import SumOfMeans


def evaluate(
    reward: LearnedReward, records: Sequence[Record], supervision: Supervision, *, token_budget: int = 16_384
) -> dict[str, float]:
    """Mean loss and figures (accuracy, ...) of the reward on the records; empty when nothing could be judged."""
    processes = Processes(reward.backbone.placement.device)
    return tallied(Inputs(reward, records), supervision, processes, token_budget, None).figures()


def tallied(
    inputs: Inputs, supervision: Supervision, processes: Processes, token_budget: int, lower: torch.dtype | None
) -> Tally:
    """The sums over all records and processes."""
    tally = Tally()
    model = inputs.reward.model
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            for part in inputs.split_all(token_budget, processes.index, processes.count):
                with autocast(inputs.reward.backbone.placement.device, lower):
                    outputs = inputs.outputs(part, finite=False)
                tally.add(supervision(outputs, inputs.at(part)))
    finally:
        for module, training in modes.items():
            module.training = training
    merged = Tally().merge(processes.gather(tally))
    if isinstance(supervision, SumOfMeans):
        merged.loss = merged.items * supervision.loss(merged.metrics)
    return merged
