"""verl: ``compute_score`` for its reward managers, one row or a batch, with the prompt and the media found again.

The callers are verl 0.9.1 (PyPI; verl-project/verl): ``verl/trainer/ppo/reward.py`` (``get_custom_reward_fn``),
``verl/experimental/reward_loop/reward_manager/naive.py`` and, for batches, ``verl/workers/reward_manager/batch.py``.
With a configuration alone, and ``ASSAY_REWARD`` (`assay.adapters.environment`) in the environment of the workers:

    reward.custom_reward_function.path=pkg://assay.adapters.verl
    reward.custom_reward_function.name=assay_reward

verl hands over no prompt and no media. Both come from ``extra_info`` where they stand there (``prompt`` or
``question``; ``image``, ``images``, ``video``, ...), else from a `MediaIndex` by ``extra_info["index"]``.

The response is decoded without special tokens: what marks steps must be text.

It has no word for an abstention either: None breaks its tensor, and a NaN makes the advantages of the whole group NaN.
So an abstention raises unless the caller says what it is worth (``on_abstain``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

from assay.adapters.abstaining import OnAbstain, columns_of, refuse
from assay.adapters.asked import Asked, Together, context_of, judged, refuse_groups, unjudged
from assay.adapters.environment import configured, once
from assay.adapters.media_index import MediaIndex
from assay.adapters.rows import Judgement, holds_media
from assay.rewards.base import Reward, name_of, spec_of
from assay.scores import Status

__all__ = ["VerlScore", "VerlScores", "assay_reward", "assay_rewards", "compute_score", "compute_scores"]

_LOG = logging.getLogger(__name__)
_PROMPTS = ("prompt", "question")


@final
@dataclass(frozen=True)
class VerlRows:
    """How a row of verl becomes one that a reward can be asked about."""

    reward: Reward
    media: MediaIndex | None = None
    truth: str | None = None
    root: Path = Path()

    def row(self, source: Any, ground_truth: Any, extra_info: Any, completion: Any) -> Asked | Judgement:
        """The row, or the typed failure of one whose prompt or media cannot be found."""
        extra: dict[str, Any] = dict(cast("Mapping[str, Any]", extra_info or {}))
        given = {**extra, "data_source": source}
        found = self.media.find(given) if self.media is not None else None
        if self.media is not None and found is None:
            return unjudged(
                Status.MISSING_CONTEXT,
                f"no row of {self.media.asked_for(given)} among the {len(self.media):,} of the media index",
            )
        media = {kind: _cell(extra, kind, found) for kind in ("images", "videos", "audios")}
        prompt = _prompt(extra, found)
        seen = spec_of(self.reward).modalities - {"text"}
        shown = isinstance(completion, list) or any(v is not None for v in media.values()) or holds_media(prompt)
        if found is None and seen and not shown:
            return unjudged(
                Status.MISSING_CONTEXT,
                f"{name_of(self.reward)} reads {' and '.join(sorted(seen))}, and extra_info holds none; give the "
                "adapter media=media_from(data file)",
            )
        if prompt is None:
            _warn_of_no_prompt(name_of(self.reward))
        context = context_of(self.reward, given, ground_truth, self.truth)
        return Asked("" if prompt is None else prompt, completion, **media, context=context)

    def judge(self, rows: Sequence[Asked | Judgement]) -> list[Judgement]:
        """Judgements of rows; ``<image>`` and the like in texts are placeholders, as verl's data has them."""
        return judged(self.reward, rows, tags=True, root=self.root)


def _cell(extra: Mapping[str, Any], plural: str, found: Mapping[str, Any] | None) -> Any:
    for row in (extra, found or {}):
        for name in (plural, plural.removesuffix("s")):
            if row.get(name) is not None:
                return _listed(row[name])
    return None


def _listed(value: Any) -> Any:
    """Lists that went through pandas or verl's collator are arrays of objects."""
    return value.tolist() if str(getattr(value, "dtype", "")) == "object" else value


def _prompt(extra: Mapping[str, Any], found: Mapping[str, Any] | None) -> Any:
    named = next((extra[name] for name in _PROMPTS if extra.get(name) is not None), None)
    prompt = (found or {}).get("prompt") if named is None else named
    return _listed(prompt)


_WARNED: set[str] = set()


def _warn_of_no_prompt(name: str) -> None:
    if name not in _WARNED:
        _WARNED.add(name)
        _LOG.warning(
            "%s is asked without prompts: extra_info has neither prompt nor question, and there is no media index. "
            "Right for a rule of the answer alone.",
            name,
        )


@final
@dataclass(frozen=True)
class VerlScore:
    """A reward as verl's ``compute_score`` of one row; see `compute_score`."""

    rows: VerlRows
    on_abstain: OnAbstain
    together: Together[Asked | Judgement]
    names: list[str] = field(compare=False)
    fixed: bool = False

    def __call__(
        self,
        data_source: Any,
        solution_str: str,
        ground_truth: Any,
        extra_info: Mapping[str, Any] | None = None,
        reward_router_address: Any = None,
        reward_model_tokenizer: Any = None,
    ) -> dict[str, Any]:
        judgement = self.together(self.rows.row(data_source, ground_truth, extra_info, solution_str))
        return answer(judgement, self.on_abstain, learnt(self.names, self.fixed, [judgement]))


@final
@dataclass(frozen=True)
class VerlScores:
    """A reward as verl's batch ``compute_score``; see `compute_scores`."""

    rows: VerlRows
    on_abstain: OnAbstain
    names: list[str] = field(compare=False)
    fixed: bool = False

    def __call__(
        self,
        data_sources: Sequence[Any],
        solution_strs: Sequence[str],
        ground_truths: Sequence[Any],
        extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[dict[str, Any]]:
        extras = [None] * len(solution_strs) if extra_infos is None else list(extra_infos)
        asked = [
            self.rows.row(source, truth, extra, text)
            for source, text, truth, extra in zip(data_sources, solution_strs, ground_truths, extras, strict=True)
        ]
        judgements = self.rows.judge(asked)
        names = learnt(self.names, self.fixed, judgements)
        return [answer(judgement, self.on_abstain, names) for judgement in judgements]


def compute_score(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    media: MediaIndex | None = None,
    truth: str | None = None,
    attributes: Sequence[str] | None = None,
    root: str | Path = "",
) -> VerlScore:
    """A reward as ``compute_score(data_source, solution_str, ground_truth, extra_info)`` of one row.

    It returns ``{"score", "status", "abstained", attributes...}``; verl logs every key and wants the same ones of every
    row, so an attribute that was seen once is NaN where a row lacks it. ``attributes`` fixes the names from the start,
    which several workers need where abstentions are given a number.

    ``media`` finds prompts and media (`assay.adapters.media_index`); with one, a row that it does not hold is
    ``missing_context``. ``truth`` is the context column that the ground truth fills besides ``ground_truth``: by
    default the one column that the reward needs and ``extra_info`` does not give. Relative paths start at ``root``.

    verl calls it from many threads: rows that wait are judged together (`assay.adapters.asked.Together`).

    Raises:
        ValueError: the reward compares the responses of a prompt.
        AbstainedError: (when called) the reward abstained, and ``on_abstain`` refuses.
    """
    refuse_groups(reward, "use compute_scores with verl's batch reward manager")
    rows = VerlRows(reward, media, truth, Path(root))
    return VerlScore(rows, on_abstain, Together(rows.judge), list(attributes or ()), attributes is not None)


def compute_scores(
    reward: Reward,
    *,
    on_abstain: OnAbstain = refuse,
    media: MediaIndex | None = None,
    truth: str | None = None,
    attributes: Sequence[str] | None = None,
    root: str | Path = "",
) -> VerlScores:
    """`compute_score` for the batch reward manager:
    ``compute_score(data_sources, solution_strs, ground_truths, extra_infos) -> list[dict]``."""
    rows = VerlRows(reward, media, truth, Path(root))
    return VerlScores(rows, on_abstain, list(attributes or ()), attributes is not None)


def answer(judgement: Judgement, on_abstain: OnAbstain, names: tuple[str, ...]) -> dict[str, Any]:
    """What verl is told of a row: ``score``, ``status``, ``abstained`` and the named attributes."""
    return {**columns_of(judgement, on_abstain, "score", names), "status": str(judgement.status)}


def learnt(names: list[str], fixed: bool, judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """The attributes to report: those given, else all that were ever seen."""
    if not fixed:
        names.extend(dict.fromkeys(name for one in judgements for name in one.attributes if name not in names))
    return tuple(dict.fromkeys(names))


def assay_reward(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    reward_router_address: Any = None,
    reward_model_tokenizer: Any = None,
) -> dict[str, Any]:
    """``compute_score`` of the reward in ``ASSAY_REWARD``, for a configuration without a file of one's own."""
    return _single()(data_source, solution_str, ground_truth, extra_info)


def assay_rewards(
    data_sources: Sequence[Any],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
) -> list[dict[str, Any]]:
    """`assay_reward` for the batch reward manager."""
    return _batch()(data_sources, solution_strs, ground_truths, extra_infos)


@once
def _single() -> VerlScore:
    said = configured()
    return compute_score(said.reward, on_abstain=said.on_abstain, media=said.media, root=said.root)


@once
def _batch() -> VerlScores:
    said = configured()
    return compute_scores(said.reward, on_abstain=said.on_abstain, media=said.media, root=said.root)
