"""Records rated by a reward: what another reward is trained to keep, or to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.records import Rating, Record
from assay.rewards.base import Reward, name_of
from assay.rewards.batches import batched, score_each


def rated_by(
    reward: Reward, records: Sequence[Record], *, criterion: str | None = "teacher", batch: int = 64
) -> list[Record]:
    """The records with a rating of every response that the reward could judge, after the feedback they have.

    The criterion keeps such ratings apart from people's: train on them with ``select=of_criterion("teacher")``. The
    rater is the reward's name. A response that the reward abstained on gets no rating.

    Raises:
        ValueError: ``batch`` is below 1.
        ContractError: the reward breaks the contract of rewards.
    """
    found: list[Record] = []
    name = name_of(reward)
    for chunk in batched(records, batch):
        scores = score_each(reward, chunk)
        judged: list[bool] = scores.ok.tolist()
        cells = iter(zip(scores.values.tolist(), judged, strict=True))
        for record in chunk:
            rows = [(place, *next(cells)) for place in range(len(record.responses))]
            ratings = [Rating(place, value, rater=name, criterion=criterion) for place, value, ok in rows if ok]
            found.append(replace(record, feedback=(*record.feedback, *ratings)))
    return found
