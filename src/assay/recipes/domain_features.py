"""Domain knowledge as features: a reward over a handful of numbers that experts name, learned from few preferences.

What makes an output good in a domain is known: for opinion summaries that it covers the aspects, is faithful to the
opinions, concise, relevant, free of invention, and well written. Each of these is scored by a reward of its own, and a
small network over the scores is trained on preferences; some hundred are enough, where raw text needs many more::

    r(x, y) = network(f_1(x, y), ..., f_K(x, y))        L = -E log sigmoid(r(x, y_c) - r(x, y_r))

Deviation: the features are whatever rewards are given (rules, judges, learned ones); the paper has a language model,
tuned on silver data, predict seven.

Reference: Nath et al., "Leveraging Domain Knowledge for Efficient Reward Modelling in RLHF: A Case-Study in E-Commerce
Opinion Summarization", 2024, arXiv 2402.15473.
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.records import Record
from assay.rewards.base import Reward, combine
from assay.rewards.batches import batched, score_each
from assay.scores import Scores
from assay.training.features import fit_network


def domain_features(*features: Reward, records: Sequence[Record], hidden: int = 8, seed: int = 0) -> Reward:
    """A reward over the scores of ``features``, trained on the preferences of ``records``; a response abstains where a
    feature does.

    Raises:
        ValueError: no feature, one that never varies, or no pair of which all features are known.
    """
    members = [Scores.concatenate([score_each(each, chunk) for chunk in batched(records, 64)]) for each in features]
    return combine(*features, by=fit_network(members, records, hidden=hidden, seed=seed))
