"""The frame of the figures on real data: splits that hold, intervals that are paired, goals, files, the page."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from assay import metrics

ROOT = Path(__file__).parent.parent.parent


def module(path: str):
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(f"of_benchmarks_{name}", ROOT / path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


frame = module("benchmarks/real/frame.py")


def test_items_of_one_key_are_in_one_fold_and_every_item_is_asked_about_once():
    keys = [n // 3 for n in range(60)]
    split = frame.crossed("by key", [str(n) for n in range(60)], keys)
    assert split.folds == 5
    asked = np.zeros(60)
    for _, learned, held in split.each():
        assert not set(np.array(keys)[learned]) & set(np.array(keys)[held])
        asked += held
        for learn, judge in split.inner(learned, 3, seed=0):
            assert not (learn & judge).any()
            assert not (judge & held).any()
            assert (learn | judge).tolist() == learned.tolist()
            assert not set(np.array(keys)[learn]) & set(np.array(keys)[judge])
    assert asked.tolist() == [1.0] * 60


def test_the_hash_is_of_ids_and_folds_whatever_their_order():
    ids, keys = [f"i{n}" for n in range(20)], list(range(20))
    test = [n < 5 for n in keys]
    split = frame.held_out("x", ids, keys, test)
    back = frame.held_out("x", ids[::-1], keys[::-1], test[::-1])
    other = frame.held_out("x", ids, keys, [n < 6 for n in keys])
    assert split.sha256 == back.sha256 != other.sha256
    assert split.told()["asked"] == 5
    assert frame.crossed("x", ids, keys, seed=0).sha256 != frame.crossed("x", ids, keys, seed=1).sha256


def test_a_key_on_both_sides_and_an_id_given_twice_are_refused():
    with pytest.raises(ValueError, match="two folds"):
        frame.held_out("x", ["a", "b"], ["same", "same"], [True, False])
    with pytest.raises(ValueError, match="ids"):
        frame.crossed("x", ["a", "a"], [1, 2])


def test_the_interval_of_a_mean_is_that_of_the_metrics():
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(100), 2)
    floor = rng.integers(0, 2, 200).astype(float)
    ours = np.clip(floor + (rng.random(200) < 0.2), 0, 1)
    _, _, gap = frame.compared(lambda values, rows: float(values[rows].mean()), ours, floor, unit)
    expected = metrics.paired_difference(ours, floor, unit)
    assert gap.value == pytest.approx(expected.value)
    assert (gap.low, gap.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    assert gap.clusters == 100


def test_differences_are_paired_and_clusters_are_drawn_whole():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=300)
    noise = rng.normal(size=300)
    ours, floor = truth + noise, truth + noise + 0.3 * rng.normal(size=300)
    alone = np.arange(300)
    first, second, gap = frame.compared(frame.spearman_to(truth), ours, floor, alone, draws=300)
    assert gap.value == pytest.approx(first.value - second.value)
    assert gap.high - gap.low < 0.7 * (first.high - first.low)
    copied = np.tile(np.arange(50), 6)
    repeats = np.tile(truth[:50], 6)
    wide, _, _ = frame.compared(frame.spearman_to(repeats), np.tile(ours[:50], 6), repeats, copied, draws=300)
    narrow, _, _ = frame.compared(frame.spearman_to(repeats), np.tile(ours[:50], 6), repeats, alone, draws=300)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_goals():
    gap = metrics.Interval(0.02, 0.001, 0.04, 10, 10, 0.95)
    assert frame.ABOVE.reached(gap)
    assert not frame.ABOVE.reached(metrics.Interval(0.02, -0.001, 0.04, 10, 10, 0.95))
    near = frame.Goal(value_at_least=-0.01)
    assert near.reached(metrics.Interval(-0.005, -0.1, 0.1, 10, 10, 0.95))
    assert not near.reached(metrics.Interval(-0.02, -0.1, 0.1, 10, 10, 0.95))
    assert frame.REPORTED.reached(metrics.Interval(-1.0, -1.0, -1.0, 10, 10, 0.95))


def test_an_outcome_that_is_not_known_is_half_right():
    ours, floor = np.array([1.0, np.nan, 1.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.0])
    one, other, gap = frame.of_outcomes(ours, floor, np.arange(4))
    assert (one.value, other.value) == (0.625, 0.5)
    assert gap.value == pytest.approx(0.125)


def test_what_is_measured_is_written_printed_and_told_on_the_page(tmp_path, monkeypatch):
    split = frame.held_out("by question", list("abcd"), list("abcd"), [True, True, True, False])
    one, other, gap = frame.of_outcomes(np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.arange(3))
    figure = frame.Figure("pairs right", one, other, gap, frame.ABOVE, reward="R", floor_is="F", scale=100)
    found = frame.Measured("A set", "folder", "MIT", split, [figure], {"head": 2.0})
    monkeypatch.setattr(frame, "RESULTS", tmp_path / "benchmarks" / "results")
    (tmp_path / "benchmarks").mkdir()
    written = json.loads(frame.write("a_set", found, {"python": "3"}).read_text())
    assert written["figures"][0]["ours"]["value"] == pytest.approx(2 / 3)
    assert written["split"]["sha256"] == split.sha256
    assert written["good"] is found.good is False
    assert "MISSED" in "\n".join(frame.lines("a_set", found))
    generate = module("docs/generate.py")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    page = generate.results()
    assert "[a_set](#a-set)" in page
    assert "## a-set" in page
    assert "interval above 0: **missed**" in page
    assert split.sha256[:16] in page
