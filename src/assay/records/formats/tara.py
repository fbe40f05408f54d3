"""TARA rows (Li et al. 2023, arXiv 2310.01045): pairs whose answers were checked with tools.

``prompt``, ``chosen``, ``rejected``, ``chosen_trace`` and ``rejected_trace``. Behind each answer stand the calls that
checked it, an assistant's message with the thought and the call, and a tool's message with what came back;
`without_tools` leaves the answers alone. The checker's ``explanation`` is a critique of its answer and its score a
rating (criterion ``checked``), as are ``chosen_score`` and ``rejected_score``. The better response is number 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from assay.media import Text
from assay.records.formats.base import Format, Origin, context_of
from assay.records.record import Critique, Feedback, Message, Preference, Rating, Record, Response, messages_of

_SIDES = ("chosen", "rejected")
_USED = frozenset({"id", "prompt", *(f"{side}{end}" for side in _SIDES for end in ("", "_score", "_trace"))})
_FIELD = re.compile(r"^(Thought|Action|Action Input|Observation): ?", re.MULTILINE)


def recognises(row: Any) -> bool:
    """``prompt``, ``chosen``, ``rejected`` and the trace of each."""
    return isinstance(row, dict) and {"prompt", "chosen", "rejected", "chosen_trace", "rejected_trace"} <= (
        cast(Mapping[str, Any], row).keys()
    )


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The better response is number 0."""
    responses = [
        Response((*messages_of(row[side], "assistant"), *_calls(row[f"{side}_trace"].get("actions"))))
        for side in _SIDES
    ]
    feedback: list[Feedback] = [Preference(0, 1)]
    for index, side in enumerate(_SIDES):
        if row.get(f"{side}_score") is not None:
            feedback.append(Rating(index, float(row[f"{side}_score"])))
        feedback += _checked(index, cast(Mapping[str, Any], row[f"{side}_trace"].get("score_agent") or {}))
    prompt = messages_of(row["prompt"], "user")
    return Record(origin.id(row, number), prompt, tuple(responses), tuple(feedback), context_of(row, _USED))


def _checked(index: int, agent: Mapping[str, Any]) -> Iterator[Feedback]:
    if agent.get("explanation"):
        yield Critique(index, agent["explanation"], criterion="checked")
    try:
        yield Rating(index, float(agent["score"]), criterion="checked")
    except (KeyError, TypeError, ValueError):
        return


def _calls(actions: Any) -> list[Message]:
    """The calls of a trace: one as a dictionary, or several as text."""
    steps = [cast(Mapping[str, str], actions)] if isinstance(actions, dict) else _parsed(actions or "")
    turns: list[Message] = []
    for number, step in enumerate(step for step in steps if step.get("Action")):
        name = f"call_{number}"
        call = {"name": step["Action"], "arguments": {"input": step.get("Action Input", "")}}
        thought = (Text(step["Thought"]),) if step.get("Thought") else ()
        turns.append(Message("assistant", thought, tool_calls=({"id": name, "type": "function", "function": call},)))
        turns.append(Message("tool", (Text(step.get("Observation", "")),), tool_call_id=name))
    return turns


def _parsed(text: str) -> list[dict[str, str]]:
    _, *pieces = _FIELD.split(text)
    steps: list[dict[str, str]] = []
    for name, value in zip(pieces[::2], pieces[1::2], strict=True):
        if not steps or name in steps[-1]:
            steps.append({})
        steps[-1][name] = value.strip()
    return steps


def without_tools(record: Record) -> Record:
    """The record with the answers alone."""
    return replace(record, responses=tuple([Response(response.messages[:1]) for response in record.responses]))


FORMAT = Format("tara", '"prompt", "chosen", "rejected", "chosen_trace", "rejected_trace"', recognises, to_record)
