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
from assay.rewards.base import fingerprint, score, scores_of, spec_of
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status
from assay.spec import Spec

__all__ = ["ParityError", "ServedModel", "served_model"]

_IDS = "token_ids"
_UNIT = 1e-3

Read: TypeAlias = Callable[[Any, int], Sequence[Cell]]


class ParityError(ValueError):
    """What is served is not the model that is here, or not as a reward; the message says what differs."""


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

    @property
    def spec(self) -> Spec:
        """That of the model here; its values come without gradient."""
        return replace(spec_of(self.local), differentiable=False)

    def fingerprint(self) -> str:
        """Of the model here, and that its values came from elsewhere."""
        return fingerprint([self.local, "served", self.tolerance])

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """Raises `ParityError` on first use."""
        records = list(records)
        if not self._chosen:
            self._chosen.extend(self._agreeing(records))
        if not self._chosen:
            return score(self.local, records)
        return self._asked(self._chosen[0], records)

    def _agreeing(self, records: Sequence[Record]) -> list[HttpScorer]:
        """The way that gives the values of the model here, on the first rows that it can score; none if it scores none.

        Raises:
            ParityError: they differ, or no way answers.
        """
        some = _first(records, self.rows)
        here = score(self.local, some)
        if Status.OK not in here.status:
            return []
        said: list[str] = []
        for way in self.ways:
            there = self._asked(way, some)
            both = here.ok & there.ok
            if bool((here.ok & ~there.ok).any()):
                row = int((here.ok & ~there.ok).nonzero()[0])
                said.append(f"{way.url}: {there.status[row]}: {there.messages[row]}")
                continue
            _check(way.url, here.values[both], there.values[both].to(here.values), self.tolerance)
            return [way]
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
    url: str, model: str, local: LearnedReward, *, rows: int = 4, tolerance: float = 0.02, **options: Any
) -> ServedModel:
    """The reward model ``model`` that an engine serves at ``url``; ``local`` is the same model here.

    On first use ``rows`` responses are scored here and there. Values that differ by more than ``tolerance`` (0.02:
    above the noise of bfloat16 kernels on values of order 1, below any wrong template, head or activation) are refused,
    and so is an answer of many numbers, which is an embedding. After that only the engine computes; ``local`` writes
    the tokens. ``options`` are those of `HttpScorer`: ``headers``, ``at_once``, ``seconds``, ``patience``.

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


def _check(url: str, here: torch.Tensor, there: torch.Tensor, tolerance: float) -> None:
    difference = float((here - there).abs().max())
    if difference <= tolerance:
        return
    hint = "another model, template or head is served there"
    if float((torch.sigmoid(here) - there).abs().max()) <= tolerance:
        hint = "the engine applied a sigmoid that it was asked not to; serve the model without activation"
    elif len(here) > 1 and float((torch.softmax(here, 0) - there).abs().max()) <= tolerance:
        hint = "the engine applied a softmax; serve the model without activation"
    shown = ", ".join(
        f"{a:.4f} here and {b:.4f} there" for a, b in zip(here[:3].tolist(), there[:3].tolist(), strict=True)
    )
    raise ParityError(f"{url}: values differ by up to {difference:.3g}, beyond {tolerance:g} ({shown}): {hint}")


def _first(records: Sequence[Record], rows: int) -> list[Record]:
    """The first ``rows`` responses, as records."""
    some: list[Record] = []
    for record in records:
        left = rows - sum(len(each.responses) for each in some)
        if left <= 0:
            break
        some.append(replace(record, responses=record.responses[:left]))
    return some


def _of_ids(name: str, ids: list[int]) -> Record:
    nothing = Response((Message("assistant", (Text(""),)),))
    return Record(name, (), (nothing,), context={_IDS: ids})
