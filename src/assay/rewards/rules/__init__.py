"""Rules: rewards that read a response's text and compute, with nothing learned. One function a file's idea."""

from assay.rewards.rules.format import format
from assay.rewards.rules.length import length
from assay.rewards.rules.match import exact_match, numeric_match
from assay.rewards.rules.mathematics import math_match

__all__ = ["exact_match", "format", "length", "math_match", "numeric_match"]
