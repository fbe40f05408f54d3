"""What an endpoint replied: an answer with the odds of its tokens, or a typed failure. Nothing is believed unread."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

from assay.models.asking import Cost
from assay.models.endpoints.transport import Reply
from assay.scores import Status

PART = "part"
"""How an answer ended that was not read to its end."""
_SHOWN = 200
_IMPOSSIBLE = -9_000.0
_ABOVE_ONE = 1e-3
_FILTERED = ("content_filter", "content_policy", "content management policy", "moderation")
_LENGTH = ("context_length", "context length", "maximum context", "too many tokens", "prompt is too long")


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One token of an answer: its text and log-probability, and those of the likeliest tokens there."""

    token: str
    logprob: float
    top: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it was given. ``steps`` None where the endpoint gave no log-probabilities; ``cost`` None where it
    did not count its tokens; ``part`` where it was not read to its end, because that was enough."""

    text: str
    cut: bool
    steps: tuple[Step, ...] | None
    cost: Cost | None
    message: str = ""
    part: bool = False


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer. ``again``: worth another attempt; ``closes``: every other row would fail like it;
    ``billed``: the tokens may have been spent; ``keeps``: it is an answer of the model's own, which is kept like one;
    ``cost`` where the endpoint counted; ``cut`` where it ended at the limit of tokens."""

    status: Status
    message: str
    again: bool = False
    closes: bool = False
    billed: bool = False
    keeps: bool = False
    cost: Cost | None = None
    cut: bool = False


Read: TypeAlias = Said | Failure


def read(reply: Reply) -> Read:
    """An answer, or what the code and the body say instead of one."""
    if 200 <= reply.code < 300:
        return read_body(reply.body)
    return _refusal(reply)


def read_body(body: bytes) -> Read:
    """The first choice of a chat completion."""
    try:
        found: Any = json.loads(body)
        whole = _mapping(found)
        choice = _mapping(whole["choices"][0])
        message = _mapping(choice["message"])
        text = _text(message.get("content"))
        ended = str(choice.get("finish_reason") or "")
        steps = _steps(choice.get("logprobs"))
        cost = _cost(whole.get("usage"))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Failure(Status.UNPARSABLE, f"no chat completion ({clean(reason)}): {clean(body)!r}", billed=True)
    if ended == "content_filter" or message.get("refusal"):
        why = clean(str(message.get("refusal") or "the endpoint's content filter ended the answer"))
        return Failure(Status.REFUSED, why, keeps=True, cost=cost)
    if not text:
        return Failure(Status.EMPTY, _empty(ended, message), keeps=True, cost=cost, cut=ended == "length")
    return Said(text, ended == "length", steps, cost, part=ended == PART)


def clean(text: str | bytes) -> str:
    """One printable line of bounded length."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = " ".join("".join(c if c.isprintable() else " " for c in shown[: 8 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} ..."


def _empty(ended: str, message: Mapping[str, Any]) -> str:
    if ended == "length":
        return "the limit of tokens was reached before any word of the answer: raise max_tokens"
    return "the answer is a tool call" if message.get("tool_calls") else "the model ended its turn without a word"


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where an object belongs")
    return cast("dict[str, Any]", value)


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(str(_mapping(part).get("text") or "") for part in cast("list[Any]", content))
    if not isinstance(content, str):
        raise TypeError(f"{type(content).__name__} where the answer's text belongs")
    return content


def _steps(logprobs: Any) -> tuple[Step, ...] | None:
    content = None if logprobs is None else _mapping(logprobs).get("content")
    if not content:
        return None
    return tuple([_step(_mapping(step)) for step in cast("Sequence[Any]", content)])


def _step(step: Mapping[str, Any]) -> Step:
    top: dict[str, float] = {}
    for each in cast("Sequence[Any]", step.get("top_logprobs") or ()):
        token = str(_mapping(each)["token"])
        value = _logprob(_mapping(each)["logprob"])
        if value > _IMPOSSIBLE:
            top[token] = max(value, top.get(token, -math.inf))
    return Step(str(step["token"]), _logprob(step["logprob"]), top)


def _logprob(value: Any) -> float:
    found = float(value) if value is not None else -math.inf
    if math.isnan(found) or found > _ABOVE_ONE:
        raise ValueError(f"{found} is no log-probability")
    return min(found, 0.0)


def _cost(usage: Any) -> Cost | None:
    if usage is None:
        return None
    counts = _mapping(usage)
    if counts.get("prompt_tokens") is None:
        return None
    cached = _mapping(counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    read, written = int(counts["prompt_tokens"]), int(counts.get("completion_tokens") or 0)
    if min(read, written, int(cached)) < 0:
        raise ValueError(f"negative counts of tokens: {clean(str(counts))}")
    return Cost(read=read, written=written, cached=min(int(cached), read), calls=1)


def _refusal(reply: Reply) -> Failure:
    code, said = reply.code, _said(reply.body)
    told = f"HTTP {code}{f': {said}' if said else ''}"
    low = said.lower()
    if 300 <= code < 400:
        where = clean(reply.headers.get("location", "nowhere"))
        told = f"HTTP {code}: a redirect to {where}, which is not followed; give the endpoint's own address"
        return Failure(Status.UNAVAILABLE, told, closes=True)
    if code == 451 or (400 <= code < 500 and any(mark in low for mark in _FILTERED)):
        return Failure(Status.REFUSED, told)
    if code in (401, 403):
        return Failure(Status.UNAVAILABLE, f"{told} (the key is missing or not accepted)", closes=True)
    if code == 402 or "insufficient_quota" in low:
        return Failure(Status.UNAVAILABLE, f"{told} (the account's quota is spent)", closes=True)
    if code in (408, 504):
        return Failure(Status.TIMEOUT, told, again=True)
    if code == 429:
        return Failure(Status.UNAVAILABLE, told, again=True)
    if code >= 500:
        return Failure(Status.UNAVAILABLE, told, again=True)
    if code == 413 or any(mark in low for mark in _LENGTH):
        return Failure(Status.TOO_LONG, told)
    return Failure(Status.INVALID, told)


def _said(body: bytes) -> str:
    """The message of an error, with its code, from the shapes that servers give."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return clean(body)
    inner: Any = cast("dict[str, Any]", found).get("error", found) if isinstance(found, dict) else found
    if not isinstance(inner, dict):
        return clean(str(inner))
    error = cast("dict[str, Any]", inner)
    parts = [str(error[name]) for name in ("code", "type", "message", "detail") if error.get(name)]
    return clean(": ".join(parts) or body)
