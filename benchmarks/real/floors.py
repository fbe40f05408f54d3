"""Floors of the text figures: linear models of words by scikit-learn, fitted and asked on the split of the reward."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from assay.benchmarks.base import pairs_of
from assay.metrics import Floats
from assay.records import Record

Scored: TypeAlias = Callable[[Sequence[Record]], Floats]


def texts(records: Sequence[Record]) -> list[str]:
    """The text of every response, one after another."""
    return [" ".join(m.text for m in response.messages) for record in records for response in record.responses]


def words() -> Any:
    """TF-IDF of words and pairs of words that occur at least twice."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)


def pairwise(records: Sequence[Record]) -> Scored:
    """Logistic regression (C = 1) on differences of TF-IDF and of the logarithm of the length, each pair both ways."""
    from scipy.sparse import csr_matrix, hstack, vstack
    from sklearn.linear_model import LogisticRegression

    vectoriser = words().fit(texts(records))

    def features(found: Sequence[Record]) -> Any:
        said = texts(found)
        length = np.log1p([len(text.split()) for text in said])
        return hstack([vectoriser.transform(said), csr_matrix(length[:, None])]).tocsr()

    pairs, every = pairs_of(records), features(records)
    gap = every[pairs.better] - every[pairs.worse]
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=500)
    model.fit(vstack([gap, -gap]), np.repeat([1, 0], gap.shape[0]))
    weights = np.asarray(model.coef_, dtype=np.float64).reshape(-1)
    return lambda found: np.asarray(features(found) @ weights, dtype=np.float64)


def overlaps(records: Sequence[Record]) -> Floats:
    """``[responses, 4]``: shares of an answer's words in the dialogue, in the facts, in neither; log of its length."""
    rows: list[list[float]] = []
    for record in records:
        facts = _words(" ".join(m.text for m in record.prompt if m.role == "system"))
        dialogue = _words(" ".join(m.text for m in record.prompt if m.role != "system"))
        for text in texts([record]):
            said = _words(text)
            count = max(1, len(said))
            shares = [len(said & dialogue) / count, len(said & facts) / count, len(said - dialogue - facts) / count]
            rows.append([*shares, float(np.log1p(len(text.split())))])
    return np.array(rows)


def rated(records: Sequence[Record], targets: Floats) -> Scored:
    """Ridge regression (alpha 3) of ``targets`` ``[responses]`` on TF-IDF and standardised overlaps."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge

    vectoriser, own = words().fit(texts(records)), overlaps(records)
    mean, std = own.mean(0), own.std(0)

    def features(found: Sequence[Record]) -> Any:
        return hstack([vectoriser.transform(texts(found)), csr_matrix((overlaps(found) - mean) / std)]).tocsr()

    model = Ridge(alpha=3.0).fit(features(records), targets)
    return lambda found: np.asarray(model.predict(features(found)), dtype=np.float64)


def statements(said: Sequence[str], matches: Sequence[bool]) -> Callable[[Sequence[str]], Floats]:
    """The log-odds that a statement matches: logistic regression (C = 10) on TF-IDF of its text."""
    from sklearn.linear_model import LogisticRegression

    vectoriser = words()
    model = LogisticRegression(C=10.0, max_iter=500).fit(vectoriser.fit_transform(said), np.array(matches))
    return lambda found: np.asarray(model.decision_function(vectoriser.transform(found)), dtype=np.float64)


def steps(said: Sequence[str], right: Sequence[bool]) -> Callable[[Sequence[str]], Floats]:
    """The log-odds that a step is right: balanced logistic regression (C = 1) on TF-IDF of its text."""
    from sklearn.linear_model import LogisticRegression

    vectoriser = words()
    model = LogisticRegression(C=1.0, max_iter=500, class_weight="balanced")
    model.fit(vectoriser.fit_transform(said), np.array(right))
    return lambda found: np.asarray(model.decision_function(vectoriser.transform(found)), dtype=np.float64)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
