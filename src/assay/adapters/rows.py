"""The way from a framework's columns to records, and from scores to what it wants (`assay.rewards.columns`)."""

from assay.rewards.columns import Judgement, holds_media, judge, judge_async, judgements

__all__ = ["Judgement", "holds_media", "judge", "judge_async", "judgements"]
