"""A learned score of a few dozen measured attributes from a few dozen ratings: kernel ridge regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from assay.records import Rating, Record
from assay.scores import Scores, Status
from assay.spec import Spec

WIDTHS = (0.7, 1.3, 2.2)
DECAYS = (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, eq=False)
class KernelRegression:
    """What `fit_kernel` makes: scores with the same attributes to the rating that is expected of each row.

    ``names`` are the attributes in order, ``centres`` ``[rows, names]`` the standardised ones it was fitted on,
    ``weights`` ``[rows]``. ``tried`` has the mean squared error on held-out records for each (width, decay).
    """

    names: tuple[str, ...]
    mean: Tensor
    std: Tensor
    centres: Tensor
    weights: Tensor
    offset: float
    width: float
    decay: float
    tried: tuple[tuple[float, float, float], ...] = ()

    def __call__(self, scores: Scores, /) -> Scores:
        """Raises:
        ValueError: an attribute is missing.
        """
        if missing := [name for name in self.names if name not in scores.attributes]:
            raise ValueError(f"the scores lack the attributes {missing}, which this regression is of")
        given = _columns(scores, self.names)
        known = scores.ok.cpu() & given.isfinite().all(1)
        values = _kernel((given - self.mean) / self.std, self.centres, self.width) @ self.weights + self.offset
        status = tuple(
            Status.NON_FINITE if own is Status.OK and not there else own
            for own, there in zip(scores.status, known.tolist(), strict=True)
        )
        return scores.replace(values=torch.where(known, values, torch.nan).float(), status=status, std=None)

    def spec_after(self, spec: Spec) -> Spec:
        """Ratings: higher is better, without bounds."""
        return replace(spec, better="higher", low=None, high=None, unit="rating", differentiable=False)

    def __repr__(self) -> str:
        return f"KernelRegression({len(self.names)} attributes, width={self.width:g}, decay={self.decay:g})"


def fit_kernel(
    scores: Scores,
    records: Sequence[Record],
    *,
    criterion: str | None = None,
    widths: Sequence[float] = WIDTHS,
    decays: Sequence[float] = DECAYS,
) -> KernelRegression:
    """The mean rating of each response from the attributes of its score.

    Equation: ``r(a) = m + sum_i w_i exp(-||z(a) - z_i||^2 / (2 width^2 K))`` over the rated rows i, ``z`` the K
    standardised attributes and m the mean rating; ``w = (G + decay I)^-1 (y - m)`` with G the same kernel among rows.
    ``width`` and ``decay`` are the pair of the lowest squared error when each record in turn is left out.

    Responses are rated by the mean over raters under ``criterion`` (None: ratings without one).

    Raises:
        ValueError: scores of other records, no attributes, or fewer than two records with rated rows to choose
            between settings by.

    Source: Saunders, Gammerman and Vovk, Ridge regression learning algorithm in dual variables, ICML 1998.
    """
    expected = tuple(record.response_id(i) for record in records for i in range(len(record.responses)))
    if scores.ids != expected or not scores.attributes:
        raise ValueError("a kernel regression needs the scores of these records, with attributes")
    names = tuple(scores.attributes)
    target = _mean_ratings(records, criterion)
    given = _columns(scores, names)
    usable = scores.ok.cpu() & given.isfinite().all(1) & target.isfinite()
    given, target, owner = given[usable], target[usable], scores.group.cpu()[usable]
    settings = list(product(widths, decays))
    if not len(target) or (len(settings) > 1 and len(owner.unique()) < 2):
        raise ValueError(f"{len(target)} rated rows of {len(owner.unique())} records: too few to fit and choose")
    tried: list[tuple[float, float, float]] = []
    for width, decay in settings if len(settings) > 1 else ():
        wrong = torch.zeros_like(target)
        for record in owner.unique():
            held = owner == record
            model = _fitted(names, given[~held], target[~held], width, decay)
            wrong[held] = _predicted(model, given[held]) - target[held]
        tried.append((width, decay, float(wrong.square().mean())))
    width, decay = min(tried, key=lambda each: each[2])[:2] if tried else settings[0]
    return replace(_fitted(names, given, target, width, decay), tried=tuple(tried))


def _fitted(names: tuple[str, ...], given: Tensor, target: Tensor, width: float, decay: float) -> KernelRegression:
    std, mean = torch.std_mean(given, dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    centres = (given - mean) / std
    gram = _kernel(centres, centres, width)
    offset = target.mean()
    weights = torch.linalg.solve(gram + decay * torch.eye(len(target)).to(gram), target - offset)
    return KernelRegression(names, mean, std, centres, weights, float(offset), width, decay)


def _predicted(model: KernelRegression, given: Tensor) -> Tensor:
    return _kernel((given - model.mean) / model.std, model.centres, model.width) @ model.weights + model.offset


def _kernel(first: Tensor, second: Tensor, width: float) -> Tensor:
    return torch.exp(-torch.cdist(first, second).square() / (2 * width**2 * first.shape[1]))


def _columns(scores: Scores, names: Sequence[str]) -> Tensor:
    """``[rows, names]`` float64."""
    return torch.stack([scores.attributes[name].detach().double().cpu() for name in names], dim=1)


def _mean_ratings(records: Sequence[Record], criterion: str | None) -> Tensor:
    """``[rows]``, NaN where a response has no rating."""
    means: list[float] = []
    for record in records:
        own: dict[int, list[float]] = {}
        for item in record.feedback:
            if isinstance(item, Rating) and item.criterion == criterion:
                own.setdefault(item.response, []).append(item.value)
        means += [
            math.fsum(own[row]) / len(own[row]) if row in own else math.nan for row in range(len(record.responses))
        ]
    return torch.tensor(means, dtype=torch.float64)
