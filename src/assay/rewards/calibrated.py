"""A reward with what was fitted to it: transforms for all records or for each slice, saved and loaded together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from assay.models.checkpoint import CheckpointError
from assay.records import Record
from assay.rewards import saving
from assay.rewards.base import Reward, Transform, chain, name_of, score, spec_of
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status
from assay.spec import Spec, common_unit
from assay.transforms.written import read, read_all, written, written_all

MANIFEST = "calibrated.json"
_FORMAT = 1


@dataclass(frozen=True)
class _PerSlice:
    reward: Reward
    column: str
    transforms: Mapping[str, Transform]
    otherwise: Transform | None

    @property
    def spec(self) -> Spec:
        own = spec_of(self.reward)
        used = [*self.transforms.values(), *([] if self.otherwise is None else [self.otherwise])]
        after = [getattr(each, "spec_after", _unknown)(own) for each in used]
        lows, highs = [spec.low for spec in after], [spec.high for spec in after]
        return replace(
            own,
            low=None if None in lows else min(low for low in lows if low is not None),
            high=None if None in highs else max(high for high in highs if high is not None),
            unit=common_unit(after),
            differentiable=all(spec.differentiable for spec in after),
            needs=tuple(dict.fromkeys((*own.needs, self.column))),
        )

    def __call__(self, records: Sequence[Record], /) -> Scores:
        scores = score(self.reward, records)
        names = [str(record.context.get(self.column)) for record in records for _ in record.responses]
        parts: list[Scores] = []
        order: list[int] = []
        for name in dict.fromkeys(names):
            rows = [row for row, other in enumerate(names) if other == name]
            parts.append(self._slice(name, scores[rows]))
            order += rows
        joined = Scores.concatenate(parts)
        return joined[torch.tensor(order).argsort()].replace(group=scores.group) if parts else scores

    def _slice(self, name: str, scores: Scores) -> Scores:
        transform = self.transforms.get(name, self.otherwise)
        if transform is not None:
            return transform(scores)
        known = ", ".join(sorted(self.transforms))
        return scores.abstain(
            scores.ok.cpu(), Status.MISSING_CONTEXT, f"no fit for {self.column} {name!r}; there are {known}"
        )

    def __repr__(self) -> str:
        other = "" if self.otherwise is None else f", otherwise={name_of(self.otherwise)}"
        return f"per_slice({name_of(self.reward)}, {self.column!r}, {dict(self.transforms)!r}{other})"


def per_slice(
    reward: Reward, column: str, transforms: Mapping[str, Transform], otherwise: Transform | None = None
) -> Reward:
    """The reward with the scores of each record put through the transform of its slice, read from context ``column``.

    A record of another slice gets ``otherwise``; without it its rows abstain with ``MISSING_CONTEXT``. The fits come
    from `transforms.calibrate.fit_slices`.

    Raises:
        ValueError: there is no transform.
    """
    if not transforms:
        raise ValueError("per_slice needs a transform for at least one slice")
    return _PerSlice(reward, column, dict(transforms), otherwise)


@dataclass(frozen=True)
class Calibrated:
    """A learned reward with the transforms its scores go through; a reward itself, which is saved as one directory."""

    reward: LearnedReward
    transforms: tuple[Transform, ...] = ()
    column: str = ""
    slices: Mapping[str, Transform] | None = None
    otherwise: Transform | None = None

    @property
    def _composed(self) -> Reward:
        chained = chain(self.reward, *self.transforms)
        return chained if self.slices is None else per_slice(chained, self.column, self.slices, self.otherwise)

    @property
    def spec(self) -> Spec:
        """What the composition declares."""
        return spec_of(self._composed)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """The reward's scores through ``transforms``, then through the transform of each record's slice, if any."""
        return self._composed(records)

    def save(self, directory: str | Path) -> Path:
        """Write the learned reward and its transforms; the directory appears whole or not at all.

        Raises:
            FileExistsError: the directory exists and is not a saved calibrated reward.
            ValueError: a transform has no written form, or see `LearnedReward.save`.
        """
        place = Path(directory)
        if place.exists() and any(place.iterdir()) and not is_calibrated(place):
            raise FileExistsError(f"{place}: it exists and is no calibrated reward, so it is left alone")
        form: dict[str, Any] = {
            "format": _FORMAT,
            "transforms": written_all(self.transforms),
            "column": self.column,
            "slices": None if self.slices is None else {name: written(each) for name, each in self.slices.items()},
            "otherwise": None if self.otherwise is None else written(self.otherwise),
        }
        place.parent.mkdir(parents=True, exist_ok=True)
        with saving.whole(place) as partial:
            self.reward.save(partial / "reward")
            (partial / MANIFEST).write_text(json.dumps(form, indent=2) + "\n", encoding="utf-8")
        return place

    @staticmethod
    def load(
        directory: str | Path, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto"
    ) -> Calibrated:
        """A saved calibrated reward.

        Raises:
            CheckpointError: the directory is unfinished or damaged, or holds what is no transform.
        """
        place = Path(directory)
        try:
            form = cast("dict[str, Any]", json.loads((place / MANIFEST).read_text(encoding="utf-8")))
            if form["format"] != _FORMAT:
                raise ValueError(f"written in format {form['format']}, this version reads format {_FORMAT}")
            slices = form["slices"]
            options: dict[str, Any] = {
                "transforms": read_all(form["transforms"]),
                "column": form["column"],
                "slices": None if slices is None else {name: read(each) for name, each in slices.items()},
                "otherwise": None if form["otherwise"] is None else read(form["otherwise"]),
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{place / MANIFEST}: not a calibrated reward: {error}") from error
        return Calibrated(saving.load(place / "reward", device=device, dtype=dtype), **options)


def is_calibrated(directory: Path) -> bool:
    """Whether a directory claims to be a saved calibrated reward."""
    return (directory / MANIFEST).is_file()


def _unknown(spec: Spec) -> Spec:
    return replace(spec, low=None, high=None, unit="score", differentiable=False)
