"""eval-protocol: a reward as the body of an ``@evaluation_test``.

The caller is eval-protocol 0.3.33 (PyPI; eval-protocol/python-sdk), ``eval_protocol/models.py``:

    @evaluation_test(...)
    def test_helpfulness(row: EvaluationRow) -> EvaluationRow:
        return evaluated(reward, row)

Its aggregates leave out results whose ``is_score_valid`` is False; that is what an abstention is.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from assay.adapters.asked import Asked, context_of, judged, refuse_groups, unjudged
from assay.adapters.rows import Judgement
from assay.rewards.base import Reward
from assay.scores import Status

__all__ = ["evaluated", "evaluated_all"]


def evaluated(reward: Reward, row: Any, *, truth: str | None = None, root: str | Path = "") -> Any:
    """The row with its ``evaluation_result``: score, reason, and a metric for each attribute.

    The last assistant's turn, and what follows it, is the response; everything before it the prompt. The row's
    ``ground_truth`` and the fields of ``input_metadata.dataset_info`` are context. The score is the reward's own: bring
    it to 0..1 first (`assay.transforms`) where a threshold is compared with it. An abstention has the score 0.0 (the
    schema wants a number), with ``is_score_valid=False`` and the reason in ``error``.

    Raises:
        ValueError: the reward compares the responses of a prompt.
    """
    refuse_groups(reward, 'call evaluated_all in an evaluation_test of mode="all"')
    return evaluated_all(reward, [row], truth=truth, root=root)[0]


def evaluated_all(reward: Reward, rows: Sequence[Any], *, truth: str | None = None, root: str | Path = "") -> list[Any]:
    """`evaluated` for ``mode="all"``: rows of equal prompt side by side are one record."""
    judgements = judged(reward, [_asked(reward, row, truth) for row in rows], root=root)
    for row, judgement in zip(rows, judgements, strict=True):
        row.evaluation_result = _result(judgement)
    return list(rows)


def _asked(reward: Reward, row: Any, truth: str | None) -> Asked | Judgement:
    turns = [_plain(message) for message in row.messages]
    said = [place for place, turn in enumerate(turns) if turn["role"] == "assistant"]
    if not said:
        return unjudged(Status.EMPTY, "no turn of the assistant")
    described: Any = getattr(row.input_metadata, "dataset_info", None)
    given = cast("Mapping[str, Any]", described) if isinstance(described, Mapping) else {}
    context = context_of(reward, given, row.ground_truth, truth)
    return Asked(turns[: said[-1]], turns[said[-1] :], context=context)


def _plain(message: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = message.model_dump(exclude_none=True)
    kept = ("role", "content", "name", "tool_calls", "tool_call_id")
    return {name: dumped[name] for name in kept if name in dumped}


def _result(judgement: Judgement) -> Any:
    models = _models()
    metrics = {
        name: models.MetricResult(
            score=0.0 if math.isnan(cell) else cell,
            is_score_valid=not math.isnan(cell),
            reason=f"{name} of the reward" if not math.isnan(cell) else f"no {name}",
        )
        for name, cell in judgement.attributes.items()
    }
    if judgement.value is None:
        said = f"{judgement.status}: {judgement.message}".removesuffix(": ")
        return models.EvaluateResult(score=0.0, is_score_valid=False, reason=said, error=said, metrics=metrics)
    reason = judgement.critique or "scored"
    return models.EvaluateResult(score=judgement.value, is_score_valid=True, reason=reason, metrics=metrics)


def _models() -> Any:
    """eval-protocol's results, or objects of the same fields where it is not installed."""
    if importlib.util.find_spec("eval_protocol") is not None:
        return importlib.import_module("eval_protocol.models")
    return SimpleNamespace(MetricResult=SimpleNamespace, EvaluateResult=SimpleNamespace)
