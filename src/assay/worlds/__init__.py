"""Small worlds with known truth: scenes, their captions, questions, films and tunes, and populations of raters."""

from assay.worlds.captions import caption_pairs, counterfactual_pairs
from assay.worlds.films import tone_records, video_records
from assay.worlds.language import caption, parse, verify
from assay.worlds.questions import question_records, step_records
from assay.worlds.raters import Rater, population, rated
from assay.worlds.scenes import Scene, facts, holds, picture, render, sample_scene

__all__ = [
    "Rater",
    "Scene",
    "caption",
    "caption_pairs",
    "counterfactual_pairs",
    "facts",
    "holds",
    "parse",
    "picture",
    "population",
    "question_records",
    "rated",
    "render",
    "sample_scene",
    "step_records",
    "tone_records",
    "verify",
    "video_records",
]
