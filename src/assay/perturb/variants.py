"""Surface variants of a text, which say the same, and the ones among them that lie furthest out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

Respell: TypeAlias = Callable[[str, random.Random], str | None]
"""One word to another spelling of it, or None where there is none."""

_WORD = re.compile(r"[^\W\d_]+")


def misspelt(word: str, rng: random.Random) -> str | None:
    """Two neighbouring inner letters exchanged, one left out or one doubled; None for words of fewer than four."""
    if len(word) < 4:
        return None
    place = rng.randrange(1, len(word) - 2)
    options = [
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + word[place + 1 :],
        word[:place] + word[place] + word[place:],
    ]
    return rng.choice([option for option in options if option != word])


def synonyms(table: Mapping[str, Sequence[str]]) -> Respell:
    """A word of the table (in lower case) by one of its synonyms, capitalised as it was."""

    def respell(word: str, rng: random.Random) -> str | None:
        others = [other for other in table.get(word.lower(), ()) if other.lower() != word.lower()]
        if not others:
            return None
        other = rng.choice(others)
        return other.capitalize() if word[0].isupper() else other

    return respell


def surface_variants(
    text: str, count: int = 5, *, share: float = 0.05, by: Sequence[Respell] = (misspelt,), seed: int = 0
) -> list[str]:
    """Up to ``count`` different texts with at most ``share`` of the words respelt, at least one word each.

    Fewer where the text does not allow as many in ``20 count`` tries; none where no word can be changed.

    Raises:
        ValueError: ``count`` is negative, ``share`` outside 0..1, or nothing to respell by.

    Source: Shen et al. (ConvexDA), 2023, arXiv 2309.16155.
    """
    if count < 0 or not 0 <= share <= 1 or not by:
        raise ValueError(f"need a count of 0 or more, a share in 0..1 and a way to respell, got {count}, {share}")
    rng = random.Random(f"{seed}:{text}")
    words = list(_WORD.finditer(text))
    found: dict[str, None] = {}
    for _ in range(20 * count):
        if len(found) == count or not words:
            break
        most = max(1, int(share * len(words)))
        chosen = sorted(rng.sample(words, rng.randint(1, most)), key=lambda match: match.start())
        pieces, done = [], 0
        for match in chosen:
            new = rng.choice(list(by))(match[0], rng)
            pieces += [text[done : match.start()], match[0] if new is None else new]
            done = match.end()
        variant = "".join([*pieces, text[done:]])
        if variant != text:
            found[variant] = None
    return list(found)


def hull_select(embeddings: Sequence[Sequence[float]] | npt.NDArray[Any]) -> list[int]:
    """The rows of ``[variants, width]`` that are corners of the convex hull of their two main components, ascending.

    What lies inside the hull is a mixture of the corners and adds little. Up to three rows are all corners; rows on a
    line have two.

    Raises:
        ValueError: not a matrix of finite numbers.

    Source: Shen et al. (ConvexDA), 2023, arXiv 2309.16155.
    """
    from scipy.spatial import ConvexHull, QhullError

    rows = np.asarray(embeddings, dtype=float)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(f"embeddings are finite numbers [variants, width], got {rows.shape}")
    if len(rows) < 3:
        return list(range(len(rows)))
    centred = rows - rows.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    plane = (left * sizes)[:, :2]
    flat = plane.shape[1] < 2 or sizes[1] <= 1e-9 * max(float(sizes[0]), 1e-300)
    try:
        if not flat:
            corners = cast("Any", ConvexHull(plane)).vertices
            return sorted(int(i) for i in corners)
    except QhullError:  # all but on a line
        flat = True
    ends = {int(plane[:, 0].argmin()), int(plane[:, 0].argmax())}
    return sorted(ends)
