"""Rewards that ask tools first: calls and what came back are part of what is read, and a failed tool is no score.

A trace follows the response, in the form of Themis: an assistant message ``Thought / Action / Action Input`` with the
call as ``tool_calls``, then a message of role ``tool`` with the observation. `traced` writes it for training rows and
for scoring alike. Source: Li et al. (Themis), "Tool-Augmented Reward Modeling", 2023, arXiv 2310.01045.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch

from assay.media import Text
from assay.records import Message, Record, Response
from assay.rewards.base import Reward, score, scores_of, spec_of
from assay.scores import Scores, Status
from assay.spec import Spec, merge

Tool: TypeAlias = Callable[[str, Record], str]
"""The input of a call, and the record it is about, to the observation; a failure is a `ToolError`."""


class ToolError(ValueError):
    """A tool that gave nothing: ``status`` says why (``INVALID`` input, ``TIMEOUT``, ``UNAVAILABLE``, ...)."""

    def __init__(self, message: str, status: Status = Status.INVALID) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the tool's name, its input, and the thought before it."""

    tool: str
    input: str
    thought: str = ""


Plan: TypeAlias = Callable[[Record, Response], Sequence[Call]]
"""Which tools to ask about a response. A rule such as `arithmetic`, or `written` over a generator's text."""


@dataclass(frozen=True, slots=True)
class Traced:
    """Records whose responses end with their traces, and what became of the calls of each response, flat and in order:
    the first failure, ``OK`` where there was none. A trace ends at its first failure."""

    records: tuple[Record, ...]
    status: tuple[Status, ...]
    messages: tuple[str, ...]
    texts: tuple[str, ...]


def traced(records: Sequence[Record], plan: Plan, tools: Mapping[str, Tool]) -> Traced:
    """Ask the tools that ``plan`` names and write each response's trace after it. A call of a tool that is not in
    ``tools`` fails as ``UNAVAILABLE``; an exception of a tool other than `ToolError` as ``FAILED``."""
    written: list[Record] = []
    outcomes: list[tuple[Status, str]] = []
    texts: list[str] = []
    for record in records:
        responses: list[Response] = []
        for response in record.responses:
            trace, outcome = _trace(record, plan(record, response), tools)
            responses.append(replace(response, messages=(*response.messages, *trace)))
            outcomes.append(outcome)
            texts.append("\n".join(message.text for message in trace))
        written.append(replace(record, responses=tuple(responses)))
    return Traced(tuple(written), tuple(s for s, _ in outcomes), tuple(m for _, m in outcomes), tuple(texts))


def _trace(
    record: Record, calls: Sequence[Call], tools: Mapping[str, Tool]
) -> tuple[list[Message], tuple[Status, str]]:
    messages: list[Message] = []
    for number, call in enumerate(calls):
        key = f"call-{number}"
        messages.append(_asked(call, key))
        try:
            if call.tool not in tools:
                raise ToolError(f"there is no tool {call.tool!r} here ({', '.join(tools)})", Status.UNAVAILABLE)
            observed = tools[call.tool](call.input, record)
        except ToolError as error:
            return messages, (error.status, f"{call.tool}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is a failure of this response alone
            return messages, (Status.FAILED, f"{call.tool}: {type(error).__name__}: {error}")
        messages.append(Message("tool", (Text(f"Observation: {observed}"),), name=call.tool, tool_call_id=key))
    return messages, (Status.OK, "")


def _asked(call: Call, key: str) -> Message:
    thought = f"Thought: {call.thought}\n" if call.thought else ""
    function = {"name": call.tool, "arguments": json.dumps({"input": call.input}, ensure_ascii=False)}
    text = f"{thought}Action: {call.tool}\nAction Input: {call.input}"
    return Message("assistant", (Text(text),), tool_calls=({"id": key, "type": "function", "function": function},))


@final
@dataclass(frozen=True)
class ToolReward:
    """A reward of responses with their traces (`traced`).

    A response whose tools failed abstains with the failure's status, unless ``fallback`` is given: its score of the
    response without a trace then stands. Either way the attribute ``tools`` says so: 1 where all calls came back, NaN
    with the status of the failure where not. ``critiques`` hold the traces.
    """

    reward: Reward
    plan: Plan
    tools: Mapping[str, Tool]
    fallback: Reward | None = None

    @property
    def spec(self) -> Spec:
        """That of the reward, and of the fallback."""
        specs = [spec_of(member) for member in (self.reward, self.fallback) if member is not None]
        return replace(specs[0] if len(specs) == 1 else merge(specs), differentiable=False)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        trace = traced(records, self.plan, self.tools)
        failed = torch.tensor([status is not Status.OK for status in trace.status], dtype=torch.bool)
        scores = score(self.reward, trace.records).abstain(failed, trace.status, trace.messages)
        values, status, messages = scores.values, list(scores.status), list(scores.messages)
        if self.fallback is not None and bool(failed.any()):
            plain = score(self.fallback, records)
            rows = failed.tolist()
            values = torch.where(failed.to(values.device), plain.values.to(values), values)
            status = [plain.status[i] if row else status[i] for i, row in enumerate(rows)]
            messages = [f"without tools: {trace.messages[i]}" if row else messages[i] for i, row in enumerate(rows)]
        return scores_of(
            records,
            values,
            status,
            messages,
            attributes={"tools": torch.where(failed, torch.nan, 1.0)},
            attribute_status={"tools": trace.status},
            critiques=trace.texts,
        )


_WRITTEN = re.compile(
    r"(?:Thought:\s*(?P<thought>[^\n]*)\n)?Action:\s*(?P<tool>[^\n]+)\nAction Input:\s*(?P<input>[^\n]*)"
)
_SUM = re.compile(r"(?P<left>[-+]?[\d(][\d\s.+\-*/()]*?)\s*=\s*[-+]?\d")


def written(text: str) -> list[Call]:
    """The calls in a text that a generator wrote: ``Thought: ...``, ``Action: tool``, ``Action Input: ...``, each on a
    line of its own, the thought optional."""
    return [
        Call(found["tool"].strip(), found["input"].strip(), (found["thought"] or "").strip())
        for found in _WRITTEN.finditer(text)
    ]


def arithmetic(record: Record, response: Response) -> list[Call]:
    """A `Plan`: every sum that the response states (``12 * (3 + 4) = 84``) is put to the tool ``calculator``."""
    return [
        Call("calculator", found["left"].strip(), "The sum can be checked.") for found in _SUM.finditer(response.text)
    ]
