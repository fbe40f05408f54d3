"""What the matrix says of a cell is measured: nothing is skipped, and each way to fail has its name."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.benchmarks import matrix
from assay.benchmarks.figures import correlation, gap_correlation, list_agreement, pair_accuracy, tie_separation
from assay.benchmarks.matrix import FACTORS, Cell, Effort, Verdict, cells, covering, covering_cells, measure
from assay.benchmarks.ways import WAYS
from assay.scores import Scores
from assay.testing import tiny_text
from assay.worlds.statements import MEDIA, SHAPES, Sample, one, samples, two

QUICK = Effort(records=16, held_out=8, batch=8, adapter_steps=2)
CELL = Cell("scalar", "text", "pairs")


def test_the_matrix_is_heads_times_media_times_shapes_of_feedback() -> None:
    assert [len(values) for values in FACTORS] == [10, 5, 8]
    assert len(set(cells())) == 400
    for way in WAYS.values():
        assert set(way.supervisions) == set(SHAPES)


def test_the_covering_set_has_every_pair_of_values() -> None:
    chosen = [(cell.head, cell.medium, cell.feedback) for cell in covering_cells()]
    found = {pair for row in chosen for pair in combinations(enumerate(row), 2)}
    wanted = {((i, a), (j, b)) for i, j in combinations(range(3), 2) for a, b in product(FACTORS[i], FACTORS[j])}
    assert wanted <= found
    assert 60 <= len(chosen) <= 100


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_a_covering_set_has_every_pair_and_no_row_twice(sizes: list[int]) -> None:
    factors = [[f"{factor}.{value}" for value in range(size)] for factor, size in enumerate(sizes)]
    rows = covering(factors)
    found = {pair for row in rows for pair in combinations(row, 2)}
    assert found == {(a, b) for one, other in combinations(factors, 2) for a, b in product(one, other)}
    assert len(set(rows)) == len(rows) >= max(a * b for a, b in combinations(sizes, 2))


def test_a_reward_that_learns_nothing_has_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "WAYS", {**WAYS, "scalar": replace(WAYS["scalar"], steps=1)})
    row = measure(CELL, lambda medium: tiny_text(), QUICK)
    assert row.verdict is Verdict.NO_GAIN
    assert "pair accuracy" in row.reason
    assert row.reloaded is True
    assert row.cpu_seconds > 0


def test_an_error_is_the_reason_of_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(WAYS["scalar"], supervisions=WAYS["mean and variance"].supervisions)
    monkeypatch.setattr(matrix, "WAYS", {**WAYS, "scalar": wrong})
    row = measure(Cell("scalar", "text", "ratings"), lambda medium: tiny_text(), QUICK)
    assert row.verdict is Verdict.REFUSED
    assert row.reason.startswith("ValueError: gaussian needs the log_variance of a head")
    assert row.to_dict()["verdict"] == "refused"


def test_a_medium_the_backbone_does_not_take_is_said() -> None:
    row = measure(Cell("scalar", "image", "pairs"), lambda medium: tiny_text(), QUICK)
    assert row.verdict is not Verdict.HOLDS
    assert row.reason


def test_a_difference_after_loading_is_found() -> None:
    scores = made([0.0, 1.0])
    assert matrix._same(scores, made([0.0, 1.0]))
    assert not matrix._same(scores, made([0.0, 1.0 + 1e-7]))
    assert not matrix._same(scores, made([0.0, 1.0], std=[1.0, 1.0]))
    assert not matrix._same(made([0.0, 1.0], std=[1.0, 2.0]), made([0.0, 1.0], std=[1.0, 1.0]))
    stepped = [replace(scores, steps=(torch.tensor([0.0]), torch.tensor([x]))) for x in (1.0, 1.0, 2.0)]
    assert matrix._same(stepped[0], stepped[1])
    assert not matrix._same(stepped[0], stepped[2])
    assert not matrix._same(stepped[0], scores)
    assert not matrix._same(scores, scores.replace(attributes={"right": torch.zeros(2)}))


def judged(**changes: matrix.Any) -> Verdict:
    usual = {"untrained": 0.5, "trained": 0.9, "reloaded": True, "moved": 0.1, "merged_by": 1e-6}
    return matrix._judged(CELL, **{**usual, **changes})[0]


def test_each_way_to_fail_has_its_verdict() -> None:
    assert judged() is Verdict.HOLDS
    assert judged(trained=0.74) is Verdict.NO_GAIN
    assert judged(untrained=0.8) is Verdict.NO_GAIN
    assert judged(trained=float("nan")) is Verdict.NO_GAIN
    assert judged(reloaded=False) is Verdict.RELOADED_OTHERWISE
    assert judged(moved=0.0) is Verdict.MERGED_OTHERWISE
    assert judged(merged_by=2e-5) is Verdict.MERGED_OTHERWISE
    assert judged(merged_by=float("nan")) is Verdict.MERGED_OTHERWISE


def made(values: list[float], std: list[float] | None = None) -> Scores:
    rows = len(values)
    return Scores(
        torch.tensor(values),
        torch.zeros(rows, dtype=torch.long),
        tuple(map(str, range(rows))),
        std=None if std is None else torch.tensor(std),
    )


def true_scores(asked: list[Sample], sign: float = 1.0) -> Scores:
    counts = [float(count) for sample in asked for count in sample.counts[None]]
    return made([sign * count for count in counts])


@pytest.mark.parametrize(
    ("figure", "shape", "worst"),
    [
        (pair_accuracy, "pairs", 0.0),
        (tie_separation, "ties", 0.0),
        (gap_correlation, "margins", -1.0),
        (list_agreement, "rankings", -1.0),
        (correlation, "ratings", -1.0),
    ],
)
def test_a_figure_is_one_for_the_truth_and_worst_for_its_opposite(figure: matrix.Any, shape: str, worst: float) -> None:
    asked = samples(MEDIA["text"], SHAPES[shape], one, 40)
    assert figure(asked, true_scores(asked)) == pytest.approx(1.0)
    assert figure(asked, true_scores(asked, -1.0)) == pytest.approx(worst)
    chance = np.mean(
        [
            figure(asked, made(np.random.default_rng(seed).normal(size=len(true_scores(asked))).tolist()))
            for seed in range(30)
        ]
    )
    assert worst + 0.1 < chance < 0.9


def test_attributes_are_compared_each_with_its_own_truth() -> None:
    asked = samples(MEDIA["text"], SHAPES["ratings"], two, 40)
    columns = {
        name: torch.tensor([float(count) for sample in asked for count in sample.counts[name]])
        for name in ("right", "kind")
    }
    scores = replace(made([0.0] * len(columns["right"])), attributes=columns, attribute_status={})
    assert correlation(asked, scores) == pytest.approx(1.0)
    exchanged = replace(scores, attributes={"right": columns["kind"], "kind": columns["right"]}, attribute_status={})
    assert correlation(asked, exchanged) < 0.5
