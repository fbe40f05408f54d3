"""Kernel regression: the closed form, a relation that no line has, settings by left-out records, abstentions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from assay import metrics
from assay.records import Rating, Record
from assay.rewards.base import chain, scores_of, spec_of
from assay.scores import Scores, Status
from assay.transforms.kernel import KernelRegression, fit_kernel


def rated(count: int, seed: int, responses: int = 6) -> tuple[list[Record], Scores, torch.Tensor]:
    """Responses with two attributes that matter as ``-a^2 + b``, rated by two people each, and one that does not."""
    rng = np.random.default_rng(seed)
    given = torch.from_numpy(rng.normal(size=(count * responses, 3)))
    truth = 2 * given[:, 1] - given[:, 0].square()
    records: list[Record] = []
    for number in range(count):
        own = [Rating(row, float(truth[number * responses + row]) + off) for row in range(responses) for off in (-1, 1)]
        records.append(replace(Record.of(f"{seed}-{number}", [str(r) for r in range(responses)]), feedback=tuple(own)))
    columns = {name: given[:, place].float() for place, name in enumerate(("a", "b", "c"))}
    return records, scores_of(records, given[:, 1].float(), attributes=columns), truth


def test_a_curve_is_learned_and_settings_are_those_of_least_error_left_out() -> None:
    records, scores, _ = rated(12, 0)
    fitted = fit_kernel(scores, records)
    assert (fitted.width, fitted.decay) == min(fitted.tried, key=lambda each: each[2])[:2]
    assert len(fitted.tried) == 12
    _, asked, truth = rated(20, 1)
    found = fitted(asked)
    assert metrics.spearman(found.values, truth) > 0.8
    assert metrics.spearman(found.values, truth) > metrics.spearman(asked.values, truth) + 0.1


def test_it_is_kernel_ridge_regression() -> None:
    records, scores, truth = rated(5, 2)
    fitted = fit_kernel(scores, records, widths=[1.3], decays=[0.2])
    given = torch.stack([scores.attributes[name] for name in "abc"], 1).double().numpy()
    inputs = (given - given.mean(0)) / given.std(0)
    reference: Any = cast("Any", KernelRidge)(alpha=0.2, kernel="rbf", gamma=1 / (2 * 1.3**2 * 3))
    mean = float(truth.mean())
    expected = reference.fit(inputs, truth.numpy() - mean).predict(inputs) + mean
    np.testing.assert_allclose(fitted(scores).values.numpy(), expected, atol=1e-4)
    assert fitted.tried == ()


def test_rows_that_abstain_stay_so_and_a_missing_attribute_is_said() -> None:
    records, scores, _ = rated(6, 3)
    holes = scores.attributes["c"].clone()
    holes[1] = torch.nan
    given = scores.replace(attributes={**scores.attributes, "c": holes})
    given = given.abstain(torch.arange(len(given)) == 0, Status.TOO_LONG, "too long")
    fitted = fit_kernel(given, records)
    found = fitted(given)
    assert found.status[:3] == (Status.TOO_LONG, Status.NON_FINITE, Status.OK)
    assert fitted.centres.shape == (34, 3)
    with pytest.raises(ValueError, match="lack the attributes"):
        fitted(scores.replace(attributes={"a": holes}))
    reward = chain(lambda _: scores, fitted)
    assert reward(records).ok.all()
    assert spec_of(reward).better == "higher"


def test_too_little_is_refused() -> None:
    records, scores, _ = rated(1, 4)
    with pytest.raises(ValueError, match="too few"):
        fit_kernel(scores, records)
    assert isinstance(fit_kernel(scores, records, widths=[1.0], decays=[1.0]), KernelRegression)
    with pytest.raises(ValueError, match="with attributes"):
        fit_kernel(scores.replace(attributes={}), records)
    with pytest.raises(ValueError, match="these records"):
        fit_kernel(scores, rated(1, 5)[0])
    with pytest.raises(ValueError, match="0 rated rows"):
        fit_kernel(scores, records, criterion="unknown")
