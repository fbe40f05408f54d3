"""How strong each preference is, by the vote of several rewards, and labels changed by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from assay.records import Preference, Record
from assay.scores import Scores

Policy: TypeAlias = Callable[[Preference, float, float], Preference | None]
"""A preference, and the mean and std of its margin over the members, to the preference that is learned from; None
drops it."""


def stated(records: Sequence[Record]) -> Iterator[tuple[int, Preference]]:
    """The preferences that name a winner, in order, each with the position of its record; ties are left out."""
    for place, record in enumerate(records):
        for item in record.feedback:
            if isinstance(item, Preference) and not item.tie:
                yield place, item


def margins(members: Sequence[Scores], records: Sequence[Record]) -> Tensor:
    """``[members, pairs]``: preferred score minus the other, by each member, for every pair of `stated`; NaN where the
    member abstained.

    Raises:
        ValueError: no member, or the scores are not of these records.
    """
    expected = tuple(record.response_id(i) for record in records for i in range(len(record.responses)))
    if not members or any(scores.ids != expected for scores in members):
        raise ValueError("margins need the scores of these records by at least one member")
    starts = [0]
    for record in records:
        starts.append(starts[-1] + len(record.responses))
    pairs = [(starts[place] + item.better, starts[place] + item.worse) for place, item in stated(records)]
    index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    values = torch.stack([scores.values.detach().double().cpu() for scores in members])
    return values[:, index[:, 0]] - values[:, index[:, 1]]


def preference_strength(margins: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population std over the members that judged both, ``[members, pairs]`` to two ``[pairs]``.

    A mean below 0 says that the members, trained on the labels, still vote against this one; near 0 it is ambiguous.
    NaN where no member judged the pair. Source: Wang et al. (Secrets of RLHF II), 2024, arXiv 2401.06080 (10 members).
    """
    there = ~margins.isnan()
    count = there.sum(0).clamp(min=1)
    filled = torch.where(there, margins, 0.0)
    mean = filled.sum(0) / count
    spread = torch.where(there, filled - mean, 0.0).square().sum(0) / count
    known = there.any(0)
    return torch.where(known, mean, torch.nan), torch.where(known, spread.sqrt(), torch.nan)


def lowest(mean: Tensor, share: float) -> float:
    """The strength below which that share of the pairs lies: a threshold for `flip`, `soft` and `drop`.

    Raises:
        ValueError: a share outside 0..1, or no pair.
    """
    known = mean[~mean.isnan()].double()
    if not 0 <= share <= 1 or not known.numel():
        raise ValueError(f"need a share in 0..1 of at least one pair, got {share} of {known.numel()}")
    return float(torch.quantile(known, share))


def flip(below: float = 0.0) -> Policy:
    """Exchanges winner and loser where the mean margin is under ``below``."""

    def policy(item: Preference, mean: float, std: float) -> Preference:
        if not mean < below:
            return item
        margin = None if item.margin is None else -item.margin
        return replace(item, better=item.worse, worse=item.better, margin=margin)

    return policy


def soft(smoothing: float = 0.5, below: float = 0.0) -> Policy:
    """Label smoothing where the mean margin is under ``below``: the stated winner wins with ``1 - smoothing``.

    Raises:
        ValueError: ``smoothing`` outside 0..1.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing lies in 0..1, got {smoothing}")

    def policy(item: Preference, mean: float, std: float) -> Preference:
        return replace(item, probability=1.0 - smoothing) if mean < below else item

    return policy


def adaptive_margin(scale: float = 1.0) -> Policy:
    """The mean margin times ``scale`` as the margin of the loss, inside the sigmoid; of either sign."""

    def policy(item: Preference, mean: float, std: float) -> Preference:
        return replace(item, margin=scale * mean)

    return policy


def drop(below: float = 0.0, std_above: float = math.inf) -> Policy:
    """Drops pairs whose mean margin is under ``below``, or over whose margin the members differ by more than
    ``std_above``."""

    def policy(item: Preference, mean: float, std: float) -> Preference | None:
        return None if mean < below or std > std_above else item

    return policy


def relabel(records: Sequence[Record], mean: Tensor, std: Tensor, *policies: Policy) -> list[Record]:
    """The records with every stated preference put through the policies in turn; flip, then margin, say.

    ``mean`` and ``std`` are ``[pairs]`` in the order of `stated`. A flipped pair has its mean margin negated for the
    policies after it. A pair of unknown strength (NaN) stays as it is, and so does all other feedback; a record that
    loses its only preference stays, and is silent in training.

    Raises:
        ValueError: no policy, or another number of strengths than pairs.
    """
    pairs = sum(1 for _ in stated(records))
    if not policies or mean.shape != (pairs,) or std.shape != (pairs,):
        raise ValueError(
            f"{pairs} pairs need {pairs} strengths and a policy; got {tuple(mean.shape)}, {tuple(std.shape)} and "
            f"{len(policies)}"
        )
    strengths = iter(zip(mean.tolist(), std.tolist(), strict=True))
    done: list[Record] = []
    for record in records:
        feedback = [
            kept
            for item in record.feedback
            if (kept := _through(item, *next(strengths), policies) if _names_a_winner(item) else item) is not None
        ]
        done.append(replace(record, feedback=tuple(feedback)))
    return done


def _names_a_winner(item: object) -> bool:
    return isinstance(item, Preference) and not item.tie


def _through(item: object, mean: float, std: float, policies: Sequence[Policy]) -> Preference | None:
    found: Preference | None = item if isinstance(item, Preference) else None
    if math.isnan(mean):
        return found
    for policy in policies:
        if found is None:
            return None
        winner = found.better
        found = policy(found, mean, std)
        if found is not None and found.better != winner:
            mean = -mean
    return found
