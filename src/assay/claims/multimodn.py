"""MultiModN: what is missing is skipped, so that its absence is no shortcut to the label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, world
from assay.models.heads.fusion import ConcatFusionHead, SequentialFusionHead
from assay.models.outputs import Outputs, States
from assay.objectives.pointwise import binary_cross_entropy

_WIDTH, _ROWS, _HELD_OUT, _OFTEN, _SIGNAL = 6, 800, 2000, 0.8, 0.8


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """In training the second modality is missing for 80 % of the positives; at test for 80 % of the negatives. Parallel
    fusion (concatenation with what is missing imputed) against one modality after another; both stopped at their best
    on data missing as in training, and measured where it is the other way round.

    Sabotage: the sequential head is given zeros for what is missing, instead of skipping it.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    sequential, parallel, sequential_before, parallel_before, apart = (
        tuple(column) for column in zip(*found, strict=True)
    )
    return Outcome(
        figures={
            "area under the curve, sequential, flipped": sequential,
            "area under the curve, parallel, flipped": parallel,
            "area under the curve, sequential, as in training": sequential_before,
            "area under the curve, parallel, as in training": parallel_before,
        },
        checks=(
            Check("sequential over parallel when flipped", differences(sequential, parallel), at_least=0.06),
            Check("loss of parallel when flipped", differences(parallel_before, parallel), at_least=0.2),
            Check("change of a response by those scored beside it", apart, at_most=1e-5),
        ),
        notes=("where responses go missing as in training, sequential is not better: there the shortcut pays",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    generator = world(seed)
    signs = _SIGNAL * nn.functional.normalize(torch.randn(2, _WIDTH, generator=generator), dim=-1)
    train, usual = (_drawn(signs, rows, generator, positive=True) for rows in (_ROWS, _HELD_OUT))
    flipped = _drawn(signs, _HELD_OUT, generator, positive=False)
    sequential = SequentialFusionHead(_WIDTH, 2, state=8, width=16, seed=seed)
    parallel = ConcatFusionHead(_WIDTH, 2, width=32, seed=seed)

    def given(hidden: Tensor) -> Tensor:
        return hidden.nan_to_num(0.0) if sabotage else hidden

    def steps() -> Tensor:
        said = _outputs(sequential, given(train[0]))
        each = said.extra["predictions"]
        wrong = binary_cross_entropy(each, train[1][:, None].expand_as(each)).mean()
        return wrong + 0.01 * said.extra["changes"].mean()

    def joint() -> Tensor:
        return binary_cross_entropy(_outputs(parallel, train[0].nan_to_num(0.0)).values, train[1]).mean()

    def sequentially(rows: tuple[Tensor, Tensor]) -> float:
        return _area(_outputs(sequential, given(rows[0])).values, rows[1])

    def jointly(rows: tuple[Tensor, Tensor]) -> float:
        return _area(_outputs(parallel, rows[0].nan_to_num(0.0)).values, rows[1])

    one = fit_at_best(sequential, steps, lambda: sequentially(usual), steps=200, learning_rate=0.01)
    other = fit_at_best(parallel, joint, lambda: jointly(usual), steps=200, learning_rate=0.01)
    with torch.no_grad():
        together = _outputs(sequential, given(flipped[0][:50])).values
        alone = torch.cat([_outputs(sequential, given(row[None])).values for row in flipped[0][:50]])
    return sequentially(flipped), jointly(flipped), one, other, float((together - alone).abs().max())


def _outputs(head: nn.Module, hidden: Tensor) -> Outputs:
    found: Outputs = head(States(hidden.flatten(0, 1), (2,) * len(hidden)))
    return found


def _area(values: Tensor, labels: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels.numpy(), values.detach().numpy()))


def _drawn(signs: Tensor, rows: int, generator: torch.Generator, *, positive: bool) -> tuple[Tensor, Tensor]:
    """Two modalities ``[rows, 2, width]``, the second NaN mostly where the label is ``positive``, and labels."""
    labels = (torch.rand(rows, generator=generator) < 0.5).float()
    hidden = torch.randn(rows, 2, _WIDTH, generator=generator) + (2 * labels - 1)[:, None, None] * signs
    missing = (torch.rand(rows, generator=generator) < _OFTEN) & (labels == float(positive))
    hidden[missing, 1] = torch.nan
    return hidden, labels
