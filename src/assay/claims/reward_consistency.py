"""RewardFusion: averaged over near copies of a response, a reward tells contrasting instructions apart more often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.benchmarks.consistency import Contrast, contrast_consistency
from assay.claims.base import Check, Outcome
from assay.claims.paired import differences, world
from assay.records import Record, Response
from assay.rewards.base import Reward, scores_of
from assay.rewards.fused import neighbour_fused
from assay.scores import Scores

_QUADRUPLES, _WIDTH, _COPIES, _JITTER = 500, 6, 8, 0.08
_ERROR, _FREQUENCY = 1.6, 12.0


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Two like instructions and an answer that fits each; the reward is the truth (how near answer and instruction
    lie) plus an error that changes within a hair's breadth. ``C_res`` and ``C_ins`` of the reward alone and of its mean
    over 8 near copies of each response.

    Sabotage: the copies are not near: they are copies of other answers, whose mean says nothing.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    alone, fused = [each[0] for each in found], [each[1] for each in found]
    return Outcome(
        figures={
            "C_res alone": tuple(each.responses for each in alone),
            "C_ins alone": tuple(each.instructions for each in alone),
            "C_res over near copies": tuple(each.responses for each in fused),
            "C_ins over near copies": tuple(each.instructions for each in fused),
        },
        checks=(
            Check(
                "mean consistency gained",
                differences([each.mean for each in fused], [each.mean for each in alone]),
                at_least=0.08,
            ),
        ),
        notes=("only near duplicates help: neighbours that are other examples changed nothing",),
    )


def _one(seed: int, sabotage: bool) -> tuple[Contrast, Contrast]:
    generator = world(seed)
    asked = torch.randn((_QUADRUPLES, _WIDTH), generator=generator)
    asked = torch.stack([asked, asked + 0.5 * torch.randn(asked.shape, generator=generator)], 1)
    answers = asked + 0.1 * torch.randn(asked.shape, generator=generator)
    jitter = _JITTER * torch.randn((_QUADRUPLES, 2, _COPIES, _WIDTH), generator=generator)
    waves = _FREQUENCY * torch.randn(2 * _WIDTH, generator=generator)

    def place(text: str) -> Tensor:
        """The answer that a text such as ``17 1 3`` names: answer 1 of quadruple 17, its copy 3."""
        quadruple, answer, copy = (int(number) for number in text.split())
        found = answers[quadruple, answer]
        return found if copy < 0 else found + jitter[quadruple, answer, copy]

    def reward(shown: Sequence[Record], /) -> Scores:
        rows = [
            torch.cat([asked[tuple(int(number) for number in record.prompt[0].text.split())], place(response.text)])
            for record in shown
            for response in record.responses
        ]
        both = torch.stack(rows)
        truth = -(both[:, :_WIDTH] - both[:, _WIDTH:]).square().sum(1)
        return scores_of(shown, truth + _ERROR * torch.sin(both @ waves))

    def copies(record: Record, index: int) -> list[tuple[Response, float]]:
        quadruple, answer, _ = (int(number) for number in record.responses[index].text.split())
        near = (quadruple + 1) % _QUADRUPLES if sabotage else quadruple
        return [(Response.of(f"{near} {answer} {copy}"), 1.0) for copy in range(_COPIES)]

    records = [
        Record.of(f"{i} {which}", [f"{i} 0 -1", f"{i} 1 -1"], id=f"{i}/{which}")
        for i in range(_QUADRUPLES)
        for which in range(2)
    ]
    return _consistency(reward, records), _consistency(neighbour_fused(reward, copies), records)


def _consistency(reward: Reward, records: Sequence[Record]) -> Contrast:
    return contrast_consistency(reward(records).values.reshape(-1, 2, 2))
