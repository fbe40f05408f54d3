"""NLVR (Suhr et al. 2017, aclanthology P17-2034): a picture and a statement about it, true or false.

``sentence``, ``label`` (true or false, or those words), ``identifier`` and ``image``; the official files have
``directory`` in place of the image, which is the first permutation, ``images/DIRECTORY/SPLIT-IDENTIFIER-0.png``.
``evals`` are the judgements of single raters, of whom some answer neither (``neither`` in the context). The responses
are "true" and "false", in that order. ``directory`` and ``identifier`` (which the permutations of a picture share) are
context: split by them, never by row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from assay.media import Text
from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Record, Response

_USED = frozenset({"id", "image", "sentence", "label", "evals"})
_RESPONSES = (Response.of("true"), Response.of("false"))


def recognises(row: Any) -> bool:
    """``sentence``, ``label``, ``identifier`` and ``image`` or ``directory``."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    return {"sentence", "label", "identifier"} <= names and not names.isdisjoint({"image", "directory"})


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The label is a preference without rater, each judgement one with its rater."""
    given = json.loads(row["evals"]) if isinstance(row.get("evals"), str) else row.get("evals")
    votes = cast(Mapping[str, Any], given or {})
    image = row["image"] if row.get("image") else _official(row, origin)
    prompt = (Message("user", (medium("image", image, origin.root), Text(row["sentence"]))),)
    feedback = (
        _preference(row["label"]),
        *(_preference(vote, rater) for rater, vote in votes.items() if _answer(vote) is not None),
    )
    context = context_of(row, _USED)
    if neither := {rater: vote for rater, vote in votes.items() if _answer(vote) is None}:
        context["neither"] = neither
    return Record(origin.id(row, number), prompt, _RESPONSES, feedback, context)


def _official(row: Mapping[str, Any], origin: Origin) -> str:
    split = origin.name.split("/")[-1].split(".")[0]
    return f"images/{row['directory']}/{split}-{row['identifier']}-0.png"


def _answer(label: Any) -> bool | None:
    return {"true": True, "false": False}.get(str(label).lower())


def _preference(label: Any, rater: str | None = None) -> Preference:
    answer = _answer(label)
    if answer is None:
        raise BadRowError("bad_label", f"label {label!r}", "give true or false")
    return Preference(0, 1, rater=rater) if answer else Preference(1, 0, rater=rater)


FORMAT = Format("nlvr", '"sentence", "label", "identifier" and "image" or "directory"', recognises, to_record)
