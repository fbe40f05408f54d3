"""Perturbations of records, with provenance: what probes, audits and negatives are made of."""

from assay.perturb.perturbed import Perturbed
from assay.perturb.pictures import blank, noise, swapped
from assay.perturb.text import drop_prompt, swapped_prompt

__all__ = ["Perturbed", "blank", "drop_prompt", "noise", "swapped", "swapped_prompt"]
