"""What a training run would do, without doing it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from assay.models.sharing import sharing_report
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.training.inputs import Inputs, picture_key
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

    Every record is read, templated, tokenised and supervised; nothing runs through the model.
    """
    inputs = Inputs(reward, records)
    items = silent = excluded = shared = alone = 0
    for first in range(0, len(records), 64):
        indices = range(len(records))[first : first + 64]
        once, each = inputs.tokens(indices)
        shared, alone = shared + once, alone + each
        losses = supervision(torch.where(inputs.scorable(indices), 0.0, torch.nan), inputs.at(indices))
        items, silent, excluded = items + len(losses.items), silent + losses.silent, excluded + losses.excluded
    frozen = frozen_weights(reward, settings)
    weights = {id(weight): weight.numel() for weight in reward.model.parameters()}
    steps = math.ceil(math.ceil(len(records) / settings.batch) / settings.gradient_accumulation)
    keys = [picture_key(record) for record in records if reward.backbone.pictures is not None]
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
        "sharing": sharing_report(reward.backbone.module),
        "picture_sets": len(set(keys)),
        "weights": sum(weights.values()),
        "frozen_weights": sum(count for key, count in weights.items() if key in frozen),
        "steps_per_epoch": steps,
        "budget": repr(settings.budget),
    }
