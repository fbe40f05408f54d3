"""What an lmms-eval task of preferences does with a row: copied beside the task's yaml, and complete in itself.

A row holds a question, two answers in the order they are shown, the letter of the better one, and the paths of its
media, relative to this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_VERDICT = re.compile(r"\[\[([AB])\]\]|^\W*(?:answer\s+)?([AB])\b", re.IGNORECASE)


def doc_to_visual(doc: Mapping[str, Any]) -> list[Any]:
    """Pictures as PIL, videos and sounds as paths, in the order in which the text names them."""
    from PIL import Image

    shown: list[Any] = []
    for medium in doc["media"]:
        path = HERE / medium["path"]
        if medium["kind"] == "image":
            with Image.open(path) as picture:
                shown.append(picture.convert("RGB"))
        else:
            shown.append(str(path))
    return shown


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Any = None) -> str:
    """The question, both answers, and how to reply."""
    return (
        f"Question: {doc['question']}\n\nAnswer A: {doc['answer_a']}\n\nAnswer B: {doc['answer_b']}\n\n"
        "Which answer is better? Reply with [[A]] or [[B]]."
    )


def verdict(text: str) -> str | None:
    """The letter that a reply chose: the last in brackets, else one that it begins with; None where it chose none."""
    found = list(_VERDICT.finditer(text.strip()))
    bracketed = [match[1] for match in found if match[1]]
    plain = [match[2] for match in found if match[2]]
    chosen = bracketed[-1] if bracketed else plain[0] if plain else None
    return chosen.upper() if chosen else None


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Whether the better answer was chosen; a reply without a verdict is wrong, and counted."""
    chosen = verdict(results[0])
    row = {"id": doc["id"], "chosen": chosen, "score": float(chosen == doc["target"])}
    return {"accuracy": row, "no_verdict": {**row, "score": float(chosen is None)}}


def mean(rows: Sequence[Mapping[str, Any]]) -> float:
    """The mean of the scores."""
    return sum(row["score"] for row in rows) / len(rows) if rows else float("nan")
