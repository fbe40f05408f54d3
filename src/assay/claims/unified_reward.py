"""UnifiedReward: pairs ranked and sifted by a noisy judge are truer than pairs it judges at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.claims.base import Check, Outcome
from assay.claims.paired import differences
from assay.curation.sift import Compare, judged, rank_and_sift
from assay.records import Preference, Record
from assay.rewards.base import scores_of
from assay.scores import Scores
from assay.worlds.raters import Judge

_RECORDS, _RESPONSES = 400, 10
_JUDGE = Judge(reliability=0.7, position_bias=0.1, abstain=0.1, noise=1.0)


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A scripted judge names the better of two with reliability .7 (it favours the first one time in ten and says
    nothing readable one time in ten) and scores with noise of the size of the responses' spread. How often the
    preferred response of a made pair is truly better: one judged pair of 10 responses, five rounds sifted by score, and
    the highest and lowest score alone.

    Sifting by rounds is not better than the scores alone: the third figure says so. Sabotage: the scores that sift are
    those of another record.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    sifted, drawn, pointwise, first = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "true pairs, ranked and sifted": sifted,
            "true pairs, one judged pair": drawn,
            "true pairs, highest and lowest score": pointwise,
        },
        checks=(
            Check("gained over one judged pair", differences(sifted, drawn), at_least=0.15),
            Check("answers without a verdict counted for the first response", first, at_most=0.0),
        ),
        notes=("the highest and lowest score alone do as well: the rounds are not what helps",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    rng = np.random.default_rng(seed)
    worth = rng.standard_normal((_RECORDS, _RESPONSES))
    noisy = worth + _JUDGE.noise * rng.standard_normal(worth.shape)
    records = [Record.of(f"prompt {i}", [f"answer {j}" for j in range(_RESPONSES)], id=str(i)) for i in range(_RECORDS)]

    def compare(record: Record, first: int, second: int) -> int | None:
        own = worth[int(record.id)]
        return judged(lambda *_: _JUDGE.compare(float(own[first]), float(own[second]), rng))(record, first, second)

    def point(shown: Sequence[Record], /) -> Scores:
        places = [(int(record.id) + (1 if sabotage else 0)) % _RECORDS for record in shown]
        return scores_of(shown, [float(noisy[place, j]) for place in places for j in range(_RESPONSES)])

    sifted = rank_and_sift(compare, point, rounds=5, seed=seed)(records)
    drawn = [_drawn(record, compare, rng) for record in records]
    highest = [Preference(int(noisy[i].argmax()), int(noisy[i].argmin())) for i in range(_RECORDS)]
    silent = Judge(abstain=1.0)
    unread = [judged(lambda *_: silent.compare(0.0, 1.0, rng))(record, 0, 1) for record in records[:50]]
    return (
        _true(worth, [(int(record.id), record.feedback[0]) for record in sifted]),
        _true(worth, [(i, preference) for i, preference in enumerate(drawn) if preference is not None]),
        _true(worth, list(enumerate(highest))),
        sum(named == 0 for named in unread) / len(unread),
    )


def _drawn(record: Record, compare: Compare, rng: np.random.Generator) -> Preference | None:
    first, second = rng.permutation(_RESPONSES)[:2].tolist()
    better = compare(record, first, second)
    return None if better is None else Preference(better, second if better == first else first)


def _true(worth: np.ndarray, pairs: Sequence[tuple[int, object]]) -> float:
    return float(np.mean([worth[i, p.better] > worth[i, p.worse] for i, p in pairs if isinstance(p, Preference)]))
