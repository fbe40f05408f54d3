"""For OpenRLHF's ``--reward.remote_url FILE.py``."""

from assay.adapters.openrlhf import reward_func

__all__ = ["reward_func"]
