"""Search: using a reward to choose or improve responses."""

from assay.search.best_of_n import Pick, Picks, pick

__all__ = ["Pick", "Picks", "pick"]
