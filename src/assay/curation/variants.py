"""More pairs from respellings of the responses, those that an embedding sets furthest apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from assay.perturb.responses import last_text, retold
from assay.perturb.variants import hull_select, surface_variants
from assay.records import Preference, Ranking, Record, Response
from assay.records.pairs import preferences_of

Embed: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[float]] | npt.NDArray[Any]]
"""Texts to their embeddings ``[texts, width]``."""


def convex_variants(
    embed: Embed, *, count: int = 5, share: float = 0.05, seed: int = 0
) -> Callable[[Sequence[Record]], list[Record]]:
    """Adds, for every preference, pairs in which one side is a respelling that says the same.

    Of ``count`` respellings of a response (`surface_variants`, at most ``share`` of the words) those are kept that are
    corners of the convex hull of all and the original, in the plane of their main components (`hull_select`). They
    are appended as responses, each once, and stand for their original against the other side of each of its pairs, with
    the same label. Pairs that rankings or ratings imply are stated beside them. Ties and other feedback stay as they
    are.

    Source: Shen et al. (ConvexDA), 2023, arXiv 2309.16155 (5 variants, 5 % of the words).
    """

    def curate(records: Sequence[Record]) -> list[Record]:
        return [_with_variants(record, embed, count, share, seed) for record in records]

    return curate


def _with_variants(record: Record, embed: Embed, count: int, share: float, seed: int) -> Record:
    pairs = [item for item in preferences_of(record) if not item.tie]
    wanted = sorted({place for item in pairs for place in (item.better, item.worse)})
    responses = list(record.responses)
    copies: dict[int, list[int]] = {}
    for place in wanted:
        made = _corners(record.responses[place], embed, count, share, seed)
        copies[place] = list(range(len(responses), len(responses) + len(made)))
        responses += made
    added = [
        changed
        for item in pairs
        for changed in (
            *(replace(item, better=copy) for copy in copies[item.better]),
            *(replace(item, worse=copy) for copy in copies[item.worse]),
        )
    ]
    new = len(responses) - len(record.responses)
    own = [replace(f, ranks=(*f.ranks, *(None,) * new)) if isinstance(f, Ranking) else f for f in record.feedback]
    stated = any(isinstance(item, Preference) for item in own)
    implied = () if stated or not added else tuple(pairs)
    return replace(record, responses=tuple(responses), feedback=(*own, *implied, *added))


def _corners(response: Response, embed: Embed, count: int, share: float, seed: int) -> list[Response]:
    text = last_text(response)
    found = [] if text is None else surface_variants(text.text, count, share=share, seed=seed)
    if text is None or not found:
        return []
    corners = hull_select(np.asarray(embed([text.text, *found]), dtype=float))
    return [retold(response, found[corner - 1]) for corner in corners if corner]
