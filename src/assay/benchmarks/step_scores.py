"""The step scores of an audited reward as a section of its page: how they tell right steps from wrong, and examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from assay.benchmarks.panels import Curves, Line, Panel, Stepped
from assay.benchmarks.report.pictures import thumbnail
from assay.media import Image
from assay.records import Record, StepLabels
from assay.records.steps import step_texts
from assay.scores import Scores, Status

MOST_PLACES = 16
MOST_PICTURES = 2
MOST_OF_PROMPT = 300


@dataclass(frozen=True, slots=True)
class Judged:
    """One response with step scores; ``labels`` 1 right, 0 wrong, None unlabelled (also where nobody labelled it)."""

    record: Record
    response: int
    value: float
    scores: tuple[float, ...]
    labels: tuple[float | None, ...]

    @property
    def error(self) -> float:
        """The worst disagreement of a score 0..1 with its label; without labels, how low the lowest step is."""
        known = [abs(score - label) for score, label in zip(self.scores, self.labels, strict=True) if label is not None]
        return max(known) if known else -min(self.scores)

    @property
    def found_first_error(self) -> bool | None:
        """The first wrong step has the lowest score; None where no step is wrong."""
        wrong = [place for place, label in enumerate(self.labels) if label is not None and label < 0.5]
        return self.scores.index(min(self.scores)) == wrong[0] if wrong else None


def judged_steps(scores: Scores, records: Sequence[Record]) -> Iterator[Judged]:
    """Every response whose steps all have a score, with their labels."""
    if scores.steps is None:
        return
    row = 0
    for record in records:
        labels = {found.response: found.labels for found in record.feedback if isinstance(found, StepLabels)}
        for index in range(len(record.responses)):
            found = tuple(scores.steps[row].tolist())
            if scores.status[row] is Status.OK and found and all(math.isfinite(score) for score in found):
                given = labels.get(index, ())
                known = given if len(given) == len(found) else (None,) * len(found)
                yield Judged(record, index, float(scores.values[row]), found, known)
            row += 1


def steps_panel(scores: Scores, records: Sequence[Record], most: int = 8) -> Panel | None:
    """Facts, the mean score by place, and up to ``most`` responses of different records whose steps are judged worst.

    None for a reward without step scores.
    """
    judged = list(judged_steps(scores, records))
    if not judged:
        return None
    cells = [(s, label) for each in judged for s, label in zip(each.scores, each.labels, strict=True)]
    right = np.array([score for score, label in cells if label is not None and label >= 0.5])
    wrong = np.array([score for score, label in cells if label is not None and label < 0.5])
    facts = [("responses with step scores", f"{len(judged):,}"), ("steps", f"{len(cells):,}")]
    facts += [("mean score of a step", f"{np.mean([score for score, _ in cells]):.3f}")]
    if right.size and wrong.size:
        facts += [(f"mean of {right.size:,} right steps", f"{right.mean():.3f}")]
        facts += [(f"mean of {wrong.size:,} wrong steps", f"{wrong.mean():.3f}")]
        facts += [("a right step scores above a wrong one", f"{100 * _above(right, wrong):.1f} %")]
    firsts = [found for each in judged if (found := each.found_first_error) is not None]
    if firsts:
        facts += [("the first wrong step scores lowest", f"{100 * np.mean(firsts):.1f} %")]
    return Panel(
        title="Step scores",
        paragraphs=("Each step is scored as it is reached, before anything behind it is read.",),
        facts=tuple(facts),
        curves=_curves(judged, labelled=bool(right.size and wrong.size)),
        stepped=tuple([_stepped(each) for each in _worst(judged, most)]),
    )


def _above(right: np.ndarray, wrong: np.ndarray) -> float:
    """How often a right step scores above a wrong one, ties half: by ranks."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([right, wrong]))
    return float((ranks[: right.size].sum() - right.size * (right.size + 1) / 2) / (right.size * wrong.size))


def _curves(judged: Sequence[Judged], *, labelled: bool) -> Curves | None:
    kinds = [("right steps", True), ("wrong steps", False)] if labelled else [("all steps", None)]
    lines: list[Line] = []
    for name, wanted in kinds:
        places: dict[int, list[float]] = {}
        for each in judged:
            for place, (score, label) in enumerate(zip(each.scores, each.labels, strict=True), 1):
                if place <= MOST_PLACES and (wanted is None or (label is not None and (label >= 0.5) is wanted)):
                    places.setdefault(place, []).append(score)
        points = tuple([(float(place), float(np.mean(found))) for place, found in sorted(places.items())])
        lines += [Line(name, points)] if len(points) > 1 else []
    return Curves("step", "mean score", tuple(lines)) if lines else None


def _worst(judged: Sequence[Judged], most: int) -> list[Judged]:
    chosen: dict[str, Judged] = {}
    for each in sorted(judged, key=lambda item: -item.error):
        chosen.setdefault(each.record.id, each)
    return list(chosen.values())[:most]


def _stepped(each: Judged) -> Stepped:
    response = each.record.responses[each.response]
    prompt = "\n".join(message.text for message in each.record.prompt if message.text)
    parts = [part for message in (*each.record.prompt, *response.messages) for part in message.parts]
    pictures = [part for part in parts if isinstance(part, Image)][:MOST_PICTURES]
    texts = step_texts(response)
    return Stepped(
        record=each.record.response_id(each.response),
        prompt=prompt if len(prompt) <= MOST_OF_PROMPT else "…" + prompt[1 - MOST_OF_PROMPT :].lstrip(),
        value=each.value,
        steps=tuple(
            [(text.strip(), score, label) for text, score, label in zip(texts, each.scores, each.labels, strict=True)]
        ),
        pictures=tuple([shown for picture in pictures if (shown := thumbnail(picture))]),
    )
