from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from assay.search.curve import best_of_n_curve


def by_counting(proxy: np.ndarray, gold: np.ndarray, n: int) -> tuple[float, float]:
    """Every draw of n without replacement; equals share."""
    proxies, golds = [], []
    for row_proxy, row_gold in zip(proxy, gold, strict=True):
        for drawn in itertools.combinations(range(len(row_proxy)), n):
            best = max(row_proxy[i] for i in drawn)
            same = [row_gold[i] for i in drawn if row_proxy[i] == best]
            proxies.append(best)
            golds.append(sum(same) / len(same))
    return float(np.mean(proxies)), float(np.mean(golds))


@pytest.mark.parametrize("ties", [False, True])
def test_the_estimate_is_the_mean_over_all_draws(ties: bool) -> None:
    rng = np.random.default_rng(0)
    proxy = rng.integers(0, 3, (4, 6)).astype(float) if ties else rng.normal(size=(4, 6))
    gold = rng.normal(size=(4, 6))
    curve = best_of_n_curve(proxy, gold, [1, 2, 4, 6])
    for n, found_proxy, found_gold in zip(curve.n, curve.proxy, curve.gold, strict=True):
        assert (found_proxy, found_gold) == pytest.approx(by_counting(proxy, gold, n), abs=1e-12)


def test_one_is_the_mean_and_all_is_the_best() -> None:
    rng = np.random.default_rng(1)
    proxy, gold = rng.normal(size=(5, 8)), rng.normal(size=(5, 8))
    curve = best_of_n_curve(proxy, gold, [1, 8])
    assert curve.gold[0] == pytest.approx(gold.mean())
    assert curve.gold[1] == pytest.approx(gold[np.arange(5), proxy.argmax(1)].mean())
    assert curve.kl == pytest.approx((0.0, math.log(8) - 7 / 8))


def test_peak_and_fall() -> None:
    proxy = np.array([[0.0, 1.0, 2.0, 3.0]])
    curve = best_of_n_curve(proxy, [[0.0, 5.0, 4.0, -9.0]], [1, 2, 4])
    assert curve.peak == 1
    assert curve.fall == pytest.approx(9.0)
    assert best_of_n_curve(proxy, proxy, [1, 2, 4]).fall == 0


@pytest.mark.parametrize(
    ("proxy", "gold", "n", "said"),
    [
        ([[0.0, 1.0]], [[0.0, 1.0, 2.0]], [1], "same responses"),
        ([[0.0, 1.0]], [[0.0, 1.0]], [3], "at most the 2 responses"),
        ([[0.0, 1.0]], [[0.0, 1.0]], [], "at least 1"),
        ([[0.0, float("nan")]], [[0.0, 1.0]], [1], "proxy must be"),
        ([0.0, 1.0], [[0.0, 1.0]], [1], "proxy must be"),
    ],
)
def test_what_makes_no_sense_is_refused(proxy: list[float], gold: list[float], n: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        best_of_n_curve(proxy, gold, n)
