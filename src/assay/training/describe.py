"""What a training run would do, without doing it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from assay.models.base import Batch
from assay.models.hf import Backbone
from assay.models.outputs import Outputs
from assay.models.sharing import sharing_report
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.training.inputs import Inputs, OutputsOf, picture_key
from assay.training.settings import Settings
from assay.training.supervision import Supervision
from assay.training.trainable import frozen_weights


def describe(
    reward: LearnedReward,
    records: Sequence[Record],
    evaluate: Sequence[Record],
    supervision: Supervision,
    settings: Settings,
) -> dict[str, Any]:
    """Counts of records, responses by status, items, tokens (prompts once; sequences alone), pictures and weights.

    Every record is read, templated, tokenised and supervised; nothing runs through the backbone.
    """
    inputs = Inputs(reward, records, _of_zeros(reward))
    items = silent = excluded = shared = alone = 0
    for first in range(0, len(records), 64):
        indices = range(len(records))[first : first + 64]
        once, each = inputs.tokens(indices)
        shared, alone = shared + once, alone + each
        losses = supervision(inputs.outputs(indices, finite=False), inputs.at(indices))
        items, silent, excluded = items + len(losses.items), silent + losses.silent, excluded + losses.excluded
    frozen = frozen_weights(reward, settings)
    weights = {id(weight): weight.numel() for weight in reward.model.parameters()}
    steps = math.ceil(math.ceil(len(records) / settings.batch) / settings.gradient_accumulation)
    keys = [picture_key(record) for record in records if reward.backbone.modalities - {"text"}]
    return {
        "model": reward.backbone.describe(),
        "records": len(records),
        "evaluation_records": len(evaluate),
        "responses": {str(status): count for status, count in inputs.status.items()},
        "abstaining": sum(count for status, count in inputs.status.items() if status is not Status.OK),
        "items": items,
        "records_without_feedback": silent,
        "items_left_out": excluded,
        "tokens_alone": alone,
        "tokens_shared": shared,
        "sharing": _sharing(reward),
        "picture_sets": len(set(keys)),
        "weights": sum(weights.values()),
        "frozen_weights": sum(count for key, count in weights.items() if key in frozen),
        "steps_per_epoch": steps,
        "budget": repr(settings.budget),
    }


def _sharing(reward: LearnedReward) -> str:
    if isinstance(reward.backbone, Backbone):
        return sharing_report(reward.backbone.module)
    return "every distinct text and medium is encoded once"


def _of_zeros(reward: LearnedReward) -> OutputsOf:
    """What the head says when every hidden state is zero: outputs of the right shape, to be counted."""

    @torch.no_grad()
    def outputs_of(batch: Batch, condition: Tensor | None) -> Outputs:
        sequences = [sequence for group in batch.groups for sequence in group]
        place, width = reward.backbone.placement.device, reward.backbone.hidden_size
        states = [torch.zeros(sequence.reads.numel(), width, device=place) for sequence in sequences]
        return reward.model.judge(states, sequences, condition)

    return outputs_of
