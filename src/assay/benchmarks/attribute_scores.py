"""The attributes of an audited reward, and its spread, as a section of its page: what each says beside the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from assay import metrics
from assay.benchmarks.base import pairs_of
from assay.benchmarks.panels import Panel
from assay.records import Record
from assay.scores import Scores, numbers


def attributes_panel(scores: Scores, records: Sequence[Record]) -> Panel | None:
    """A fact an attribute: mean and standard deviation, rank correlation with the score, and, where feedback has a
    criterion of its name, how many of the pairs that it implies the attribute puts right (ties half). A reward that
    gives a standard deviation with each score adds its mean, and how often it is above that of the scores.

    None for a reward that gives only values.
    """
    if not scores.attributes and scores.std is None:
        return None
    values = _floats(scores.values)
    facts: list[tuple[str, str]] = []
    for name, column in scores.attributes.items():
        found = _floats(column)
        facts.append((name, ", ".join([_moments(found), *_with(values, found), *_agrees(name, found, records)])))
    if scores.std is not None:
        facts.append(("standard deviation of a score", ", ".join([_moments(_floats(scores.std)), *_spread(scores)])))
    return Panel(
        title="Attributes" if scores.attributes else "Spread",
        paragraphs=("What the reward says beside its score, on the same responses.",),
        facts=tuple(facts),
    )


def _floats(column: Tensor) -> metrics.Floats:
    return numbers(column).astype(np.float64)


def _moments(found: metrics.Floats) -> str:
    known = found[np.isfinite(found)]
    return f"mean {known.mean():.3g}, sd {known.std():.3g}" if known.size else "no number"


def _with(values: metrics.Floats, found: metrics.Floats) -> list[str]:
    both = np.isfinite(values) & np.isfinite(found)
    if both.sum() < 3 or np.ptp(values[both]) == 0 or np.ptp(found[both]) == 0:
        return []
    return [f"rank correlation with the score {metrics.spearman(values[both], found[both]):.2f}"]


def _agrees(name: str, found: metrics.Floats, records: Sequence[Record]) -> list[str]:
    about = [replace(r, feedback=tuple(item for item in r.feedback if item.criterion == name)) for r in records]
    pairs = pairs_of(about)
    outcomes = pairs.outcomes(found) if len(pairs) else np.zeros(0)
    judged = outcomes[np.isfinite(outcomes)]
    return [f"right on {100 * judged.mean():.1f} % of {judged.size:,} pairs about it"] if judged.size else []


def _spread(scores: Scores) -> list[str]:
    assert scores.std is not None
    values, spread = _floats(scores.values), _floats(scores.std)
    known = np.isfinite(values) & np.isfinite(spread)
    if known.sum() < 3 or np.ptp(spread[known]) == 0:
        return []
    return [f"{100 * np.mean(spread[known] > np.std(values[known])):.1f} % above that of the scores themselves"]
