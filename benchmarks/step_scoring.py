"""All steps of a response: one forward that reads where they end against one forward for each step's prefix."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.sharing import encode
from measure import Row, flops, interleaved, medians, peak_bytes, ratio
from models import scalar_head, smollm2

PROMPT = 128


def response(steps: int) -> tuple[Tensor, list[int]]:
    """A prompt of 128 tokens with ``steps`` steps of 24 to 40, and the last position of each step."""
    generator = torch.Generator().manual_seed(steps)
    lengths = torch.randint(24, 41, (steps,), generator=generator)
    ids = torch.randint(3, 49152, (PROMPT + int(lengths.sum()),), generator=generator)
    return ids, (PROMPT + lengths.cumsum(0) - 1).tolist()


def limit(model: torch.nn.Module, ends: list[int]) -> float:
    """The ratio of arithmetic: what the prefixes need over what the whole response needs."""
    shape = family_of(model).shape

    def work(tokens: int) -> float:
        return flops(shape.weights, shape.layers, shape.width, tokens, tokens * (tokens + 1) / 2)

    return sum(work(end + 1) for end in ends) / work(ends[-1] + 1)


def rows(quick: bool) -> list[Row]:
    """4, 8, 16 and 24 steps; the goal is stated at 16."""
    base = smollm2(2 if quick else 6)
    head = scalar_head()
    cells = [(4, None), (8, None), (16, 8.5), (24, None)]
    found: list[Row] = []
    for count, goal in cells[2:3] if quick else cells:
        ids, ends = response(count)
        batch = Batch([[TokenSequence(ids, torch.tensor(ends))]])

        def together(batch: Batch = batch) -> Tensor:
            with torch.no_grad():
                return encode(base, family_of(base), batch)[0] @ head

        def apart(ids: Tensor = ids, ends: list[int] = ends) -> Tensor:
            with torch.no_grad():
                states = [
                    base(input_ids=ids[None, : end + 1], use_cache=False).last_hidden_state[0, -1] for end in ends
                ]
            return torch.stack(states) @ head

        seconds = interleaved({"together": together, "apart": apart}, 3 if quick else 5)
        found.append(
            Row(
                benchmark="step_scoring",
                cell=f"{count} steps of 24 to 40 tokens, prompt {PROMPT}",
                baseline="one forward for each step's prefix",
                ratio=ratio(seconds, "together", "apart"),
                goal=goal,
                limit=limit(base, ends),
                difference=float((together() - apart()).abs().max()),
                difference_goal=1e-5,
                memory=peak_bytes(together) / peak_bytes(apart),
                seconds=medians(seconds),
                note=f"{family_of(base).shape.layers} of 30 layers",
            )
        )
    return found
