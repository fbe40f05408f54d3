"""The frozen language model of all text figures: SmolLM2-135M-Instruct cut to its first layers, read by a store."""

from __future__ import annotations

from collections.abc import Sequence

from assay.models.hf import Backbone, load_backbone
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.training.probe import read_through
from assay.training.states import StateStore
from real.frame import MissingError, Place
from text_rewards import ARITHMETIC, checkpoint
from text_rewards import MissingError as NoWeightsError

LAYERS = 18
"""Of 30. One depth for all data sets; see the note in docs/results.md on how it was found."""


def frozen(place: Place, layers: int = LAYERS) -> Backbone:
    """The model, its weights in bfloat16.

    Raises:
        MissingError: the package with the weights is not installed.
    """
    try:
        return load_backbone(checkpoint(place.cache, layers), dtype=ARITHMETIC)
    except NoWeightsError as error:
        raise MissingError(str(error)) from None


def store_of(place: Place, name: str) -> StateStore:
    """The states of a data set, kept in the cache."""
    return StateStore(place.cache / "states" / name)


def read_all(place: Place, reward: LearnedReward, records: Sequence[Record], store: StateStore) -> None:
    """Compute every state that the store lacks, prompts of like length together."""

    def size(record: Record) -> int:
        answers = [message for response in record.responses for message in response.messages]
        return sum(len(message.text) for message in (*record.prompt, *answers))

    ordered = sorted(records, key=size)
    for first in range(0, len(ordered), 64):
        read_through(reward, ordered[first : first + 64], store)
        place.say(f"states of {min(first + 64, len(ordered)):,} of {len(ordered):,} records")
