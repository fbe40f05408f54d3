"""Unrelated sequences of mixed length: packed to a token budget, against batches of 8 in the order of arrival."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.sharing import encode
from measure import Row, flops, interleaved, medians, ratio
from models import padded_scores, scalar_head, smollm2, stock_and_prepared


def lengths(count: int, seed: int = 0) -> list[int]:
    """Log-normal lengths between 16 and 768 tokens, median about 100."""
    normal = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    return (4.6 + 0.9 * normal).exp().clamp(16, 768).long().tolist()


@torch.no_grad()
def rows(quick: bool) -> list[Row]:
    """48 sequences; batches of 8 in arrival order and sorted by length, and our packing."""
    stock, model = stock_and_prepared(smollm2(2 if quick else 6))
    family, head = family_of(model), scalar_head()
    generator = torch.Generator().manual_seed(1)
    held = [torch.randint(10, 40_000, (length,), generator=generator) for length in lengths(48)]
    batch = Batch([[TokenSequence(row, torch.tensor([len(row) - 1]))] for row in held])

    def batches(order: list[int]) -> Tensor:
        out = torch.empty(len(held))
        for first in range(0, len(order), 8):
            chunk = order[first : first + 8]
            out[chunk] = padded_scores(stock, [held[i] for i in chunk], head)
        return out

    arrival = list(range(len(held)))
    by_length = sorted(arrival, key=lambda i: len(held[i]))
    variants = {
        "ours": lambda: torch.cat(encode(model, family, batch)) @ head,
        "arrival": lambda: batches(arrival),
        "sorted": lambda: batches(by_length),
    }
    seconds = interleaved(variants, 3 if quick else 5)
    difference = float((variants["ours"]() - variants["arrival"]()).abs().max())
    shape = family.shape

    def limit(order: list[int]) -> float:
        chunks = [[len(held[i]) for i in order[first : first + 8]] for first in range(0, len(order), 8)]
        tokens = sum(len(chunk) * max(chunk) for chunk in chunks)
        pairs = sum(len(chunk) * max(chunk) ** 2 for chunk in chunks)
        real = flops(
            shape.weights, shape.layers, shape.width, sum(map(len, held)), sum(len(row) ** 2 / 2 for row in held)
        )
        return flops(shape.weights, shape.layers, shape.width, tokens, pairs) / real

    return [
        Row(
            benchmark="packing",
            cell=f"48 sequences of {min(map(len, held))}-{max(map(len, held))} tokens",
            baseline=baseline,
            ratio=ratio(seconds, "ours", name),
            goal=goal,
            limit=limit(order),
            difference=difference,
            difference_goal=1e-5,
            seconds=medians(seconds),
            note=f"{shape.layers} of 30 layers",
        )
        for name, baseline, goal, order in (
            ("arrival", "batches of 8 in arrival order", 2.5, arrival),
            ("sorted", "batches of 8 sorted by length", None, by_length),
        )
    ]
