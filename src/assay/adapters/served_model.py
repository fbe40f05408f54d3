"""A reward model that vLLM or SGLang serves, held against the same model here before its numbers are taken.

The engine is sent the token ids that the model here would be given, so template and special tokens cannot differ; what
has pictures goes as messages. ``/classify`` is asked for raw values by both names of that option (vllm-project/vllm,
``vllm/entrypoints/pooling/classify/protocol.py``); an engine without it is asked at ``/pooling``, then at
``/v1/embeddings`` (SGLang's answer of a reward model: an embedding of one number).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, final

import torch

from assay.adapters.http_scorers import Cell, HttpScorer, Row, vllm_classify
from assay.media import Text
from assay.records import Message, Record, Response
from assay.rewards.base import ContractError, fingerprint, score, scores_of, spec_of
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status
from assay.spec import Spec

__all__ = ["TOLERANCE", "ParityError", "ServedModel", "served_model"]

_IDS = "token_ids"
_UNIT = 1e-3
TOLERANCE = 0.02

Read: TypeAlias = Callable[[Any, int], Sequence[Cell]]


class ParityError(ContractError):
    """What is served is not the model that is here, or not as a reward; the message says what differs. No record is to
    blame, so a run ends with it."""


@final
@dataclass(frozen=True)
class ServedModel:
    """See `served_model`. ``ways`` are the addresses that are tried until one answers."""

    local: LearnedReward
    ways: tuple[HttpScorer, ...]
    shown: HttpScorer
    rows: int
    tolerance: float
    _chosen: list[HttpScorer] = field(default_factory=list[HttpScorer], init=False, repr=False, compare=False)
    _compared: dict[bool, int] = field(default_factory=dict[bool, int], init=False, repr=False, compare=False)
    _refused: list[str] = field(default_factory=list[str], init=False, repr=False, compare=False)

    @property
    def spec(self) -> Spec:
        """That of the model here; its values come without gradient."""
        return replace(spec_of(self.local), differentiable=False)

    def fingerprint(self) -> str:
        """Of the model here, and that its values came from elsewhere."""
        return fingerprint([self.local, "served", self.tolerance])

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """Raises `ParityError` on first use of texts or of pictures; once values differed, always."""
        records = list(records)
        if self._refused:
            raise ParityError(self._refused[0])
        if some := self._not_compared(records):
            self._compare(some)
        if not self._chosen:
            return score(self.local, records)
        return self._asked(self._chosen[0], records)

    def _not_compared(self, records: Sequence[Record]) -> list[Record]:
        """The first responses, of texts and of those with pictures, until ``rows`` of either were compared."""
        left = {kind: self.rows - self._compared.get(kind, 0) for kind in (False, True)}
        some: list[Record] = []
        for record in records:
            taken: list[Response] = []
            for response in record.responses:
                if left[kind := _is_shown(record, response)] > 0:
                    left[kind] -= 1
                    taken.append(response)
            if taken:
                some.append(replace(record, responses=tuple(taken), feedback=()))
            if max(left.values()) <= 0:
                break
        return some

    def _compare(self, some: Sequence[Record]) -> None:
        """Take the way that gives the values of the model here; none while that scores none of these.

        Raises:
            ParityError: they differ, or no way answers.
        """
        here = score(self.local, some)
        said: list[str] = []
        ways = tuple(self._chosen) or self.ways
        for way in ways if Status.OK in here.status else ():
            there = self._asked(way, some)
            if not self._chosen and (lost := (here.ok & ~there.ok).nonzero().flatten().tolist()):
                said.append(f"{way.url}: {there.status[lost[0]]}: {there.messages[lost[0]]}")
                continue
            both = here.ok & there.ok
            if wrong := _difference(way.url, here.values[both], there.values[both].to(here.values), self.tolerance):
                self._refused.append(wrong)
                raise ParityError(wrong)
            self._chosen[:] = [way]
            for kind, compared in zip(_kinds(some), both.tolist(), strict=True):
                self._compared[kind] = self._compared.get(kind, 0) + int(compared)
            break
        if said and not self._chosen:
            raise ParityError("no reward model answers. " + "; ".join(said))

    def _asked(self, way: HttpScorer, records: Sequence[Record]) -> Scores:
        prepared = self.local.prepare(records)
        flat = [(record, response) for record in records for response in record.responses]
        sequences = [sequence for group in prepared.batch.groups for sequence in group]
        values = [math.nan] * len(flat)
        status, messages = list(prepared.status), list(prepared.messages)
        plain: list[tuple[int, Record]] = []
        shown: list[tuple[int, Record]] = []
        for place, sequence in zip(prepared.rows, sequences, strict=True):
            record, response = flat[place]
            if sequence.images:
                shown.append((place, replace(record, responses=(response,))))
            else:
                plain.append((place, _of_ids(record.id, sequence.ids.tolist())))
        for scorer, rows in ((way, plain), (self.shown, shown)):
            found = scorer([record for _, record in rows])
            for (place, _), value, state, message in zip(
                rows, found.values.tolist(), found.status, found.messages, strict=True
            ):
                values[place], status[place], messages[place] = value, state, message
        return scores_of(records, torch.tensor(values, dtype=torch.float32), status, messages)


def served_model(
    url: str, model: str, local: LearnedReward, *, rows: int = 4, tolerance: float = TOLERANCE, **options: Any
) -> ServedModel:
    """The reward model ``model`` that an engine serves at ``url``; ``local`` is the same model here.

    The first ``rows`` responses are scored here and there, and the first as many with pictures, which go another way.
    Values that differ by more than ``tolerance`` (0.02: above the noise of bfloat16 kernels on values of order 1, below
    any wrong template, head or activation) are refused for good, and so is an answer of many numbers, which is an
    embedding. After that only the engine computes; ``local`` writes the tokens. ``options`` are those of `HttpScorer`:
    ``headers``, ``at_once``, ``seconds``, ``patience``.

    Raises (when called):
        ParityError: another model, an activation, an embedding, or nothing that answers.
    """
    base = url.rstrip("/")
    ways = tuple(
        HttpScorer(name, base + path, _body(model, path), read, spec=Spec(needs=(_IDS,)), size=16, **options)
        for name, path, read in (
            ("classify", "/classify", _classified),
            ("pooling", "/pooling", _pooled),
            ("embeddings", "/v1/embeddings", _embedded),
        )
    )
    return ServedModel(local, ways, vllm_classify(f"{base}/classify", model, **options), rows, tolerance)


def _body(model: str, path: str) -> Callable[[Sequence[Row]], Mapping[str, Any]]:
    raw = {} if path == "/v1/embeddings" else {"use_activation": False, "activation": False}
    task = {"task": "classify"} if path == "/pooling" else {}

    def body(rows: Sequence[Row]) -> Mapping[str, Any]:
        return {"model": model, "input": [record.context[_IDS] for record, _ in rows], **raw, **task}

    return body


def _classified(reply: Any, count: int) -> Sequence[Cell]:
    return [_only(item["probs"]) for item in _in_order(reply)]


def _pooled(reply: Any, count: int) -> Sequence[Cell]:
    return [_only(item["data"] if isinstance(item["data"], list) else [item["data"]]) for item in _in_order(reply)]


def _embedded(reply: Any, count: int) -> Sequence[Cell]:
    return [_only(item["embedding"]) for item in _in_order(reply)]


def _in_order(reply: Any) -> list[Any]:
    return sorted(reply["data"], key=lambda item: item["index"])


def _only(numbers: Sequence[Any]) -> Cell:
    if len(numbers) == 1:
        return float(numbers[0])
    length = math.sqrt(sum(float(each) ** 2 for each in numbers))
    unit = ", of length 1: an embedding" if abs(length - 1) < _UNIT else ""
    return Status.UNPARSABLE, f"{len(numbers)} numbers where a reward has one{unit}; no reward model is served there"


def _difference(url: str, here: torch.Tensor, there: torch.Tensor, tolerance: float) -> str | None:
    """How the values differ and what that looks like; None where they do not."""
    difference = float((here - there).abs().max()) if len(here) else 0.0
    if difference <= tolerance:
        return None
    hint = "another model, template or head is served there"
    if float((torch.sigmoid(here) - there).abs().max()) <= tolerance:
        hint = "the engine applied a sigmoid that it was asked not to; serve the model without activation"
    elif len(here) > 1 and float((torch.softmax(here, 0) - there).abs().max()) <= tolerance:
        hint = "the engine applied a softmax; serve the model without activation"
    shown = ", ".join(
        f"{a:.4f} here and {b:.4f} there" for a, b in zip(here[:3].tolist(), there[:3].tolist(), strict=True)
    )
    return f"{url}: values differ by up to {difference:.3g}, beyond {tolerance:g} ({shown}): {hint}"


def _kinds(records: Sequence[Record]) -> list[bool]:
    return [_is_shown(record, response) for record in records for response in record.responses]


def _is_shown(record: Record, response: Response) -> bool:
    """Whether a response, or what it answers, has more than text."""
    parts = (part for message in (*record.prompt, *response.messages) for part in message.parts)
    return any(not isinstance(part, Text) for part in parts)


def _of_ids(name: str, ids: list[int]) -> Record:
    nothing = Response((Message("assistant", (Text(""),)),))
    return Record(name, (), (nothing,), context={_IDS: ids})
