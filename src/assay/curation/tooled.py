"""Training rows with the traces of tools in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from assay.curation.filters import keep_responses
from assay.media import Text
from assay.records import Record, Response, StepEnd
from assay.rewards.tools import Plan, Tool, traced
from assay.scores import Status


def with_traces(plan: Plan, tools: Mapping[str, Tool]) -> Callable[[Sequence[Record]], list[Record]]:
    """Each response with its trace behind it, its only step ending where the trace begins; a response without calls
    has no step. Responses whose tools failed go, with the feedback about them, and records that are left with none.
    """

    def curate(records: Sequence[Record]) -> list[Record]:
        trace = traced(records, plan, tools)
        status = iter(trace.status)
        kept: list[Record] = []
        for before, after in zip(records, trace.records, strict=True):
            fine = [i for i in range(len(after.responses)) if next(status) is Status.OK]
            pairs = zip(before.responses, after.responses, strict=True)
            marked = replace(after, responses=tuple(_marked(old, new) for old, new in pairs))
            if fine:
                kept.append(keep_responses(marked, fine))
        return kept

    return curate


def _marked(old: Response, new: Response) -> Response:
    last = old.messages[-1] if old.messages else None
    if len(new.messages) == len(old.messages) or last is None or not last.parts:
        return replace(new, step_ends=())
    part = last.parts[-1]
    offset = len(part.text) if isinstance(part, Text) else None
    return replace(new, step_ends=(StepEnd(len(old.messages) - 1, len(last.parts) - 1, offset),))
