"""Rewards: what scores responses. `base` is the contract, `rules` compute, `learned` has weights, `load` finds both."""

from assay.rewards import rules

__all__ = ["rules"]
