"""Persona statements: which of two statements a persona would make, on statements that were never seen."""

from __future__ import annotations

import numpy as np

from assay import metrics
from assay.benchmarks.base import pairs_of, values_of
from real import floors
from real.frame import Figure, Goal, Measured, Place, held_out, timed
from text_rewards import PERSONA, persona_reward, personas, ranked
from text_rewards import split as split_texts

FOLDER = "text-persona-evals"
NEAR = Goal(value_at_least=-0.01)


def measure(place: Place) -> Measured:
    """All pairs of a matching and another held-out statement of one persona; personas weigh alike."""
    found = personas(place.folder(PERSONA, "the folder persona of github.com/anthropics/evals"))
    learned, held = split_texts(found, place.seed)
    asked = {text for rows in held.values() for text, _ in rows}
    ids = [f"{name}\t{text}" for name, rows in found.items() for text, _ in rows]
    texts = [text for rows in found.values() for text, _ in rows]
    split = held_out(
        "30 % of all statements, by text, one that two personas share on one side only",
        ids, texts, [text in asked for text in texts],
    )  # fmt: skip
    spent: dict[str, float] = {}
    test = ranked(held)
    with timed(spent, "training"):
        reward, trained = persona_reward(learned, seed=place.seed)
    with timed(spent, "scoring"):
        scores = values_of(reward, reward(test))
    with timed(spent, "floor"):
        parts = [
            floors.statements([text for text, _ in learned[name]], [matches for _, matches in learned[name]])(
                [text for text, _ in rows]
            )
            for name, rows in held.items()
        ]
    pairs = pairs_of(test, per_record=True)
    ours, floor = pairs.outcomes(scores), pairs.outcomes(np.concatenate(parts))
    one = metrics.bootstrap_mean(ours, pairs.record, weight=pairs.weight, bounds=(0.0, 1.0))
    other = metrics.bootstrap_mean(floor, pairs.record, weight=pairs.weight, bounds=(0.0, 1.0))
    gap = metrics.paired_difference(ours, floor, pairs.record, weight=pairs.weight)
    figure = Figure(
        "pairs right", one, other, gap, NEAR,
        reward=f"one Llama of {sum(weight.numel() for weight in reward.parameters()):,} weights for all personas, "
        f"trained from nothing on {trained:,} pairs (Bradley-Terry), the persona's name as the prompt",
        floor_is="for each persona a logistic regression (C = 10) on TF-IDF of words and pairs of words",
        scale=100,
        details={
            "personas": {r.id: float(ours[pairs.record == n].mean()) for n, r in enumerate(test)},
            "floor_personas": {r.id: float(floor[pairs.record == n].mean()) for n, r in enumerate(test)},
        },
    )  # fmt: skip
    return Measured(
        "Statements of 13 personas", FOLDER, "github.com/anthropics/evals, CC-BY-4.0", split, [figure], spent,
        notes="Intervals are over the 13 personas.",
    )  # fmt: skip
