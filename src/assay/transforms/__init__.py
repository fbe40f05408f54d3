"""Transforms of scores, combinations of several rewards' scores, and the rules of who abstains."""

from assay.transforms.combine import (
    AbstainRule,
    Combine,
    all_abstain,
    any_abstains,
    ensemble,
    fewer_than,
    gate,
    mean,
    weighted_sum,
    worst_case,
)
from assay.transforms.shape import clip, fit_log_sigmoid, fit_scale, log_sigmoid, negate, scale, sigmoid

__all__ = [
    "AbstainRule",
    "Combine",
    "all_abstain",
    "any_abstains",
    "clip",
    "ensemble",
    "fewer_than",
    "fit_log_sigmoid",
    "fit_scale",
    "gate",
    "log_sigmoid",
    "mean",
    "negate",
    "scale",
    "sigmoid",
    "weighted_sum",
    "worst_case",
]
