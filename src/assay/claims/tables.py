"""Records and rewards of a world whose features are tensors: a response's text is its place in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from assay.records import Preference, Record
from assay.rewards.base import scores_of
from assay.scores import Scores


def numbered(prompts: int, responses: int, *, first: int = 0) -> list[Record]:
    """Records whose responses are the numbers from ``first`` on, record by record."""
    starts = range(first, first + prompts * responses, responses)
    return [Record.of("", [str(start + i) for i in range(responses)], id=str(start)) for start in starts]


def preferred(chosen: Sequence[int], rejected: Sequence[int]) -> list[Record]:
    """A record a pair, the first response preferred; both are places."""
    return [
        Record.of("", [str(a), str(b)], id=f"{a}-{b}", feedback=[Preference(better=0, worse=1)])
        for a, b in zip(chosen, rejected, strict=True)
    ]


@final
@dataclass(frozen=True, eq=False)
class Table:
    """A reward that reads a response's number off a tensor ``[places]``."""

    name: str
    values: Tensor

    def __call__(self, records: Sequence[Record], /) -> Scores:
        places = [int(response.messages[0].text) for record in records for response in record.responses]
        return scores_of(records, self.values[places])

    def __repr__(self) -> str:
        return self.name
