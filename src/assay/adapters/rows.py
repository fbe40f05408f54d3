"""The way from a framework's columns to records, and from scores to what it wants (`assay.rewards.columns`)."""

from assay.rewards.columns import Judgement, judge, judge_async, judgements

__all__ = ["Judgement", "judge", "judge_async", "judgements"]
