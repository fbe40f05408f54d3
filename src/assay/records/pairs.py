"""Feedback of any shape as preferences between two responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import Any

from assay.records.problems import BadRowError
from assay.records.record import Feedback, Preference, Ranking, Rating, Record


def preferences_of(record: Record) -> tuple[Preference, ...]:
    """The record's preferences; without any, those that its rankings imply; without these, those that ratings imply.

    So that nothing counts twice, the most direct feedback alone speaks, `settled` among raters. A ranking, or the
    ratings of one rater under one criterion, gives a preference for each pair whose ranks or values differ (the
    difference of two ratings is the ``margin``); equal ones give nothing. Unranked responses take no part.
    """
    said = settled(record.feedback)
    stated = [feedback for feedback in said if isinstance(feedback, Preference)]
    if stated:
        return tuple(stated)
    rankings = [feedback for feedback in said if isinstance(feedback, Ranking)]
    if rankings:
        return tuple([preference for ranking in rankings for preference in _of_ranking(ranking)])
    return tuple(_of_ratings(said))


def settled(feedback: Iterable[Feedback]) -> list[Feedback]:
    """The feedback without single raters' where there is also one of no rater: their verdict together.

    Of the same kind and criterion, and about the same responses. To hear the raters, leave out first what has none.
    """
    said = list(feedback)
    if all(item.rater is None for item in said):
        return said
    together = {_subject(item) for item in said if item.rater is None}
    return [item for item in said if item.rater is None or _subject(item) not in together]


def _subject(feedback: Feedback) -> tuple[Any, ...]:
    if isinstance(feedback, Preference):
        return (Preference, feedback.criterion, frozenset((feedback.better, feedback.worse)))
    about = None if isinstance(feedback, Ranking) else feedback.response
    return (type(feedback), feedback.criterion, about)


def ordered_pairs(record: Record) -> list[tuple[str, Preference]]:
    """The preferences that a chosen/rejected row can hold, each with the id of its row.

    A record of one keeps its id; of several, each adds ``:better>worse``, and criterion and rater where several are of
    the same two. Explicit ties are left out.

    Raises:
        BadRowError: nothing orders two of the responses.
    """
    found = [preference for preference in preferences_of(record) if not preference.tie]
    if not found:
        cause = "nothing says that one response is better than another"
        raise BadRowError("no_preference", cause, "add a preference, a ranking or ratings, or leave the record out")
    if len(found) == 1:
        return [(record.id, found[0])]
    counts = Counter((item.better, item.worse) for item in found)
    return [(f"{record.id}:{_name(item, counts[item.better, item.worse] > 1)}", item) for item in found]


def _name(preference: Preference, shared: bool) -> str:
    whose = [part for part in (preference.criterion, preference.rater) if part is not None] if shared else []
    return ":".join([f"{preference.better}>{preference.worse}", *whose])


def _of_ranking(ranking: Ranking) -> list[Preference]:
    ranked = [(rank, index) for index, rank in enumerate(ranking.ranks) if rank is not None]
    pairs = [sorted(pair) for pair in combinations(ranked, 2) if pair[0][0] != pair[1][0]]
    return [
        Preference(better[1], worse[1], rater=ranking.rater, criterion=ranking.criterion) for better, worse in pairs
    ]


def _of_ratings(said: Iterable[Feedback]) -> list[Preference]:
    groups: dict[tuple[str | None, str | None], list[Rating]] = {}
    for feedback in said:
        if isinstance(feedback, Rating):
            groups.setdefault((feedback.rater, feedback.criterion), []).append(feedback)
    found: list[Preference] = []
    for (rater, criterion), ratings in groups.items():
        for first, second in combinations(ratings, 2):
            if first.response == second.response or not abs(first.value - second.value) > 0:
                continue
            better, worse = (first, second) if first.value > second.value else (second, first)
            margin = better.value - worse.value
            found.append(Preference(better.response, worse.response, margin=margin, rater=rater, criterion=criterion))
    return found
