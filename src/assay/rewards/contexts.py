"""Rewards that depend on a context: under one of them, over several, and which of them some choices speak for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.records import Record
from assay.records.pairs import preferences_of
from assay.rewards.base import Reward, combine, name_of, score, spec_of
from assay.scores import Scores
from assay.spec import Spec
from assay.transforms.combine import weighted_sum


@final
@dataclass(frozen=True)
class _Under:
    reward: Reward
    column: str
    value: Any

    @property
    def spec(self) -> Spec:
        spec = spec_of(self.reward)
        return replace(spec, needs=tuple(name for name in spec.needs if name != self.column))

    def __call__(self, records: Sequence[Record], /) -> Scores:
        set_to = {self.column: self.value}
        return score(self.reward, [replace(record, context={**record.context, **set_to}) for record in records])

    def __repr__(self) -> str:
        return f"under({name_of(self.reward)}, {self.column!r}, {self.value!r})"


def under(reward: Reward, column: str, value: Any) -> Reward:
    """The reward with context ``column`` set to ``value`` on every record, whatever the record says there."""
    return _Under(reward, column, value)


def over_contexts(reward: Reward, column: str, probability: Mapping[str, float]) -> Reward:
    """The expected score ``sum_c p(c) r(x, y, c)`` over contexts ``c`` of ``column``, for a context that is not known.

    Raises:
        ValueError: no context, a negative probability, or probabilities that do not sum to 1.

    Source: Pitis et al., 2024, arXiv 2407.14916.
    """
    if not probability or min(probability.values()) < 0 or abs(sum(probability.values()) - 1.0) > 1e-6:
        raise ValueError(f"probabilities of contexts are at least 0 and sum to 1, got {dict(probability)}")
    members = [under(reward, column, name) for name in probability]
    return combine(*members, by=weighted_sum(*probability.values()))


def context_posterior(gaps: Tensor, prior: Tensor | None = None) -> Tensor:
    """``p(context | choices)``, ``[contexts]``: proportional to ``prior prod_n sigmoid(gaps[context, n])``.

    ``gaps`` ``[contexts, choices]`` is how much higher, in logits, what was chosen scores under each context; NaN, a
    pair that could not be judged, says nothing. ``prior`` ``[contexts]`` is positive, uniform where it is not given.

    Raises:
        ValueError: a prior that is not positive, or not one a context.

    Source: Pitis et al., 2024, arXiv 2407.14916.
    """
    said = torch.where(gaps.isnan(), 0.0, F.logsigmoid(gaps.nan_to_num(0.0))).sum(-1)
    if prior is not None:
        if prior.shape != said.shape or not bool((prior > 0).all()):
            raise ValueError(f"a prior has one positive number a context, got {tuple(prior.shape)} for {len(gaps)}")
        said = said + prior.to(said).log()
    return said.softmax(-1)


def infer_context(reward: Reward, column: str, names: Sequence[str], records: Sequence[Record]) -> dict[str, float]:
    """How likely each of ``names`` is the context in which someone made the choices in ``records``; they sum to 1.

    A choice is a certain preference (`records.pairs.preferences_of`); ties and undecided ones say nothing. Without any,
    all are equally likely.

    Raises:
        ValueError: no names.
    """
    if not names:
        raise ValueError("infer_context needs the names of the contexts to choose from")
    better: list[int] = []
    worse: list[int] = []
    offset = 0
    for record in records:
        for item in preferences_of(record):
            if not item.tie and item.probability != 0.5:
                first, second = (item.better, item.worse) if item.probability > 0.5 else (item.worse, item.better)
                better.append(offset + first)
                worse.append(offset + second)
        offset += len(record.responses)
    with torch.no_grad():
        values = torch.stack([score(under(reward, column, name), records).values.cpu() for name in names])
    found = context_posterior(values[:, better] - values[:, worse])
    return dict(zip(names, found.tolist(), strict=True))
