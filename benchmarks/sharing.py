"""One prompt, many responses: against the padded batch of transformers, and the automatic choice over a grid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from assay.models.base import Batch, TokenSequence
from assay.models.families import Family, family_of
from assay.models.sharing import Layout, cheapest, encode, padded, shared
from measure import Row, flops, interleaved, medians, peak_bytes, ratio
from models import padded_scores, scalar_head, smollm2, stock_and_prepared

PADDED = "padded batch of transformers"
GRID = [
    (prompt, count, response)
    for prompt, counts, responses in (
        (0, (2, 8, 32), (8, 64, 512)),
        (32, (1, 4, 32), (8, 128)),
        (128, (2, 16), (8, 96, 512)),
        (512, (2, 8, 32), (16, 128)),
        (1024, (1, 4, 8), (32, 512)),
        (2048, (2, 4), (8, 128, 512)),
    )
    for count in counts
    for response in responses
    if count * (prompt + response) <= 8_500
]


def candidates(prompt: int, count: int, low: int, high: int, seed: int = 0) -> list[Tensor]:
    """Token ids of ``count`` candidates: a common prompt, then ``low`` to ``high`` tokens of their own."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randint(10, 40_000, (prompt,), generator=generator)
    lengths = torch.randint(low, high + 1, (count,), generator=generator).tolist()
    return [
        torch.cat([common, torch.tensor([40_000 + i]), torch.randint(10, 40_000, (length - 1,), generator=generator)])
        for i, length in enumerate(lengths)
    ]


def batch_of(rows: list[Tensor]) -> Batch:
    """One group with all rows, read at their last token."""
    return Batch([[TokenSequence(row, torch.tensor([len(row) - 1])) for row in rows]])


def limit(model: Any, prompt: int, rows: list[Tensor]) -> float:
    """The ratio of arithmetic: a padded batch with all pairs, over the prompt once and each response behind it."""
    shape = family_of(model).shape
    longest, own = max(map(len, rows)), [len(row) - prompt for row in rows]
    naive = flops(shape.weights, shape.layers, shape.width, len(rows) * longest, len(rows) * longest**2)
    pairs = prompt**2 / 2 + sum(each * (prompt + each / 2) for each in own)
    return naive / flops(shape.weights, shape.layers, shape.width, prompt + sum(own), pairs)


@torch.no_grad()
def speed(quick: bool) -> list[Row]:
    """Scoring N candidates of one prompt, at 6 of the 30 layers."""
    cells = [(1024, 16, 7.5), (1024, 8, 5.0), (1024, 4, 3.2), (1024, 2, 1.8), (512, 8, 3.5), (128, 4, 1.6)]
    stock, model = stock_and_prepared(smollm2(2 if quick else 6))
    family, head = family_of(model), scalar_head()
    rows: list[Row] = []
    for prompt, count, goal in cells[1:] if quick else cells:
        held = candidates(prompt, count, 64, 128)
        batch = batch_of(held)

        def ours(batch: Batch = batch) -> Tensor:
            return torch.cat(encode(model, family, batch)) @ head

        def theirs(held: list[Tensor] = held) -> Tensor:
            return padded_scores(stock, held, head)

        seconds = interleaved({"ours": ours, "padded": theirs}, 3 if quick else 5)
        rows.append(
            Row(
                benchmark="sharing",
                cell=f"prompt {prompt}, {count} candidates of 64-128 tokens",
                baseline=PADDED,
                ratio=ratio(seconds, "ours", "padded"),
                goal=goal,
                limit=limit(model, prompt, held),
                difference=float((ours() - theirs()).abs().max()),
                difference_goal=1e-5,
                memory=peak_bytes(ours) / peak_bytes(theirs),
                memory_goal=0.25 if (prompt, count) == (1024, 16) else None,
                seconds=medians(seconds),
                note=f"{family.shape.layers} of 30 layers",
            )
        )
    return rows


@torch.no_grad()
def choice(quick: bool) -> list[Row]:
    """The automatic choice against the best of every layout, the padded batch of transformers among them."""
    small, large = stock_and_prepared(smollm2(6)), stock_and_prepared(smollm2(2))
    head = scalar_head()
    rows: list[Row] = []
    for prompt, count, response in GRID[::4] if quick else GRID:
        stock, model = small if count * (prompt + response) <= 1_000 else large
        family = family_of(model)
        held = candidates(prompt, count, max(2, response * 3 // 4), response)
        batch = batch_of(held)

        def ours(layout: Layout | None, model: Any = model, family: Family = family, batch: Batch = batch) -> Tensor:
            return torch.cat(encode(model, family, batch, layout=layout)) @ head

        variants: dict[str, Callable[[], Tensor]] = {
            "auto": partial(ours, None),
            "padded rows": partial(ours, padded),
            "shared rows": partial(ours, shared),
            "transformers": partial(padded_scores, stock, held, head),
        }
        seconds = interleaved(variants, 3 if quick else 5)
        middle = medians(seconds)
        best = min((name for name in middle if name != "auto"), key=lambda name: middle[name])
        rows.append(
            Row(
                benchmark="choice",
                cell=f"prompt {prompt}, {count} candidates of {response}",
                baseline=f"best of all layouts ({best})",
                ratio=ratio(seconds, "auto", best),
                goal=0.95,
                difference=float((variants["auto"]() - variants["transformers"]()).abs().max()),
                difference_goal=1e-5,
                seconds=middle,
                note=f"chose {cheapest(family, batch).layout}; {family.shape.layers} of 30 layers",
            )
        )
    return rows


@torch.no_grad()
def exactness(quick: bool) -> list[Row]:
    """All 30 layers: shared and alone, and the order they give."""
    stock, model = stock_and_prepared(smollm2(4 if quick else 30))
    family, head = family_of(model), scalar_head()
    rows: list[Row] = []
    for prompt, count in ((128, 4),) if quick else ((128, 8), (512, 4)):
        held = candidates(prompt, count, 64, 128)
        found = torch.cat(encode(model, family, batch_of(held), layout=shared)) @ head
        alone = torch.cat([padded_scores(stock, [row], head) for row in held])
        if not torch.equal(found.argsort(), alone.argsort()):
            raise AssertionError(f"shared and alone rank the candidates of prompt {prompt} differently")
        rows.append(
            Row(
                benchmark="exactness",
                cell=f"prompt {prompt}, {count} candidates, same ranks",
                baseline="each candidate alone",
                difference=float((found - alone).abs().max()),
                difference_goal=1e-5,
                note=f"{family.shape.layers} of 30 layers, score deviation {float(alone.std()):.2f}",
            )
        )
    return rows
