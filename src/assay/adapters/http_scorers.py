"""Scorers of others over HTTP as rewards: OpenRLHF's, slime's, UniRL's, LLaMA-Factory's and vLLM's dialects.

Shapes as their clients write and read them: OpenRLHF 0.11.2 ``openrlhf/utils/agent.py``; THUDM/slime
``slime/rollout/rm_hub/__init__.py`` (0b420f1ef4161f02d2a00d47c1318eec955a4e2e); Tencent-Hunyuan/UniRL
``unirl/reward/remote.py`` (0e713d6307ab5ab45e6c912a4c1bd8a71f009f55); hiyouga/LLaMA-Factory
``src/llamafactory/api/protocol.py``; vllm-project/vllm ``/classify``.

A server that is silent, late, overloaded or answers rubbish is a status of its rows, never a 0.0. An Assay server needs
none of this (`assay.serving.client`).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import torch

from assay.media import Audio, Image, MediaError, Part, Text, Video
from assay.media.source import read_source
from assay.models.endpoints.messages import written
from assay.models.endpoints.patience import Patience, Turnstile, retry_after
from assay.models.endpoints.transport import Reply, Request, Transport, TransportError, network
from assay.models.frames import Frames
from assay.records import Message, Record, Response
from assay.records.problems import BadRowError
from assay.rewards.base import fingerprint, scores_of
from assay.scores import Scores, Status
from assay.spec import Spec

__all__ = ["HttpScorer", "Templated", "llamafactory", "openrlhf", "plainly", "slime", "unirl", "vllm_classify"]

_AGAIN = (408, 425, 429, 500, 502, 503, 504)

Row: TypeAlias = tuple[Record, Response]
Cell: TypeAlias = float | tuple[Status, str]
"""A score, or why there is none."""

Templated: TypeAlias = Callable[[Sequence[Message], Sequence[Message]], tuple[str, str]]
"""Prompt and response messages to the prompt's text and the whole conversation's, as the scorer was trained on them."""


@final
@dataclass(frozen=True)
class HttpScorer:
    """A scorer behind an address as a reward; the functions of this module make one.

    ``body`` makes one request of at most ``size`` rows, ``read`` the cells of its reply. ``at_once`` requests are under
    way at a time. What answers at the address is not known: the fingerprint is of the address and of what is asked.
    """

    dialect: str
    url: str
    body: Callable[[Sequence[Row]], Mapping[str, Any]] = field(repr=False)
    read: Callable[[Any, int], Sequence[Cell]] = field(repr=False)
    spec: Spec = field(default_factory=Spec)
    size: int = 1
    at_once: int = 8
    seconds: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    patience: Patience = field(default_factory=lambda: Patience(attempts=3), repr=False)
    transport: Transport = field(default_factory=network, repr=False)

    def fingerprint(self) -> str:
        """sha256 of the address, and of how rows are written and answers read."""
        return fingerprint([self.dialect, self.url, self.body, self.read])

    def __repr__(self) -> str:
        return f"{self.dialect}({self.url!r})"

    def __call__(self, records: Sequence[Record], /) -> Scores:
        rows = [(record, response) for record in records for response in record.responses]
        gate = Turnstile(self.patience)
        batches = [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
        with ThreadPoolExecutor(max(1, min(self.at_once, len(batches)))) as pool:
            cells = [cell for part in pool.map(lambda batch: self._asked(batch, gate), batches) for cell in part]
        lost = [cell if isinstance(cell, tuple) else None for cell in cells]
        return scores_of(
            records,
            torch.tensor([math.nan if isinstance(cell, tuple) else cell for cell in cells], dtype=torch.float32),
            [Status.OK if one is None else one[0] for one in lost],
            ["" if one is None else one[1] for one in lost],
        )

    def _asked(self, rows: Sequence[Row], gate: Turnstile) -> Sequence[Cell]:
        try:
            body = json.dumps(self.body(rows), default=_plain).encode()
        except MediaError as error:
            return self._each_alone(rows, gate, (Status.UNREADABLE_MEDIA, str(error)))
        except BadRowError as error:
            return self._each_alone(rows, gate, (Status.UNSUPPORTED_MODALITY, str(error)))
        except (TypeError, ValueError) as error:
            return self._each_alone(rows, gate, (Status.INVALID, f"a column that JSON cannot hold: {error}"))
        reply = self._sent(body, gate)
        if isinstance(reply, tuple):
            return [reply] * len(rows)
        try:
            cells = [_finite(cell) for cell in self.read(json.loads(reply.body), len(rows))]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            said = reply.body[:200].decode("utf-8", "replace")
            return [(Status.UNPARSABLE, f"{self.url}: {type(error).__name__}: {error}; it said {said}")] * len(rows)
        if len(cells) != len(rows):
            return [(Status.UNPARSABLE, f"{self.url}: {len(cells)} scores for {len(rows)} rows")] * len(rows)
        return cells

    def _each_alone(self, rows: Sequence[Row], gate: Turnstile, lost: tuple[Status, str]) -> list[Cell]:
        """A row that cannot be written must not take the others with it."""
        return [lost] if len(rows) == 1 else [cell for row in rows for cell in self._asked([row], gate)]

    def _sent(self, body: bytes, gate: Turnstile) -> Reply | tuple[Status, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self.headers}
        lost = (Status.UNAVAILABLE, f"{self.url}: not asked")
        for attempt in range(1, self.patience.attempts + 1):
            if gate.closed:
                return Status.UNAVAILABLE, f"{self.url}: not asked: {gate.closed}"
            if delay := gate.delay():
                self.patience.sleep(min(delay, self.patience.longest))
            try:
                reply = self.transport.send(Request(self.url, body, headers, self.seconds))
            except TransportError as error:
                lost = (Status.TIMEOUT if error.late else Status.UNAVAILABLE, f"{self.url}: {error}")
            else:
                if reply.code == 200:
                    gate.count(lost=False)
                    return reply
                said = reply.body[:200].decode("utf-8", "replace")
                lost = (Status.UNAVAILABLE, f"{self.url}: HTTP {reply.code}: {said}")
                if reply.code not in _AGAIN:
                    gate.count(lost=False)
                    return (Status.FAILED, lost[1])
                gate.hold(retry_after(reply.headers) or 0.0)
            if attempt < self.patience.attempts:
                self.patience.sleep(self.patience.wait(attempt))
        gate.count(lost=True, why=lost[1])
        return lost


def plainly(prompt: Sequence[Message], response: Sequence[Message]) -> tuple[str, str]:
    """Texts joined, without any template. For a scorer that was trained on a template give its own.

    Raises:
        BadRowError: media, which text cannot hold.
    """
    asked, answered = (_text(messages) for messages in (prompt, response))
    return asked, asked + answered


def openrlhf(url: str, *, template: Templated = plainly, label: str | None = None, **options: Any) -> HttpScorer:
    """OpenRLHF's remote reward: ``{"query", "prompts", "labels"}`` to ``{"rewards": [...]}``. ``label`` is a column."""

    def body(rows: Sequence[Row]) -> Mapping[str, Any]:
        texts = [template(record.prompt, response.messages) for record, response in rows]
        labels = [None if label is None else record.context.get(label) for record, _ in rows]
        return {"query": [whole for _, whole in texts], "prompts": [asked for asked, _ in texts], "labels": labels}

    return _scorer("openrlhf", url, body, lambda reply, count: _numbers(reply["rewards"]), _of_text(label), options)


def slime(
    url: str, *, template: Templated = plainly, label: str | None = None, key: str | None = None, **options: Any
) -> HttpScorer:
    """slime's ``remote_rm``: ``{"prompt", "response", "label"}`` to a number, or to an object whose ``key`` is one."""

    def body(rows: Sequence[Row]) -> Mapping[str, Any]:
        ((record, response),) = rows
        asked, _ = template(record.prompt, response.messages)
        given = None if label is None else record.context.get(label)
        return {"prompt": asked, "response": _text(response.messages), "label": given}

    def read(reply: Any, count: int) -> Sequence[Cell]:
        return _numbers([reply if key is None else reply[key]])

    return _scorer("slime", url, body, read, _of_text(label), options, size=1)


def unirl(url: str, reward: str, *, metric: str | None = None, **options: Any) -> HttpScorer:
    """UniRL's reward service: the picture or video of a response, and the text of the prompt, to the reward named.

    ``metric`` is one of its sub-metrics (the first, as UniRL's client takes it). The prompt's own pictures are earlier
    turns. ``url`` ends in ``/score``.
    """

    def body(rows: Sequence[Row]) -> Mapping[str, Any]:
        return {
            "protocol_version": "1",
            "requests": [
                {"history": _history(record, response), "required_rewards": [reward], "metadata": None}
                for record, response in rows
            ],
        }

    def read(reply: Any, count: int) -> Sequence[Cell]:
        errors: list[Mapping[str, Any]] = list(reply.get("errors") or [{}] * count)
        return [
            _metric(result[reward], metric)
            if reward in result
            else (Status.FAILED, f"{reward}: {error.get(reward, 'missing from the answer')}")
            for result, error in zip(reply["results"], errors, strict=True)
        ]

    return _scorer("unirl", url, body, read, Spec(modalities=frozenset({"text", "image", "video"})), options)


def llamafactory(url: str, *, template: Templated = plainly, model: str = "model", **options: Any) -> HttpScorer:
    """LLaMA-Factory's ``/v1/score/evaluation``: whole conversations as text to ``{"scores": [...]}``."""

    def body(rows: Sequence[Row]) -> Mapping[str, Any]:
        texts = [template(record.prompt, response.messages)[1] for record, response in rows]
        return {"model": model, "messages": texts, "max_length": None}

    return _scorer("llamafactory", url, body, lambda reply, count: _numbers(reply["scores"]), Spec(), options)


def vllm_classify(url: str, model: str, **options: Any) -> HttpScorer:
    """vLLM's ``/classify`` of a reward model with one output: the conversation as messages, its raw logit the score.

    The activation is switched off by both of its names; pictures go as data URIs. An answer with more than one number
    is ``unparsable``: an embedding in disguise, or a classifier of several labels. That the logits are raw cannot be
    told from outside: compare a few rows with the local model first.
    """

    def body(rows: Sequence[Row]) -> Mapping[str, Any]:
        ((record, response),) = rows
        messages = written((*record.prompt, *response.messages), Frames())
        return {"model": model, "messages": messages, "use_activation": False, "activation": False}

    def read(reply: Any, count: int) -> Sequence[Cell]:
        (item,) = reply["data"]
        probs: list[Any] = list(item["probs"])
        if len(probs) != 1:
            return [
                (Status.UNPARSABLE, f"{len(probs)} numbers where a reward has one: no reward model is served there")
            ]
        return _numbers(probs)

    return _scorer("vllm_classify", url, body, read, Spec(modalities=frozenset({"text", "image"})), options, size=1)


def _scorer(
    dialect: str,
    url: str,
    body: Callable[[Sequence[Row]], Mapping[str, Any]],
    read: Callable[[Any, int], Sequence[Cell]],
    spec: Spec,
    options: Mapping[str, Any],
    **fixed: Any,
) -> HttpScorer:
    settings: dict[str, Any] = {"spec": spec, "size": 32, **options, **fixed}
    return HttpScorer(dialect, url, body, read, **settings)


def _of_text(label: str | None) -> Spec:
    return Spec(needs=() if label is None else (label,))


def _plain(value: Any) -> Any:
    """Arrays, tensors and their numbers as JSON has them."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"a {type(value).__name__}")
    return value.tolist()


def _numbers(values: Iterable[Any]) -> list[Cell]:
    return [_number(value) for value in values]


def _number(value: Any) -> Cell:
    if value is None:
        return Status.FAILED, "the scorer gave null"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number belongs")
    return float(value)


def _finite(cell: Cell) -> Cell:
    return (
        cell if not isinstance(cell, float) or math.isfinite(cell) else (Status.NON_FINITE, f"the scorer gave {cell}")
    )


def _metric(found: Mapping[str, Any], name: str | None) -> Cell:
    return _number(found[next(iter(found)) if name is None else name])


def _text(messages: Sequence[Message]) -> str:
    if any(not isinstance(part, Text) for message in messages for part in message.parts):
        raise BadRowError("unsupported_media", "media, and this scorer takes text alone", "ask one that takes media")
    return "".join(message.text for message in messages)


def _history(record: Record, response: Response) -> list[dict[str, Any]]:
    text = "".join(message.text for message in record.prompt)
    parts = [part for messages in (record.prompt, response.messages) for message in messages for part in message.parts]
    if any(isinstance(part, Audio) for part in parts):
        raise BadRowError("unsupported_media", "a sound, and UniRL takes pictures and videos", "ask another scorer")
    turns = [{"text": text, **_media(part)} for part in parts if isinstance(part, Image | Video)]
    if not turns:
        raise BadRowError("unsupported_media", "no picture or video, and UniRL judges those", "ask another scorer")
    return turns


def _media(part: Part) -> dict[str, str]:
    if isinstance(part, Image):
        return {"image_b64": base64.b64encode(part.read()).decode()}
    assert isinstance(part, Video)
    if part.data is None and part.path is None:
        raise BadRowError("unsupported_media", "a video of frames, and UniRL takes files", "write it to a file first")
    return {"video_b64": base64.b64encode(read_source(part.path, part.data, part.limits)).decode()}
