"""Judgements as records with feedback of each rater, and how far the raters agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from assay.benchmarks.agreement import krippendorff_alpha
from assay.records import Feedback, Record
from assay.view.judgements import Judgements
from assay.view.tasks import Question, Task


@final
@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha of one thing labelled: NaN while no two raters share two units that differ."""

    name: str
    alpha: float
    units: int
    raters: int


def judged_records(
    record_at: Callable[[int], Record | None], judgements: Judgements, task: Task, questions: Mapping[str, Question]
) -> Iterator[Record]:
    """The records that were judged, in order, with the feedback that they had and that of each rater after it.

    ``record_at`` gives the record of a number, with its steps marked where these were asked about.
    """
    said: dict[int, list[Feedback]] = {}
    for key, rater, answer in judgements.answers():
        if (question := questions.get(key)) is not None:
            said.setdefault(question.record, []).extend(task.feedback(answer, question, rater))
    for number in sorted(said):
        if (record := record_at(number)) is not None:
            yield replace(record, feedback=(*record.feedback, *said[number]))


def agreements(judgements: Judgements, task: Task, questions: Mapping[str, Question]) -> list[Agreement]:
    """How far the raters agree on each thing that the task labels, of all units that two of them labelled."""
    groups: dict[str, dict[str, dict[str, float]]] = {}
    for key, rater, answer in judgements.answers():
        if (question := questions.get(key)) is not None:
            for group, unit, label in task.labels(answer, question):
                groups.setdefault(group, {}).setdefault(unit, {})[rater] = label
    return [_agreement(name, units, task) for name, units in groups.items()]


def _agreement(name: str, units: Mapping[str, Mapping[str, float]], task: Task) -> Agreement:
    shared = [said for said in units.values() if len(said) > 1]
    raters = sorted({rater for said in shared for rater in said})
    place = {rater: row for row, rater in enumerate(raters)}
    table = np.full((len(raters), len(shared)), np.nan)
    for column, said in enumerate(shared):
        for rater, label in said.items():
            table[place[rater], column] = label
    alpha = krippendorff_alpha(table, task.distance) if shared else math.nan
    return Agreement(name, alpha, len(shared), len(raters))
