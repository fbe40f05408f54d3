"""Requests with one prompt that come one after another: a reward that keeps prompts, against the same without."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.sharing import PrefixStore, encode
from measure import Row, flops, interleaved, medians, ratio
from models import scalar_head, smollm2, stock_and_prepared
from sharing import candidates

BASELINE = "the same calls without keeping"


def one_by_one(rows: list[Tensor]) -> list[Batch]:
    """A batch for each sequence."""
    return [Batch([[TokenSequence(row, torch.tensor([len(row) - 1]))]]) for row in rows]


@torch.no_grad()
def speed(quick: bool) -> list[Row]:
    """8 candidates of 64 to 128 tokens, a call each, at 6 of the 30 layers. The store is empty when each run begins."""
    _, model = stock_and_prepared(smollm2(2 if quick else 6))
    family, head = family_of(model), scalar_head()
    rows: list[Row] = []
    for prompt, goal in ((512, 2.8), (1024, 4.0)):
        held = candidates(prompt, 8, 64, 128)
        calls = one_by_one(held)

        def with_store(bytes_: int, calls: list[Batch] = calls) -> Tensor:
            store = PrefixStore(bytes_)
            return torch.cat([encode(model, family, each, prefixes=store)[0] for each in calls]) @ head

        def keeping(run: Callable[[int], Tensor] = with_store) -> Tensor:
            return run(2**30)

        def plain(calls: list[Batch] = calls) -> Tensor:
            return torch.cat([encode(model, family, each)[0] for each in calls]) @ head

        difference = float((keeping() - plain()).abs().max())
        seconds = interleaved({"keeping": keeping, "plain": plain}, 3 if quick else 5)
        shape, own = family.shape, [len(row) - prompt for row in held]
        whole = sum(flops(shape.weights, shape.layers, shape.width, len(row), len(row) ** 2 / 2) for row in held)
        once = flops(shape.weights, shape.layers, shape.width, prompt, prompt**2 / 2)
        once += sum(flops(shape.weights, shape.layers, shape.width, n, n * (prompt + n / 2)) for n in own)
        store = PrefixStore(2**30)
        for each in calls:
            encode(model, family, each, prefixes=store)
        kept = f"{store.bytes / 2**20:.1f} MB kept, {store.found:,} of {store.found + store.read:,} tokens not computed"
        rows.append(
            Row(
                benchmark="kept_prefix",
                cell=f"prompt {prompt}, 8 candidates one after another",
                baseline=BASELINE,
                ratio=ratio(seconds, "keeping", "plain"),
                goal=goal,
                limit=whole / once,
                difference=difference,
                difference_goal=1e-5,
                seconds=medians(seconds),
                note=kept,
            )
        )
    return rows
