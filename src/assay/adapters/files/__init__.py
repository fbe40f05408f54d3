"""Files that trainers load by path: each holds the reward of ``ASSAY_REWARD`` under the names its trainer looks for."""
