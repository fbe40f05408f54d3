"""Two rewards that real callers are handed: one of the answer alone, one that has to see the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from assay.media import Image
from assay.rewards.base import scores_of
from assay.rewards.rules import exact_match
from assay.scores import Status
from assay.spec import Spec


@dataclass(frozen=True)
class Brightness:
    """Mean brightness, 0..1, of the first picture of prompt or response; attributes, and a step for each line."""

    spec: ClassVar[Spec] = Spec(modalities=frozenset({"text", "image"}), low=0.0, high=1.0, needs=("answer",))

    def __call__(self, records):
        values, right, steps, status = [], [], [], []
        for record in records:
            for response in record.responses:
                turns = (*record.prompt, *response.messages)
                picture = next((part for turn in turns for part in turn.parts if isinstance(part, Image)), None)
                bright = float("nan") if picture is None else float(np.asarray(picture.pil()).mean() / 255)
                values.append(bright)
                status.append(Status.UNREADABLE_MEDIA if picture is None else Status.OK)
                right.append(float(str(record.context.get("answer")) in response.text))
                lines = len(response.text.splitlines()) or 1
                steps.append(torch.full((lines,), bright))
        return scores_of(
            records,
            torch.tensor(values),
            status,
            ["" if one is Status.OK else "no picture" for one in status],
            attributes={"right": torch.tensor(right)},
            steps=tuple(steps),
        )


def brightness():
    return Brightness()


def right():
    return exact_match("answer")
