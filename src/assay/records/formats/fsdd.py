"""Free Spoken Digit Dataset (Jackson et al. 2018, github.com/Jakobovski/free-spoken-digit-dataset): spoken digits.

Read from a folder of ``{digit}_{speaker}_{index}.wav``, or from rows ``audio``, ``digit``, ``speaker``, ``index``.
A record is a recording and a question; its responses are the ten digits as words, in an order drawn from the hash of
the record's id, so that position tells nothing. A `Ranking` puts the right one at 0 and the others at 1. ``speaker``
and ``index`` are context: split by speaker.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from assay.media import Text
from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Message, Ranking, Record, Response
from assay.records.sources import Item

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_USED = frozenset({"id", "audio", "file"})
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


def claims(path: str) -> bool:
    """A folder that directly holds recordings named in the official way."""
    folder = Path(path)
    return folder.is_dir() and any(_NAME.fullmatch(file.name) for file in folder.glob("[0-9]_*_*.wav"))


def rows(path: str, split: str | None) -> Iterator[tuple[Origin, Iterator[Item]]]:
    """The recordings of the folder, by name; the official split is ``test`` for index 0 to 4, ``train`` above."""
    folder = Path(path)
    found = sorted(file.name for file in folder.iterdir() if _NAME.fullmatch(file.name))

    def items() -> Iterator[Item]:
        for number, name in enumerate(found, start=1):
            digit, speaker, index = _parsed(name)
            if split in (None, "test" if index < 5 else "train"):
                yield number, {"file": name, "digit": digit, "speaker": speaker, "index": index, "audio": name}

    yield Origin(folder.name, folder), items()


def _parsed(name: str) -> tuple[int, str, int]:
    match = _NAME.fullmatch(name)
    assert match is not None
    return int(match[1]), match[2], int(match[3])


def recognises(row: Any) -> bool:
    """``audio``, ``digit`` and ``speaker``."""
    return isinstance(row, dict) and {"audio", "digit", "speaker"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A recording, a question and all digits. Raises BadRowError for a digit that is none."""
    digit = row["digit"]
    if digit not in range(10):
        raise BadRowError("unknown_answer", f"{digit!r} is not a digit", "give 0 to 9")
    name = str(row.get("file") or origin.id(row, number))
    order = _shuffled(name)
    audio = medium("audio", row["audio"], origin.root)
    return Record(
        name,
        (Message("user", (audio, Text("Which digit is spoken?"))),),
        tuple([_responses()[word] for word in order]),
        (Ranking(tuple([0 if word == WORDS[digit] else 1 for word in order])),),
        context_of(row, _USED),
    )


def _shuffled(name: str) -> list[str]:
    digest = hashlib.blake2b(name.encode(), digest_size=4 * len(WORDS)).digest()
    keys = {word: digest[4 * place : 4 * place + 4] for place, word in enumerate(WORDS)}
    return sorted(WORDS, key=keys.__getitem__)


@cache
def _responses() -> dict[str, Response]:
    return {word: Response.of(word) for word in WORDS}


FORMAT = Format(
    "fsdd",
    '"audio", "digit", "speaker", or a folder of recordings "7_george_0.wav"',
    recognises,
    to_record,
    claims=claims,
    rows=rows,
)
