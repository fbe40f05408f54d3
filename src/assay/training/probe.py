"""A linear head on a frozen backbone, fitted to its optimum: no learning rate, no epochs, one decay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
from assay.scores import Scores, Status
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
    reads: Reads,
    supervision: Supervision,
    *,
    decay: float | Sequence[float] = DECAYS,
    fold: Ints | None = None,
    iterations: int = 60,
) -> Fitted:
    """Fit the head of ``reward`` in place to the feedback of the records that were read; the backbone stays as it is.

    Equation: ``mean_i loss_i(W z + b) + decay / 2 ||W||^2`` at its minimum by L-BFGS, ``z = (h - m) / s`` the states
    standardised over these records; afterwards ``W / s`` and ``b - W m / s`` are the head's weights, so that the reward
    reads plain states. With least squares it is ridge regression, with Bradley-Terry or cross-entropy it is logistic
    regression (Hoerl and Kennard, 1970; le Cessie and van Houwelingen, 1992). Without a bias nothing is centred.

    Of several decays the one with the lowest mean loss on inner folds is taken: ``fold`` ``[records]`` numbers them
    (records that are not independent belong in one); without it record ``n`` is in fold ``n % 3``.

    Raises:
        ValueError: the head is more than a linear layer on the states, or no record has usable feedback.
    """
    linear = _linear(reward.head)
    decays = sorted({float(each) for each in ([decay] if isinstance(decay, int | float) else decay)}, reverse=True)
    before = [weight.detach().clone() for weight in linear.parameters()]
    told: tuple[tuple[float, float], ...] = ()
    if len(decays) > 1:
        number = torch.arange(len(reads.records)) % 3 if fold is None else torch.from_numpy(fold)
        told = _held_out(reward, reads, supervision, decays, number, iterations)
        _reset(linear, before)
    best = min(told, key=lambda each: each[1])[0] if told else decays[0]
    every = list(range(len(reads.records)))
    scale = reads.scale(every, centred=_bias(linear) is not None)
    losses, penalty = _minimise(reward, reads, every, scale, supervision, best, iterations)
    _unscale(linear, scale)
    return Fitted(best, float(losses.items.detach().mean()), penalty, losses.items.numel(), told)


@torch.no_grad()
def scores_of_reads(reward: LearnedReward, reads: Reads) -> Scores:
    """The scores that the reward, whose backbone and reading made ``reads``, gives these records by its head of now."""
    rows = [start + row for start, own in zip(reads.starts, reads.rows, strict=True) for row in own]
    found = [state for own in reads.states for state in own]
    cells = Cells(
        [status for each in reads.status for status in each], [why for each in reads.messages for why in each],
        reward.backbone.gaps,
    )  # fmt: skip
    outputs = cast("Outputs", reward.head(states_of(found))) if found else Outputs(torch.zeros(0))
    return scores_from(reads.records, outputs, rows, cells)


@dataclass(frozen=True, slots=True)
class Reads:
    """Records with the states of each response that could be read, pooled as the head does: read once for all folds.

    Of record ``n``, ``states[n]`` has one tensor ``[reads, hidden]`` float32 for each of its responses ``rows[n]``;
    ``status[n]`` and ``messages[n]`` are of all its responses.
    """

    records: Sequence[Record]
    states: Sequence[Sequence[Tensor]]
    rows: Sequence[Sequence[int]]
    status: Sequence[Sequence[Status]]
    messages: Sequence[Sequence[str]]

    @staticmethod
    def of(
        reward: LearnedReward,
        records: Sequence[Record],
        store: StateStore | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Reads:
        """What ``reward`` reads of the records, through a store if there is one; records of like length together.

        ``progress`` is told how many records were just read.

        Raises:
            ValueError: as `fit_head` for the head.
        """
        _linear(reward.head)
        loaded = reward.backbone.placement.dtype
        lower = loaded if loaded in (torch.bfloat16, torch.float16) else None
        found = (store or StateStore()).open(reward, lower)
        pool = cast("Front", reward.head.front).pool
        order = sorted(range(len(records)), key=lambda index: _characters(records[index]))
        made: dict[int, tuple[list[Tensor], list[int], list[Status], list[str]]] = {}
        for first in range(0, len(order), _RECORDS_AT_ONCE):
            window = order[first : first + _RECORDS_AT_ONCE]
            prepared = reward.prepare([records[index] for index in window])
            read = found(prepared.batch) if prepared.rows else []
            if read and pool is not last_read:
                read = list(pool(states_of(read)).split(1))
            state = dict(zip(prepared.rows, read, strict=True))
            start = 0
            for index in window:
                end = start + len(records[index].responses)
                rows = [row for row in range(start, end) if row in state]
                made[index] = (
                    [state[row].float() for row in rows], [row - start for row in rows],
                    list(prepared.status[start:end]), list(prepared.messages[start:end]),
                )  # fmt: skip
                start = end
            if progress is not None:
                progress(len(window))
        each = [made[index] for index in range(len(records))]
        states, rows, status, messages = ([own[part] for own in each] for part in range(4))
        return Reads(
            list(records), cast("list[list[Tensor]]", states), cast("list[list[int]]", rows),
            cast("list[list[Status]]", status), cast("list[list[str]]", messages),
        )  # fmt: skip

    def only(self, indices: Sequence[int] | Ints) -> Reads:
        """Some of the records, in the order of ``indices``."""
        chosen = [int(index) for index in indices]
        return Reads(
            [self.records[index] for index in chosen],
            [self.states[index] for index in chosen],
            [self.rows[index] for index in chosen],
            [self.status[index] for index in chosen],
            [self.messages[index] for index in chosen],
        )

    @property
    def starts(self) -> list[int]:
        """The row of each record's first response among all responses."""
        return list(accumulate([len(record.responses) for record in self.records], initial=0))[:-1]

    def scale(self, indices: Sequence[int], *, centred: bool) -> tuple[Tensor, Tensor]:
        """Mean (0 where nothing is centred) and standard deviation ``[hidden]`` of all states of some records."""
        read = [state for index in indices for state in self.states[index]]
        if not read:
            raise ValueError("no response of these records can be read: there is nothing to fit")
        every = torch.cat(read)
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
    reads: Reads,
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
        scale = reads.scale(learn, centred=_bias(_linear(reward.head)) is not None)
        for decay in decays:
            _minimise(reward, reads, learn, scale, supervision, decay, iterations)
            with torch.no_grad():
                items = _losses(reward, reads, judge, scale, supervision).items
            sums[decay][0] += float(items.sum())
            sums[decay][1] += items.numel()
    return tuple((decay, total / max(count, 1)) for decay, (total, count) in sums.items())


def _minimise(
    reward: LearnedReward,
    reads: Reads,
    indices: Sequence[int],
    scale: tuple[Tensor, Tensor],
    supervision: Supervision,
    decay: float,
    iterations: int,
) -> tuple[Losses, float]:
    """Losses and penalty at the minimum, the head's weights left there, in standardised states."""
    linear = _linear(reward.head)
    asked = [(weight, weight.requires_grad) for weight in linear.parameters()]
    given = reads.given(indices, scale)
    records = [reads.records[index] for index in indices]
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
    reward: LearnedReward, reads: Reads, indices: Sequence[int], scale: tuple[Tensor, Tensor], supervision: Supervision
) -> Losses:
    records = [reads.records[index] for index in indices]
    return _judge(reward, reads.given(indices, scale), records, supervision)


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


def _characters(record: Record) -> int:
    answers = [message for response in record.responses for message in response.messages]
    return sum(len(message.text) for message in (*record.prompt, *answers))
