"""flow_grpo: a reward of generated pictures, ``fn(images, prompts, metadata) -> (scores, {})``.

The caller is yifan123/flow_grpo, ``flow_grpo/rewards.py`` (commit 54809b5fcf4d3930d2a17fa553928704bd0b719e),
``multi_score``: it multiplies each score by a weight and adds them up. ``from_flow_grpo`` goes the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exception_only
from typing import Any, TypeAlias, cast, final

import numpy as np
import numpy.typing as npt
import torch

from assay.adapters.abstaining import OnAbstain, number_of, refuse
from assay.adapters.asked import Asked, judged, unjudged
from assay.adapters.pixels import picture, tensor_of, video
from assay.adapters.rows import Judgement
from assay.media import Image, MediaError
from assay.records import Record
from assay.rewards.base import ContractError, Reward, name_of, scores_of
from assay.rewards.batches import status_of
from assay.scores import Scores, Status
from assay.spec import Spec

__all__ = ["FlowGrpoFunction", "FlowGrpoReward", "from_flow_grpo", "reward_function"]

_Cell: TypeAlias = tuple[float, Status, str]


@final
@dataclass(frozen=True)
class FlowGrpoFunction:
    """A reward as flow_grpo calls one; see `reward_function`."""

    reward: Reward
    on_abstain: OnAbstain
    fps: float
    root: Path

    def __call__(
        self, images: Any, prompts: Sequence[str], metadata: Any = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        prompted = [str(prompt) for prompt in prompts]
        rows = [
            self._row(shown, prompt, _cell(metadata, place))
            for place, (shown, prompt) in enumerate(zip(images, prompted, strict=True))
        ]
        judgements = judged(self.reward, rows, root=self.root)
        scores = np.array([number_of(judgement, self.on_abstain) for judgement in judgements], dtype=np.float32)
        return scores, {}

    def _row(self, pixels: Any, prompt: str, given: Mapping[str, Any]) -> Asked | Judgement:
        try:
            shown = pixels if hasattr(pixels, "save") else _medium(pixels, self.fps)
        except (TypeError, ValueError) as error:
            return unjudged(Status.UNREADABLE_MEDIA, str(error))
        medium = Image.from_pil(shown) if hasattr(shown, "save") else shown
        return Asked(prompt, [medium], context=given)


def reward_function(
    reward: Reward, *, on_abstain: OnAbstain = refuse, fps: float = 8.0, root: str | Path = ""
) -> FlowGrpoFunction:
    """A reward as ``fn(images, prompts, metadata) -> (scores, {})``, float32 ``[batch]``.

    ``images`` are floats in 0..1 ``[batch, 3, height, width]``, uint8 ``[batch, height, width, 3]`` (each also with an
    axis of frames behind the batch, a video of ``fps`` frames a second), or a list of PIL pictures. They are the
    responses to the prompts. ``metadata`` is a dictionary a row, or one of columns: context.

    An abstention raises, or is what ``on_abstain`` says: flow_grpo standardises the scores of a group.
    """
    return FlowGrpoFunction(reward, on_abstain, fps, Path(root))


@final
@dataclass(frozen=True)
class FlowGrpoReward:
    """A flow_grpo function as an Assay reward; see `from_flow_grpo`."""

    function: Callable[..., Any]
    spec: Spec = field(default_factory=lambda: Spec(modalities=frozenset({"text", "image"})))

    def __call__(self, records: Sequence[Record], /) -> Scores:
        shown: list[npt.NDArray[Any] | str] = [
            _pixels([part for m in response.messages for part in m.parts if isinstance(part, Image)])
            for record in records
            for response in record.responses
        ]
        owners = [record for record in records for _ in record.responses]
        cells: list[_Cell] = [
            (torch.nan, Status.UNREADABLE_MEDIA, one if isinstance(one, str) else "") for one in shown
        ]
        for rows in _of_one_size(shown):
            for row, cell in zip(rows, self._asked(rows, shown, owners), strict=True):
                cells[row] = cell
        values, status, messages = zip(*cells, strict=True) if cells else ((), (), ())
        return scores_of(records, torch.tensor(values, dtype=torch.float32), status, messages)

    def _asked(self, rows: Sequence[int], shown: Sequence[Any], owners: Sequence[Record]) -> list[_Cell]:
        """The cells of rows of one size. When the function raises on several, each row is asked alone."""
        prompts = ["".join(message.text for message in owners[row].prompt) for row in rows]
        metadata = [dict(owners[row].context) for row in rows]
        try:
            scores, _ = self.function(np.stack([shown[row] for row in rows]), prompts, metadata)
            found = [_cell_of(float(one)) for one in scores]
        except Exception as error:  # noqa: BLE001 what an outside function raises is a row's status
            if len(rows) > 1:
                return [cell for row in rows for cell in self._asked([row], shown, owners)]
            return [(torch.nan, status_of(error), format_exception_only(error)[-1].strip())]
        if len(found) != len(rows):
            raise ContractError(f"{name_of(self.function)} gave {len(found)} scores for {len(rows)} pictures")
        return found


def from_flow_grpo(function: Callable[..., Any], spec: Spec | None = None) -> FlowGrpoReward:
    """A function of flow_grpo's shape as a reward of responses that are one picture each.

    Pictures of one size go in one call, as uint8 ``[batch, height, width, 3]``; the metadata are the context columns
    that ``spec`` needs. A response without exactly one picture that can be read is ``unreadable_media``; what the
    function raises is the status of its row.

    Raises:
        ContractError: (when called) the function gave another number of scores than there are pictures.
    """
    return FlowGrpoReward(function) if spec is None else FlowGrpoReward(function, spec)


def _cell_of(value: float) -> _Cell:
    finite = abs(value) <= torch.finfo(torch.float32).max
    return (value, Status.OK, "") if finite else (torch.nan, Status.NON_FINITE, f"the function gave {value}")


def _medium(pixels: Any, fps: float) -> Any:
    tensor = tensor_of(pixels)
    return video(tensor, fps) if tensor.ndim == 4 else picture(tensor)


def _cell(metadata: Any, place: int) -> Mapping[str, Any]:
    if isinstance(metadata, Mapping):
        columns = cast("Mapping[str, Any]", metadata)
        return {name: column[place] for name, column in columns.items() if _is_column(column)}
    if metadata is None or not len(metadata):
        return {}
    row = metadata[place]
    return cast("Mapping[str, Any]", row) if isinstance(row, Mapping) else {}


def _is_column(value: Any) -> bool:
    """Whether it is a list, an array or a tensor of one cell a row."""
    return isinstance(value, list | tuple) or bool(getattr(value, "ndim", 0))


def _pixels(pictures: Sequence[Image]) -> npt.NDArray[Any] | str:
    if len(pictures) != 1:
        return f"{len(pictures)} pictures in the response, not one"
    try:
        return np.asarray(pictures[0].pil())
    except MediaError as error:
        return str(error)


def _of_one_size(shown: Sequence[npt.NDArray[Any] | str]) -> list[list[int]]:
    sizes: dict[tuple[int, ...], list[int]] = {}
    for row, one in enumerate(shown):
        if not isinstance(one, str):
            sizes.setdefault(one.shape, []).append(row)
    return list(sizes.values())
