"""easy-VQA (Victor Zhou, 2019, github.com/vzhou842/easy-VQA): pictures of shapes, with 13 possible answers.

Read from ``easy-vqa:train`` and ``easy-vqa:test`` (the package), or from a folder in the official layout
(``train/questions.json`` and ``train/images/0.png``) or packed (``questions.json.gz`` and ``images.parquet``).
A record is a picture and a question; its responses are all the answers there are, in an order drawn from the hash of
the record's id, so that position tells nothing. A `Ranking` puts the right one at 0 and the others at 1. Context:
``answer``, ``answer_type`` of the question (shape, color, yes/no) and ``response_types`` of the responses; `same_type`
keeps only the answers of the question's type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from assay.media import Image, Text
from assay.records.formats.base import Format, Origin
from assay.records.problems import BadRowError, FormatError, Problem
from assay.records.record import Message, Ranking, Record, Response
from assay.records.sources import Item, rows_of

_PACKAGE = "easy-vqa"
_SPLITS = ("train", "test")
_QUESTIONS = ("questions.json", "questions.json.gz")
_TYPES = {
    "shape": ("circle", "rectangle", "triangle"),
    "color": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
    "yes/no": ("no", "yes"),
}
_TYPE_OF = {answer: kind for kind, answers in _TYPES.items() for answer in answers}
ANSWERS = tuple(sorted(_TYPE_OF))


def claims(path: str) -> bool:
    """``easy-vqa``, ``easy-vqa:SPLIT``, or a folder in either layout, or a split's folder of one."""
    if path.split(":")[0] == _PACKAGE:
        return True
    folder = Path(path)
    return any(
        (place / name).is_file() and ((place / "images").is_dir() or (place / "images.parquet").is_file())
        for place in (folder, *(folder / split for split in _SPLITS))
        for name in _QUESTIONS
    )


def rows(path: str, split: str | None) -> Iterator[tuple[Origin, Iterator[Item]]]:
    """Rows ``{"question", "answer", "image", "id"}`` of each split, or of the one named.

    Raises:
        FormatError: the package is not installed, or there is no such split.
    """
    root, wanted = _root(path, split)
    places = [root / name for name in _SPLITS if (root / name).is_dir()] or [root]
    for place in places:
        if wanted is None or place.name == wanted:
            questions = next((place / name for name in _QUESTIONS if (place / name).is_file()), None)
            if questions is not None:
                yield Origin(f"{_PACKAGE}/{place.name}", place), _rows_of_split(place, questions)


def _root(path: str, split: str | None) -> tuple[Path, str | None]:
    name, _, named = path.partition(":")
    if name != _PACKAGE:
        return Path(path), split
    if named and named not in _SPLITS:
        raise FormatError(f"{path}: easy-vqa has the splits {' and '.join(_SPLITS)}")
    return _installed() / "data", named or split


def _installed() -> Path:
    from importlib.util import find_spec

    spec = find_spec("easy_vqa")
    if spec is None or spec.origin is None:
        raise FormatError("easy-vqa is not installed; pip install easy-vqa (or assay[quickstart])")
    return Path(spec.origin).parent


def _rows_of_split(place: Path, questions: Path) -> Iterator[Item]:
    picture = _pictures(place)
    for item in rows_of(questions):
        if isinstance(item, Problem):
            yield item
            continue
        number, row = item
        try:
            question, answer, image_id = row
            image = picture(int(image_id))
        except (TypeError, ValueError) as error:
            remedy = "a row is [question, answer, image number]"
            yield Problem(str(questions), number, number, "bad_row", f"not a question ({error})", remedy)
            continue
        yield number, {"question": question, "answer": answer, "image_id": int(image_id), "image": image}


def _pictures(place: Path) -> Callable[[int], Image | None]:
    packed = place / "images.parquet"
    if not packed.is_file():
        return lambda number: Image.from_path(place / "images" / f"{number}.png")
    found: dict[int, Image] = {}
    for item in rows_of(packed):
        if not isinstance(item, Problem):
            found[int(item[1]["image_id"])] = Image.from_bytes(item[1]["image"]["bytes"])
    return found.get


def recognises(row: Any) -> bool:
    """A question row that `rows` made."""
    return isinstance(row, dict) and {"question", "answer", "image_id", "image"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A picture, a question and all answers. Raises BadRowError for an answer that is none, or a missing picture."""
    answer, image = row["answer"], row["image"]
    if answer not in _TYPE_OF:
        raise BadRowError("unknown_answer", f"{answer!r} is not an answer", f"the answers are {', '.join(ANSWERS)}")
    if not isinstance(image, Image):
        raise BadRowError("missing_media", f"no picture {row['image_id']}", "fetch images.parquet again")
    name = f"{origin.name}/{number - 1}"
    answers = _shuffled(name)
    return Record(
        name,
        (Message("user", (image, Text(row["question"]))),),
        tuple([_responses()[text] for text in answers]),
        (Ranking(tuple([0 if text == answer else 1 for text in answers])),),
        {
            "answer": answer,
            "answer_type": _TYPE_OF[answer],
            "response_types": tuple([_TYPE_OF[text] for text in answers]),
            "image_id": row["image_id"],
        },
    )


def _shuffled(name: str) -> list[str]:
    digest = hashlib.blake2b(name.encode(), digest_size=4 * len(ANSWERS)).digest()
    keys = {text: digest[4 * place : 4 * place + 4] for place, text in enumerate(ANSWERS)}
    return sorted(ANSWERS, key=keys.__getitem__)


@cache
def _responses() -> dict[str, Response]:
    return {text: Response.of(text) for text in ANSWERS}


def same_type(record: Record) -> Record:
    """The record with only the responses of its question's answer type: yes/no 2, shape 3, color 8."""
    types = cast(tuple[str, ...], record.context["response_types"])
    kept = [index for index, kind in enumerate(types) if kind == record.context["answer_type"]]
    (ranking,) = [feedback for feedback in record.feedback if isinstance(feedback, Ranking)]
    return replace(
        record,
        responses=tuple(record.responses[index] for index in kept),
        feedback=(replace(ranking, ranks=tuple(ranking.ranks[index] for index in kept)),),
        context={**record.context, "response_types": tuple(types[index] for index in kept)},
    )


FORMAT = Format(
    "easy-vqa",
    "the package (easy-vqa:train), or a folder with questions.json and images/",
    recognises,
    to_record,
    claims=claims,
    rows=rows,
)
