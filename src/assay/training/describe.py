"""What a training run would do, and what each record would give it, without doing it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from assay.models.condition import Condition
from assay.models.hf import Backbone
from assay.models.sharing import sharing_report
from assay.records import Preference, Ranking, Rating, Record, SpanLabels, StepLabels
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.training.inputs import Inputs, of_zeros, picture_key
from assay.training.plan import Training
from assay.training.settings import Settings
from assay.training.supervision import Supervision
from assay.training.trainable import frozen_weights


def described(
    training: Training,
    reward: LearnedReward,
    records: Sequence[Record],
    evaluate: Sequence[Record],
    change: Callable[[Settings], Settings],
) -> dict[str, Any]:
    """`describe` of the only stage; of several the ``stages`` in order, and the largest count that abstains."""
    found = [
        describe(
            reward,
            stage.learned_from(records),
            stage.present(evaluate),
            stage.supervision,
            change(stage.settings),
        )
        for stage in training.stages
    ]
    return found[0] if len(found) == 1 else {"abstaining": max(each["abstaining"] for each in found), "stages": found}


def describe(
    reward: LearnedReward,
    records: Sequence[Record],
    evaluate: Sequence[Record],
    supervision: Supervision,
    settings: Settings,
) -> dict[str, Any]:
    """Counts of records, responses by status, items, tokens (prompts once; sequences alone), pictures and weights.

    Every record is read, templated, tokenised and supervised; nothing runs through the backbone.
    ``items_of_a_record`` counts records by how many items (pairs, lists, ratings, steps) each gives, ``gives_nothing``
    names the first that give none; ``feedback`` counts what was said, by kind and criterion.
    """
    inputs = Inputs(reward, records, of_zeros(reward))
    items = silent = excluded = shared = alone = 0
    given: Counter[int] = Counter()
    nothing: list[str] = []
    for first in range(0, len(records), 64):
        indices = range(len(records))[first : first + 64]
        once, each = inputs.tokens(indices)
        shared, alone = shared + once, alone + each
        for index in indices:
            losses = supervision(inputs.outputs([index], finite=False), inputs.at([index]))
            items, silent, excluded = items + len(losses.items), silent + losses.silent, excluded + losses.excluded
            given[len(losses.items)] += 1
            if not len(losses.items):
                nothing.append(records[index].id)
    frozen = frozen_weights(reward, settings)
    weights = {id(weight): weight.numel() for weight in reward.model.parameters()}
    steps = math.ceil(math.ceil(len(records) / settings.batch) / settings.gradient_accumulation)
    keys = [picture_key(record) for record in records if reward.backbone.modalities - {"text"}]
    return {
        "model": reward.backbone.describe(),
        "head": type(reward.head).__name__,
        "reads": getattr(reward.read, "__name__", repr(reward.read)),
        "conditioned_on": None if reward.condition is None else _conditioned(reward.condition),
        "records": len(records),
        "evaluation_records": len(evaluate),
        "responses": {str(status): count for status, count in inputs.status.items()},
        "abstaining": sum(count for status, count in inputs.status.items() if status is not Status.OK),
        "items": items,
        "items_of_a_record": {str(count): number for count, number in sorted(given.items())},
        "feedback": _feedback(records),
        "records_without_feedback": silent,
        "gives_nothing": nothing[:5],
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


def _feedback(records: Sequence[Record]) -> dict[str, int]:
    """How much of each kind of feedback there is, by criterion where it has one."""
    names: dict[type, str] = {
        Preference: "preferences",
        Ranking: "rankings",
        Rating: "ratings",
        StepLabels: "step labels",
    }
    names |= {SpanLabels: "span labels"}
    counts = Counter(
        names.get(type(item), type(item).__name__) + (f" of {item.criterion}" if item.criterion else "")
        for record in records
        for item in record.feedback
    )
    return dict(sorted(counts.items()))


def _conditioned(condition: Condition) -> str:
    what = ", ".join(condition.names[:8]) + (", ..." if len(condition.names) > 8 else "")
    return f"{condition.column}: {what or f'{condition.width} numbers'}"


def _sharing(reward: LearnedReward) -> str:
    if isinstance(reward.backbone, Backbone):
        return sharing_report(reward.backbone.module)
    return "every distinct text and medium is encoded once"
