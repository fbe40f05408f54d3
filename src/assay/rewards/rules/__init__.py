"""Rules: rewards that compute, with nothing learned: on a response's text, its picture, its film or its sound."""

from assay.rewards.rules.format import format
from assay.rewards.rules.length import length
from assay.rewards.rules.match import exact_match, numeric_match
from assay.rewards.rules.mathematics import math_match
from assay.rewards.rules.picture import film_statistics, picture_statistics
from assay.rewards.rules.sound import sound_likeness

__all__ = [
    "exact_match",
    "film_statistics",
    "format",
    "length",
    "math_match",
    "numeric_match",
    "picture_statistics",
    "sound_likeness",
]
