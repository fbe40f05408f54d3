"""A linear head on a frozen backbone, fitted to its optimum: no learning rate, no epochs, one decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from assay.metrics import Ints
from assay.models.heads.front import Front
from assay.models.heads.pooling import last_read
from assay.models.outputs import Outputs, States, placed, states_of
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.rewards.scored import Cells, scores_from
from assay.scores import Scores
from assay.training.states import StateStore
from assay.training.supervision import Losses, Supervision

DECAYS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
_RECORDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit came to: mean loss and penalty at the end, items (pairs, ratings, steps), and how it was judged.

    ``held_out`` has, for each decay that was tried, the mean loss on the folds it was not fitted on.
    """

    decay: float
    loss: float
    penalty: float
    items: int
    held_out: tuple[tuple[float, float], ...] = ()


def fit_head(
    reward: LearnedReward,
    records: Sequence[Record],
    supervision: Supervision,
    *,
    decay: float | Sequence[float] = DECAYS,
    fold: Ints | None = None,
    states: StateStore | None = None,
    iterations: int = 60,
) -> Fitted:
    """Fit the head of ``reward`` in place; the backbone is read once, through ``states``, and stays as it is.

    Equation: ``mean_i loss_i(W z + b) + decay / 2 ||W||^2`` at its minimum by L-BFGS, ``z = (h - m) / s`` the states
    standardised over ``records``; afterwards ``W / s`` and ``b - W m / s`` are the head's weights, so that the reward
    reads plain states. With least squares it is ridge regression, with Bradley-Terry or cross-entropy it is logistic
    regression (Hoerl and Kennard, 1970; le Cessie and van Houwelingen, 1992). Without a bias nothing is centred.

    Of several decays the one with the lowest mean loss on inner folds is taken: ``fold`` ``[records]`` numbers them
    (records that are not independent belong in one); without it record ``n`` is in fold ``n % 3``.

    Raises:
        ValueError: the head is more than a linear layer on the states, or no record has usable feedback.
    """
    linear = _linear(reward.head)
    read = _Read.of(reward, records, states or StateStore())
    decays = sorted({float(each) for each in ([decay] if isinstance(decay, int | float) else decay)}, reverse=True)
    before = [weight.detach().clone() for weight in linear.parameters()]
    told: tuple[tuple[float, float], ...] = ()
    if len(decays) > 1:
        number = torch.arange(len(records)) % 3 if fold is None else torch.from_numpy(fold)
        told = _held_out(reward, read, supervision, decays, number, iterations)
        _reset(linear, before)
    best = min(told, key=lambda each: each[1])[0] if told else decays[0]
    every = list(range(len(records)))
    scale = read.scale(every, centred=_bias(linear) is not None)
    losses, penalty = _minimise(reward, read, every, scale, supervision, best, iterations)
    _unscale(linear, scale)
    return Fitted(best, float(losses.items.detach().mean()), penalty, losses.items.numel(), told)


def read_through(reward: LearnedReward, records: Sequence[Record], states: StateStore) -> int:
    """Compute and keep the states that the store lacks of some records; the number of tokens there were."""
    prepared = reward.prepare(records)
    if prepared.rows:
        states.open(reward, _format(reward))(prepared.batch)
    return prepared.tokens


@torch.no_grad()
def scores_by_states(reward: LearnedReward, records: Sequence[Record], states: StateStore) -> Scores:
    """The reward's scores, its backbone read through a store: what is known of a fold is not computed again."""
    parts: list[Scores] = []
    for first in range(0, len(records), _RECORDS_AT_ONCE):
        window = records[first : first + _RECORDS_AT_ONCE]
        prepared = reward.prepare(window)
        cells = Cells(list(prepared.status), list(prepared.messages), reward.backbone.gaps)
        sequences = [sequence for group in prepared.batch.groups for sequence in group]
        outputs = Outputs(torch.zeros(0))
        if sequences:
            condition = _condition(reward, window, prepared.rows)
            outputs = reward.model.judge(states.open(reward, _format(reward))(prepared.batch), sequences, condition)
        parts.append(scores_from(window, outputs, prepared.rows, cells))
    return Scores.concatenate(parts)


@dataclass(frozen=True, slots=True)
class _Read:
    """The states of each sequence that could be read, pooled as the head does, and whose they are."""

    records: Sequence[Record]
    states: list[list[Tensor]]
    rows: list[list[int]]

    @staticmethod
    def of(reward: LearnedReward, records: Sequence[Record], store: StateStore) -> _Read:
        found = store.open(reward, _format(reward))
        pool = cast("Front", reward.head.front).pool
        kept: list[list[Tensor]] = []
        rows: list[list[int]] = []
        for first in range(0, len(records), _RECORDS_AT_ONCE):
            window = records[first : first + _RECORDS_AT_ONCE]
            prepared = reward.prepare(window)
            made = found(prepared.batch) if prepared.rows else []
            if made and pool is not last_read:
                made = list(pool(states_of(made)).split(1))
            owner = [number for number, record in enumerate(window) for _ in record.responses]
            start = [owner.index(number) if number in owner else 0 for number in range(len(window))]
            mine: list[list[Tensor]] = [[] for _ in window]
            places: list[list[int]] = [[] for _ in window]
            for row, state in zip(prepared.rows, made, strict=True):
                mine[owner[row]].append(state.float())
                places[owner[row]].append(row - start[owner[row]])
            kept += mine
            rows += places
        if not any(kept):
            raise ValueError("no response of these records can be read: there is nothing to fit")
        return _Read(records, kept, rows)

    def scale(self, indices: Sequence[int], *, centred: bool) -> tuple[Tensor, Tensor]:
        """Mean (0 where nothing is centred) and standard deviation ``[hidden]`` of all states of some records."""
        every = torch.cat([state for index in indices for state in self.states[index]])
        every = every[~every.isnan().any(dim=1)]
        std, mean = torch.std_mean(every, dim=0, correction=0)
        return (mean if centred else torch.zeros_like(mean)), std.clamp(min=1e-6)

    def given(self, indices: Sequence[int], scale: tuple[Tensor, Tensor]) -> tuple[States, list[int], int]:
        """Standardised states of some records, the row of each sequence among their responses, and how many rows."""
        rows: list[int] = []
        total = 0
        for index in indices:
            rows += [total + row for row in self.rows[index]]
            total += len(self.records[index].responses)
        found = states_of([state for index in indices for state in self.states[index]])
        return States((found.hidden - scale[0]) / scale[1], found.counts), rows, total


def _held_out(
    reward: LearnedReward,
    read: _Read,
    supervision: Supervision,
    decays: Sequence[float],
    fold: Tensor,
    iterations: int,
) -> tuple[tuple[float, float], ...]:
    """(decay, mean loss on folds it was not fitted on); decays descend, each starts where the last one ended."""
    sums = {decay: [0.0, 0] for decay in decays}
    for number in fold.unique().tolist():
        learn = (fold != number).nonzero().flatten().tolist()
        judge = (fold == number).nonzero().flatten().tolist()
        _zero(_linear(reward.head))
        scale = read.scale(learn, centred=_bias(_linear(reward.head)) is not None)
        for decay in decays:
            _minimise(reward, read, learn, scale, supervision, decay, iterations)
            with torch.no_grad():
                items = _losses(reward, read, judge, scale, supervision).items
            sums[decay][0] += float(items.sum())
            sums[decay][1] += items.numel()
    return tuple((decay, total / max(count, 1)) for decay, (total, count) in sums.items())


def _minimise(
    reward: LearnedReward,
    read: _Read,
    indices: Sequence[int],
    scale: tuple[Tensor, Tensor],
    supervision: Supervision,
    decay: float,
    iterations: int,
) -> tuple[Losses, float]:
    """Losses and penalty at the minimum, the head's weights left there, in standardised states."""
    linear = _linear(reward.head)
    asked = [(weight, weight.requires_grad) for weight in linear.parameters()]
    given = read.given(indices, scale)
    records = [read.records[index] for index in indices]
    optimiser = torch.optim.LBFGS(
        linear.parameters(), max_iter=iterations, history_size=20, tolerance_grad=1e-6, tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def penalty() -> Tensor:
        return 0.5 * decay * linear.weight.square().sum()

    def closure() -> Tensor:
        optimiser.zero_grad()
        losses = _judge(reward, given, records, supervision)
        if not losses.items.numel():
            raise ValueError("no record has feedback that this supervision can use: there is nothing to fit")
        total = losses.items.mean() + penalty()
        total.backward()
        return total.detach()

    for weight, _ in asked:
        weight.requires_grad_(True)
    try:
        with torch.enable_grad():
            optimiser.step(closure)  # pyright: ignore[reportArgumentType] -- its stub wants a float, it takes a tensor
    finally:
        for weight, flag in asked:
            weight.requires_grad_(flag)
            weight.grad = None
    with torch.no_grad():
        return _judge(reward, given, records, supervision), float(penalty())


def _losses(
    reward: LearnedReward, read: _Read, indices: Sequence[int], scale: tuple[Tensor, Tensor], supervision: Supervision
) -> Losses:
    records = [read.records[index] for index in indices]
    return _judge(reward, read.given(indices, scale), records, supervision)


def _judge(
    reward: LearnedReward, given: tuple[States, list[int], int], records: Sequence[Record], supervision: Supervision
) -> Losses:
    states, rows, total = given
    outputs = cast("Outputs", reward.head(states))
    return supervision(placed(outputs, rows, range(len(rows)), total), records)


def _linear(head: nn.Module) -> nn.Linear:
    linear, front = getattr(head, "linear", None), getattr(head, "front", None)
    own = {name for name, _ in head.named_parameters()} - {"linear.weight", "linear.bias"}
    needs = [name for name in ("needs_prompt", "needs_following") if getattr(head, name, False)]
    if not isinstance(linear, nn.Linear) or not isinstance(front, Front) or own or needs:
        raise ValueError(
            f"a {type(head).__name__} is more than one linear layer on the states ({', '.join(sorted(own)) or 'others'}"
            "): fit_head takes a ScalarHead, AttributeHead or StepHead without norm and condition; train others"
        )
    return linear


def _bias(linear: nn.Linear) -> Tensor | None:
    return cast("Tensor | None", linear.bias)


@torch.no_grad()
def _unscale(linear: nn.Linear, scale: tuple[Tensor, Tensor]) -> None:
    linear.weight.div_(scale[1])
    bias = _bias(linear)
    if bias is not None:
        bias.sub_(linear.weight @ scale[0])


@torch.no_grad()
def _reset(linear: nn.Linear, weights: Sequence[Tensor]) -> None:
    for weight, before in zip(linear.parameters(), weights, strict=True):
        weight.copy_(before)


@torch.no_grad()
def _zero(linear: nn.Linear) -> None:
    for weight in linear.parameters():
        weight.zero_()


def _format(reward: LearnedReward) -> torch.dtype | None:
    loaded = reward.backbone.placement.dtype
    return loaded if loaded in (torch.bfloat16, torch.float16) else None


def _condition(reward: LearnedReward, records: Sequence[Record], rows: Sequence[int]) -> Tensor | None:
    from assay.rewards.base import group_index

    rows_of = reward.conditions(records)
    return None if rows_of is None else rows_of[group_index(records)[list(rows)]]
