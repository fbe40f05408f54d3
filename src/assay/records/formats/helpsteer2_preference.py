"""HelpSteer2-Preference rows (Wang et al. 2024, arXiv 2410.01257): ``preference_strength`` from -3 to 3.

``prompt``, ``response_1``, ``response_2``; below 0 the first response is better, above 0 the second, and ``strength``
is the size. A strength of 0 gives no preference, as the authors leave such rows out rather than take them for ties; it
stays in the context. ``preference_statement`` and ``preference_elaboration`` are context too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.helpsteer import turns_of
from assay.records.problems import BadRowError
from assay.records.record import Preference, Record, Response

_USED = frozenset({"id", "prompt", "response_1", "response_2"})


def recognises(row: Any) -> bool:
    """``prompt``, ``response_1``, ``response_2`` and ``preference_strength``."""
    return (
        isinstance(row, dict)
        and {"prompt", "response_1", "response_2", "preference_strength"} <= cast(Mapping[str, Any], row).keys()
    )


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Responses in the order given."""
    strength = row["preference_strength"]
    if not isinstance(strength, int | float) or not -3 <= strength <= 3:
        raise BadRowError("bad_label", f"preference_strength {strength!r}", "give a number from -3 to 3")
    feedback = () if strength == 0 else (signed(float(strength)),)
    responses = (Response.of(row["response_1"]), Response.of(row["response_2"]))
    return Record(origin.id(row, number), turns_of(row["prompt"]), responses, feedback, context_of(row, _USED))


def signed(strength: float, rater: str | None = None) -> Preference:
    """The preference of a signed strength: below 0 the first response, above 0 the second, 0 a tie."""
    if strength == 0:
        return Preference(0, 1, probability=0.5, tie=True, strength=0.0, rater=rater)
    better, worse = (0, 1) if strength < 0 else (1, 0)
    return Preference(better, worse, strength=abs(strength), rater=rater)


FORMAT = Format(
    "helpsteer2-preference",
    '"prompt", "response_1", "response_2", "preference_strength"',
    recognises,
    to_record,
)
