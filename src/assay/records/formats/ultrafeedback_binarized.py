"""UltraFeedback binarized (Tunstall et al. 2023, arXiv 2310.16944): two conversations with the score of each.

``chosen``, ``rejected``, ``score_chosen``, ``score_rejected`` [, ``prompt``]: the preference has the difference of the
scores as its margin, which can be 0 (or below), and each score is a `Rating`. ``messages`` repeats the chosen one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from assay.records.formats import trl
from assay.records.formats.base import Format, Origin
from assay.records.record import Preference, Rating, Record

_COLUMNS = frozenset({"chosen", "rejected", "score_chosen", "score_rejected"})


def recognises(row: Any) -> bool:
    """``chosen``, ``rejected``, ``score_chosen`` and ``score_rejected``."""
    return isinstance(row, dict) and cast(Mapping[str, Any], row).keys() >= _COLUMNS


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The chosen response is number 0."""
    scores = [float(row[name]) for name in ("score_chosen", "score_rejected")]
    plain = {
        name: value
        for name, value in row.items()
        if name not in ("score_chosen", "score_rejected", "messages", "margin")
    }
    feedback = (Preference(0, 1, margin=scores[0] - scores[1]), Rating(0, scores[0]), Rating(1, scores[1]))
    return replace(trl.to_record(plain, number, origin), feedback=feedback)


FORMAT = Format(
    "ultrafeedback-binarized",
    '"chosen", "rejected", "score_chosen", "score_rejected" [, "prompt"]',
    recognises,
    to_record,
)
