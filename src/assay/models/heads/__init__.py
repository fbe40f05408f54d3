"""Heads: what turns hidden states into numbers. A head computes in float32 whatever the backbone's format is.

A head is a final module ``forward(states: States) -> Outputs`` with ``options()``, the arguments that make it again:
JSON values, tuples, and functions or classes of `assay.models`. It starts from a seed.
"""

from assay.models.heads.attributes import AttributeHead
from assay.models.heads.gaussian import GaussianHead
from assay.models.heads.ordinal import OrdinalHead
from assay.models.heads.scalar import ScalarHead
from assay.models.heads.steps import StepHead

__all__ = ["AttributeHead", "GaussianHead", "OrdinalHead", "ScalarHead", "StepHead"]
