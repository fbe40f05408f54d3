"""The frozen language model of all text figures: SmolLM2-135M-Instruct cut to its first layers, read by a store."""

from __future__ import annotations

from collections.abc import Sequence

from assay.models.hf import Backbone, load_backbone
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.training.probe import Reads
from assay.training.states import StateStore
from real.frame import MissingError, Place
from text_rewards import ARITHMETIC, checkpoint
from text_rewards import MissingError as NoWeightsError

LAYERS = 18
"""Of 30, for answers; docs/results.md says how it was chosen."""


def frozen(place: Place, layers: int = LAYERS) -> Backbone:
    """The model, its weights in bfloat16.

    Raises:
        MissingError: the package with the weights is not installed.
    """
    try:
        return load_backbone(checkpoint(place.cache, layers), dtype=ARITHMETIC)
    except NoWeightsError as error:
        raise MissingError(str(error)) from None


def read_all(place: Place, reward: LearnedReward, records: Sequence[Record], name: str) -> Reads:
    """The states of all records, those that the cache of this name lacks computed."""
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        place.say(f"{name}: states of {done:,} of {len(records):,} records")

    return Reads.of(reward, records, StateStore(place.cache / "states" / name), progress)
