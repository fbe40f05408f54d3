"""PRMBench's official figures, by hand and on the real files."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch

from assay.benchmarks.prmbench import Counts, every_step, fit_threshold, prmbench
from assay.records import Record, Response, StepLabels, read
from assay.rewards.base import scores_of
from assay.scores import Scores, Status

DATA = Path(os.environ.get("ASSAY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "step-prmbench"


def record(kind: str, source: str, *labels: tuple[float, ...]) -> Record:
    return Record.of(
        "q",
        [Response.from_steps(["step"] * len(row)) for row in labels],
        id=f"{kind}-{source}",
        feedback=[StepLabels(index, row) for index, row in enumerate(labels)],
        classification=kind,
        idx=source,
    )


RECORDS = [
    record("redundency", "a", (1, 0, 0, 1), (1, 1)),
    record("circular", "a", (0, 1), (1, 1)),
    record("multi_solutions", "b", (1, 1, 1)),
]


def judged(*rows: list[float], status: tuple[Status, ...] = ()) -> Scores:
    values = [math.nan if status and each is not Status.OK else 0.0 for each in status or (Status.OK,) * len(rows)]
    return scores_of(RECORDS, values, status, steps=tuple(torch.tensor(row) for row in rows))


def test_the_figures_are_those_of_the_pooled_steps() -> None:
    found = prmbench(judged([0.9, 0.4, 0.6, 0.2], [0.9, 0.1], [0.7, 0.9], [0.9, 0.9], [0.9, 0.1, 0.8]), RECORDS)
    assert found.by_class["redundency"] == Counts(tp=1, fp=1, tn=1, fn=1)
    assert found.by_class["circular"] == Counts(tp=1, fp=1)
    assert found.by_class["multi_solutions"] == Counts(tp=2, fn=1)
    assert found.total == Counts(tp=4, fp=2, tn=1, fn=2)
    assert found.total.f1 == pytest.approx(8 / 12)
    assert found.total.negative_f1 == pytest.approx(2 / 6)
    assert found.score == pytest.approx(0.5)
    assert found.originals == Counts(tp=1, fn=1)
    assert found.first_error_accuracy == 0.5
    assert found.first_error_by_class["redundency"] == 1
    assert math.isnan(found.by_class["multi_solutions"].score)
    assert math.isnan(found.first_error_by_class["multi_solutions"])
    assert found.similarity == pytest.approx((abs(0.5 - 0.5) + abs(1.0 - 0.5)) / 2)
    told = found.to_dict()
    assert told["by_class"]["multi_solutions"]["score"] is None
    assert told["total"]["steps"] == 9


def test_a_perfect_reward_has_one_and_the_nulls_half_an_f1() -> None:
    perfect = prmbench(judged([1, 0, 0, 1], [1, 1], [0, 1], [1, 1], [1, 1, 1]), RECORDS)
    assert perfect.score == 1
    assert perfect.first_error_accuracy == 1
    right, wrong = (prmbench(every_step(value)(RECORDS), RECORDS) for value in (1.0, 0.0))
    assert right.score == pytest.approx(0.5 * 12 / 15)
    assert wrong.score == pytest.approx(0.5 * 6 / 12)
    assert right.similarity == 0


def test_abstentions_are_counted_and_left_out() -> None:
    status = (Status.TOO_LONG, *(Status.OK,) * 4)
    found = prmbench(judged([], [1, 1], [0, 1], [1, 1], [1, 1, 1], status=status), RECORDS)
    assert (found.judged, found.abstained) == (4, 1)
    assert found.by_class.keys() == {"circular", "multi_solutions"}


def test_scores_that_do_not_fit_the_records_are_refused() -> None:
    with pytest.raises(ValueError, match="no steps"):
        prmbench(scores_of(RECORDS, [0.0] * 5), RECORDS)
    with pytest.raises(ValueError, match="5 scores for 4"):
        prmbench(judged([1, 1, 1, 1], [1, 1], [1, 1], [1, 1], [1, 1, 1]), RECORDS[:2])
    with pytest.raises(ValueError, match="4 labelled steps, but 2"):
        prmbench(judged([1, 1], [1, 1], [1, 1], [1, 1], [1, 1, 1]), RECORDS)


def test_the_fitted_threshold_is_the_best_there_is() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.rand(length, generator=generator).round(decimals=1).tolist() for length in (4, 2, 2, 2, 3)]
    scores = judged(*rows)

    def pooled(threshold: float) -> float:
        found = prmbench(scores, RECORDS, threshold=threshold)
        originals = Counts()
        for row in (1, 3):
            said = [value > threshold for value in rows[row]]
            originals += Counts(tp=said.count(True), fn=said.count(False))
        return (found.total + originals).score

    best = fit_threshold(scores, RECORDS)
    assert pooled(best) == max(pooled(threshold / 40) for threshold in range(-1, 41))
    assert fit_threshold(scores[4], RECORDS[2:]) == 0.5


@pytest.mark.skipif(not DATA.exists(), reason=f"needs the PRMBench files in {DATA}")
def test_the_real_files_give_the_known_null() -> None:
    records = [found for file in sorted(DATA.glob("*.jsonl.gz")) for found in read(file)]
    assert len(records) == 3368
    found = prmbench(every_step(1.0)(records), records)
    assert 0.44 < found.score < 0.47
    assert len(found.by_class) == 9
    assert found.total.negative_f1 == 0
    assert found.first_error_accuracy == 0
    assert found.originals.accuracy == 1
