"""Null rewards: what can be had without reading what should be read. A reward that does not beat them is no reward."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch

from assay import metrics
from assay.benchmarks.base import Pairs, clusters, pairs_of
from assay.metrics import Floats, Ints
from assay.records import Message, Record, Response
from assay.rewards.base import Reward, Spec, scores_of
from assay.scores import Scores

FitNull: TypeAlias = Callable[[Sequence[Record]], Reward]
Featurise: TypeAlias = Callable[[Record, Response], str]

STRENGTHS = (0.3, 3.0, 30.0)
MOST_TRAINING_PAIRS = 20_000
CROSSED_ANSWER_WORDS = 5


@dataclass(frozen=True, slots=True)
class _Length:
    sign: int

    @property
    def spec(self) -> Spec:
        return Spec(unit="characters")

    def __call__(self, records: Sequence[Record], /) -> Scores:
        lengths = [len(response.text) for record in records for response in record.responses]
        return scores_of(records, torch.tensor(lengths, dtype=torch.float64) * self.sign)

    def __repr__(self) -> str:
        return "longer_is_better" if self.sign > 0 else "shorter_is_better"


@dataclass(frozen=True, slots=True)
class _Position:
    sign: int

    @property
    def spec(self) -> Spec:
        return Spec(unit="position", order_invariant=False, scale="within_group")

    def __call__(self, records: Sequence[Record], /) -> Scores:
        places = [-float(i) for record in records for i in range(len(record.responses))]
        return scores_of(records, torch.tensor(places, dtype=torch.float64) * self.sign)

    def __repr__(self) -> str:
        return "first_is_better" if self.sign > 0 else "last_is_better"


@dataclass(frozen=True, slots=True)
class _Constant:
    @property
    def spec(self) -> Spec:
        return Spec(low=0.0, high=0.0)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        return scores_of(records, torch.zeros(sum(len(record.responses) for record in records)))

    def __repr__(self) -> str:
        return "constant"


@dataclass(frozen=True)
class _Linear:
    """A fitted linear score of text features."""

    name: str
    featurise: Featurise
    vectoriser: Any = field(repr=False)
    coefficients: Floats = field(repr=False)
    strength: float

    @property
    def spec(self) -> Spec:
        return Spec(unit="logit")

    def __call__(self, records: Sequence[Record], /) -> Scores:
        texts = [self.featurise(record, response) for record in records for response in record.responses]
        values = self.vectoriser.transform(texts) @ self.coefficients if texts else np.empty(0)
        return scores_of(records, torch.from_numpy(np.asarray(values, dtype=np.float64)))

    def __repr__(self) -> str:
        return f"{self.name}(C={self.strength:g})"


def length(records: Sequence[Record]) -> Reward:
    """Characters of the response, oriented: longer or shorter is better, whichever wins more training pairs."""
    return _Length(_orientation(_Length(1), records))


def first_position(records: Sequence[Record]) -> Reward:
    """The place in the record, oriented: first or last is better, whichever wins more training pairs."""
    return _Position(_orientation(_Position(1), records))


def constant(records: Sequence[Record]) -> Reward:
    """The same score for all: every pair a tie, accuracy one half."""
    del records
    return _Constant()


def answer_only(records: Sequence[Record]) -> Reward:
    """A linear Bradley-Terry model of the response's words and characters; it never sees the prompt or a picture."""
    return _fit_linear("answer_only", _answer_features, records)


def text_only(records: Sequence[Record]) -> Reward:
    """A linear Bradley-Terry model of prompt and response text; it never sees a picture.

    Beside the response's own words it has the response as a whole, crossed with the prompt as a whole (a lookup of
    answers by question) and with each word of the prompt, for responses of at most 5 words.
    """
    return _fit_linear("text_only", _text_features, records)


DEFAULT_NULLS: Mapping[str, FitNull] = {
    "length": length,
    "first position": first_position,
    "constant": constant,
    "answer only": answer_only,
    "text only": text_only,
}


def cross_fitted(
    fit: FitNull, records: Sequence[Record], *, folds: int = 5, seed: int = 0, cluster: Ints | None = None
) -> Scores:
    """Scores of a null that was never fitted on the record it scores, nor on one that shares its picture or prompt.

    Scores of different folds come from different fits: compare them within a record only.

    Raises:
        ValueError: there are fewer than two clusters of records to hold out.
    """
    unit = clusters(records) if cluster is None else cluster
    count = int(unit.max()) + 1 if unit.size else 0
    if count < 2:
        raise ValueError("a null reward needs at least two independent records: one to fit on and one to score")
    fold_of_cluster = np.random.default_rng(seed).permutation(count) % min(folds, count)
    fold = fold_of_cluster[unit]
    values = torch.empty(sum(len(record.responses) for record in records), dtype=torch.float64)
    row_fold = np.repeat(fold, [len(record.responses) for record in records])
    for number in range(min(folds, count)):
        held = [record.view() for record, f in zip(records, fold, strict=True) if f == number]
        reward = fit([record for record, f in zip(records, fold, strict=True) if f != number])
        values[torch.from_numpy(row_fold == number)] = reward(held).values.double()
    return scores_of(records, values)


def _orientation(reward: Reward, records: Sequence[Record]) -> int:
    outcome = pairs_of(records).outcomes(metrics.floats(reward(records).values))
    return 1 if outcome.size == 0 or outcome.mean() >= 0.5 else -1


def _fit_linear(name: str, featurise: Featurise, records: Sequence[Record]) -> Reward:
    pairs = pairs_of(records)
    if not len(pairs):
        return _Constant()
    vectoriser = _vectoriser(featurise is _text_features)
    texts = [featurise(record, response) for record in records for response in record.responses]
    try:
        features = vectoriser.fit_transform(texts)
    except ValueError:  # no response holds a word: sklearn has no vocabulary to fit
        return _Constant()
    kept = _subset(len(pairs))
    gap = features[pairs.better[kept]] - features[pairs.worse[kept]]
    unit = clusters(records)[pairs.record[kept]]
    strength = _chosen_strength(gap, pairs, kept, unit)
    return _Linear(name, featurise, vectoriser, _bradley_terry(gap, pairs.probability[kept], strength), strength)


def _subset(count: int) -> Ints:
    if count <= MOST_TRAINING_PAIRS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST_TRAINING_PAIRS, replace=False))


def _chosen_strength(gap: Any, pairs: Pairs, kept: Ints, unit: Ints) -> float:
    """The regularisation whose fit on two thirds of the clusters ranks most pairs of the last third right."""
    held = unit % 3 == 0
    if held.all() or not held.any():
        return STRENGTHS[1]
    right: list[float] = []
    for strength in STRENGTHS:
        coefficients = _bradley_terry(gap[~held], pairs.probability[kept][~held], strength)
        margin = metrics.floats(gap[held] @ coefficients)
        right.append(float(metrics.pair_outcomes(margin, np.zeros_like(margin)).mean()))
    return STRENGTHS[int(np.argmax(right))]


def _bradley_terry(gap: Any, probability: Floats, strength: float) -> Floats:
    """Weights ``w`` that maximise ``sum log sigmoid(w . gap)``, an L2 penalty on ``w``; each pair both ways round."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=300, tol=1e-3)
    count = gap.shape[0]
    model.fit(
        vstack([gap, -gap]),
        np.concatenate([np.ones(count), np.zeros(count)]),
        sample_weight=np.concatenate([probability, probability]),
    )
    return np.asarray(model.coef_, dtype=np.float64).reshape(-1)


def _vectoriser(crossed: bool) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    weighted: Any = TfidfVectorizer  # its stub forgets that an analyzer may be a function
    words = weighted(analyzer=_words, max_features=50_000)
    characters = weighted(
        preprocessor=_before_crossing, analyzer="char_wb", ngram_range=(2, 4), max_features=50_000, sublinear_tf=True
    )
    crossings = weighted(analyzer=_crossings, use_idf=False)
    return make_union(words, characters, crossings) if crossed else make_union(words, characters)


def _plain(messages: Sequence[Message]) -> str:
    return " ".join(" ".join(message.text for message in messages).lower().split())


def _answer_features(record: Record, response: Response) -> str:
    del record
    return _plain(response.messages) + "\x1d"


def _text_features(record: Record, response: Response) -> str:
    question, answer = _plain(record.prompt), _plain(response.messages)
    found = [f"answer={answer}"]
    if len(answer.split()) <= CROSSED_ANSWER_WORDS:
        found.append(f"{question}={answer}")
        found += [f"{word}~{answer}" for word in dict.fromkeys(re.findall(r"\w+", question))]
    asked = set(re.findall(r"\w+", question))
    repeated = sum(word in asked for word in re.findall(r"\w+", answer))
    found.append(f"repeats={min(repeated, 9)}")
    return answer + "\x1d" + "\n".join(found)


def _before_crossing(text: str) -> str:
    return text.partition("\x1d")[0]


def _words(text: str) -> list[str]:
    words = _before_crossing(text).split()
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _crossings(text: str) -> list[str]:
    return text.partition("\x1d")[2].split("\n")
