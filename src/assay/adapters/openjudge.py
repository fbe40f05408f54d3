"""OpenJudge: a reward as a grader, and a grader as a reward.

The callers are OpenJudge 0.2.4 (PyPI: py-openjudge; agentscope-ai/OpenJudge), ``openjudge/graders/base_grader.py``,
``openjudge/graders/schema.py`` and ``openjudge/runner/grading_runner.py``: ``await grader.aevaluate(query=...,
response=...)`` gives a `GraderScore`, a `GraderRank` whose ranks are a permutation of 1 to n (1 is best; `Ranking`
starts at 0), or a `GraderError`.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, final

import torch

from assay.adapters.asked import Asked, judged, refuse_groups
from assay.adapters.rows import Judgement
from assay.adapters.waiting import waited
from assay.media import Audio, Image, MediaError, Text, Video
from assay.records import Message, Record, Response
from assay.rewards.base import Reward, fingerprint, scores_of
from assay.scores import Scores, Status
from assay.spec import Spec

__all__ = ["AssayGrading", "GraderReward", "from_grader", "grader"]


@final
@dataclass(frozen=True)
class AssayGrading:
    """What a grader made by `grader` does, without OpenJudge: judgements to scores, ranks and errors."""

    reward: Reward
    name: str
    listwise: bool
    root: Path

    async def grade(self, query: Any = "", **given: Any) -> Any:
        """A ``GraderScore`` of ``response``, or a ``GraderRank`` of ``responses``; a ``GraderError`` of an abstention.

        ``images`` go to the prompt, every other argument is context.
        """
        responses: Sequence[Any] = given.pop("responses") if self.listwise else [given.pop("response")]
        images = [_image(one) for one in given.pop("images", None) or ()]
        asked = _content(query, "user")
        rows = [Asked(asked, _content(one, "assistant"), images=images or None, context=given) for one in responses]
        judgements = await asyncio.to_thread(judged, self.reward, rows, root=self.root)
        lost = [judgement for judgement in judgements if judgement.value is None]
        if lost:
            return self._error(lost[0])
        return self._rank(judgements) if self.listwise else self._score(judgements[0])

    def _score(self, judgement: Judgement) -> Any:
        reason = judgement.critique or f"{self.name}: {judgement.value:g}"
        metadata = {"status": str(judgement.status), **judgement.attributes, "steps": list(judgement.steps)}
        return _schema().GraderScore(name=self.name, score=judgement.value, reason=reason, metadata=metadata)

    def _rank(self, judgements: Sequence[Judgement]) -> Any:
        values = [cast("float", judgement.value) for judgement in judgements]
        order = sorted(range(len(values)), key=lambda place: -values[place])
        rank = [order.index(place) + 1 for place in range(len(values))]
        metadata = {"scores": values, "tied": len(set(values)) < len(values)}
        reason = f"{self.name}: {', '.join(f'{value:g}' for value in values)}"
        return _schema().GraderRank(name=self.name, rank=rank, reason=reason, metadata=metadata)

    def _error(self, judgement: Judgement) -> Any:
        said = f"{judgement.status}: {judgement.message}".removesuffix(": ")
        metadata = {"status": str(judgement.status)}
        return _schema().GraderError(name=self.name, error=said, reason="the reward abstained", metadata=metadata)


def grader(reward: Reward, name: str = "assay", *, listwise: bool = False, root: str | Path = "") -> Any:
    """A grader: ``await grader.aevaluate(query=..., response=...)``, with ``listwise`` ``responses=[...]``.

    Where OpenJudge is installed it is one of its ``BaseGrader`` and goes into a ``GradingRunner``, whose copies of it
    share the reward; elsewhere it answers with objects of the same fields. A query or response is text, a message,
    messages, or a list of texts and ``MLLMImage`` (with base64; an address is not fetched).

    Equal scores are ranked in the order of the responses, and ``metadata["tied"]`` says so.

    Raises:
        ValueError: the reward compares the responses of a prompt, and the grader is not ``listwise``.
    """
    if not listwise:
        refuse_groups(reward, "give listwise=True")
    grading = AssayGrading(reward, name, listwise, Path(root))

    async def evaluate(self: Any, **given: Any) -> Any:
        return await grading.grade(**given)

    async def aevaluate(self: Any, executor: Any = None, **given: Any) -> Any:
        return await (grading.grade(**given) if executor is None else executor.submit(grading.grade, **given))

    def shared(self: Any, memo: Any) -> Any:
        return self

    told = f"{name}: an Assay reward."
    members = {"_aevaluate": evaluate, "aevaluate": aevaluate, "__deepcopy__": shared, "__doc__": told}
    if importlib.util.find_spec("openjudge") is None:
        made: Any = type("AssayGrader", (SimpleNamespace,), members)
        return made(name=name, mode="listwise" if listwise else "pointwise", description=told)
    base: Any = importlib.import_module("openjudge.graders.base_grader").BaseGrader
    modes: Any = _schema().GraderMode
    made = type("AssayGrader", (base,), members)
    return made(name=name, mode=modes.LISTWISE if listwise else modes.POINTWISE, description=told)


@final
@dataclass(frozen=True)
class GraderReward:
    """A grader as a reward; see `from_grader`. Its fingerprint is of the grader's class, name and description: give
    graders that differ otherwise names of their own."""

    grader: Any
    mapper: Mapping[str, str]
    listwise: bool
    at_once: int
    spec: Spec = field(default_factory=Spec)

    def fingerprint(self) -> str:
        """sha256 of what the grader is called, and of how it is asked."""
        kind = f"{type(self.grader).__module__}.{type(self.grader).__qualname__}"
        told = [str(getattr(self.grader, name, "")) for name in ("name", "description")]
        return fingerprint([kind, *told, dict(self.mapper), self.listwise, list(self.spec.needs)])

    def __repr__(self) -> str:
        return f"from_grader({getattr(self.grader, 'name', '') or type(self.grader).__name__})"

    def __call__(self, records: Sequence[Record], /) -> Scores:
        return waited(self.score_async(records))

    async def score_async(self, records: Sequence[Record]) -> Scores:
        """The scores, from a running event loop."""
        gate = asyncio.Semaphore(self.at_once)

        async def one(record: Record, responses: Sequence[Response]) -> list[tuple[float, Status, str]]:
            async with gate:
                return await self._graded(record, responses)

        calls = [
            one(record, responses)
            for record in records
            for responses in ([record.responses] if self.listwise else [[response] for response in record.responses])
        ]
        cells = [cell for call in await asyncio.gather(*calls) for cell in call]
        values, status, messages = zip(*cells, strict=True) if cells else ((), (), ())
        return scores_of(records, torch.tensor(values, dtype=torch.float32), status, messages)

    async def _graded(self, record: Record, responses: Sequence[Response]) -> list[tuple[float, Status, str]]:
        try:
            return _cells(await self.grader.aevaluate(**self._arguments(record, responses)), len(responses))
        except MediaError as error:
            return [(torch.nan, Status.UNREADABLE_MEDIA, str(error))] * len(responses)
        except Exception as error:  # noqa: BLE001 - a grader fails in its own way, and that is its row's failure
            return [(torch.nan, Status.FAILED, f"{type(error).__name__}: {error}")] * len(responses)

    def _arguments(self, record: Record, responses: Sequence[Response]) -> dict[str, Any]:
        said = [_plain(response.messages) for response in responses]
        own = {"query": _plain(record.prompt)} | ({"responses": said} if self.listwise else {"response": said[0]})
        named = {self.mapper.get(name, name): value for name, value in own.items()}
        return named | {name: record.context[name] for name in self.spec.needs if name in record.context}


def from_grader(
    grader: Any,
    *,
    mapper: Mapping[str, str] | None = None,
    listwise: bool = False,
    spec: Spec | None = None,
    at_once: int = 8,
) -> GraderReward:
    """An OpenJudge grader (anything with ``async aevaluate``) as a reward, ``at_once`` calls at a time.

    It is called with ``query`` and ``response`` (``responses`` with ``listwise``), renamed by ``mapper``
    (``{"response": "answer"}``), and the context columns that ``spec`` needs. With pictures they are lists of texts and
    ``MLLMImage``. A score is the value; of a `GraderRank` of n it is n less the rank, so 0 is last, and the reward is
    within groups. A `GraderError`, an exception or ranks that are no permutation of 1 to n are ``failed``.
    """
    declared = spec or Spec(deterministic=False, scale="within_group" if listwise else "absolute")
    return GraderReward(grader, dict(mapper or {}), listwise, at_once, declared)


def _cells(result: Any, count: int) -> list[tuple[float, Status, str]]:
    rank: Any = getattr(result, "rank", None)
    score: Any = getattr(result, "score", None)
    if rank is not None:
        if sorted(rank) != list(range(1, count + 1)):
            return [(torch.nan, Status.FAILED, f"ranks {rank} of {count} responses are no permutation from 1")] * count
        return [(float(count - place), Status.OK, "") for place in rank]
    if score is not None and count == 1:
        value = float(score)
        return [(value, Status.OK, "") if abs(value) < torch.inf else (torch.nan, Status.NON_FINITE, f"score {value}")]
    said = str(getattr(result, "error", "") or getattr(result, "reason", "") or f"a {type(result).__name__}")
    return [(torch.nan, Status.FAILED, said)] * count


def _plain(messages: Sequence[Message]) -> Any:
    parts = [part for message in messages for part in message.parts]
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [part.text if isinstance(part, Text) else _mllm(part) for part in parts]


def _mllm(part: Any) -> Any:
    if not isinstance(part, Image):
        raise TypeError(f"graders take texts and pictures, not a {type(part).__name__}")
    png = Image.from_pil(part.pil()).read()  # as rewards see it: upright, without transparency
    fields = {"base64": base64.b64encode(png).decode(), "format": "png"}
    if importlib.util.find_spec("openjudge") is None:
        return SimpleNamespace(url=None, **fields)
    return importlib.import_module("openjudge.models.schema.qwen.mllmImage").MLLMImage(**fields)


def _content(value: Any, role: str) -> Any:
    """A query or response as `assay.adapters.rows.judge` takes it."""
    items: list[Any] = value if isinstance(value, list) else [value]
    if not any(_is_medium(one) for one in items):
        return value
    parts = [{"type": "image", "image": _image(one)} if _is_medium(one) else one for one in items]
    return [{"role": role, "content": parts}]


def _is_medium(value: Any) -> bool:
    return not isinstance(value, str | Mapping) and (
        hasattr(value, "base64") or isinstance(value, Image | Video | Audio)
    )


def _image(value: Any) -> Any:
    """The medium of an ``MLLMImage`` as a column holds it; what is none goes on as it is."""
    data: Any = getattr(value, "base64", None)
    return {"bytes": data} if data else getattr(value, "url", None) or value


def _schema() -> Any:
    """OpenJudge's results, or objects of the same fields where it is not installed."""
    if importlib.util.find_spec("openjudge") is not None:
        return importlib.import_module("openjudge.graders.schema")
    return SimpleNamespace(GraderScore=SimpleNamespace, GraderRank=SimpleNamespace, GraderError=SimpleNamespace)
