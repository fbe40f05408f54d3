"""The likelihood of critiques: supervised fine-tuning of a head that writes before it scores."""

from __future__ import annotations

from collections.abc import Sequence

from assay.models.outputs import Outputs
from assay.objectives.likelihood import weighted_nll
from assay.records import Record
from assay.training.supervision import Losses


def on_critiques(outputs: Outputs, records: Sequence[Record]) -> Losses:
    """A `Supervision`: ``-mean_t log p(critique token t | all before)``, an item a response with a critique, in nats.

    The critique is teacher-forced: it stands in the response (`rewards.critique.with_critiques` writes it there), and
    the head is a `CritiqueHead`. ``critique_nats`` is the mean over responses.

    Raises:
        ValueError: the head gives no log-probabilities of a critique.
    """
    logp = outputs.extra.get("critique")
    if logp is None:
        raise ValueError(
            "the head says nothing of a critique: use a CritiqueHead, and read=from_first_step "
            "(assay.rewards.critique.critique_reward makes both)"
        )
    there = ~logp.detach().isnan()
    rows = there.any(dim=1)
    logp, there = logp[rows], there[rows]
    items = weighted_nll(logp, 1.0 / there.sum(dim=1), there)
    total = float(items.detach().sum())
    silent = 0
    start = 0
    for record in records:
        own = rows[start : start + len(record.responses)]
        silent += not bool(own.any())
        start += len(record.responses)
    return Losses(items, {"critique_nats": (total, float(len(items)))}, silent=silent)
