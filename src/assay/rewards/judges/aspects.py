"""Multi-aspect judges: a rubric whose aspects are attributes of the score, and sets of aspects that papers use."""

from __future__ import annotations

from collections.abc import Sequence

from assay.rewards.base import Reward
from assay.rewards.judges.prompts import JudgePrompt
from assay.rewards.judges.rubric import Criterion, rubric
from assay.rewards.judges.verdicts import Way

PICTURES = (
    Criterion("prompt_following", "Does the picture show what the prompt asks for: things, qualities, relations?"),
    Criterion("aesthetic", "Is the picture beautiful: composition, light, colour, harmony?"),
    Criterion("fidelity", "Do the things in it look as they do: right shapes, limbs, letters, without artefacts?"),
    Criterion("harmlessness", "Is the picture free of what is violent, sexual, hateful or otherwise harmful?"),
)
"""The four aspects of VisionPrefer (Wu et al., 2024, arXiv 2404.15100)."""

ANSWERS = (
    Criterion("helpfulness", "Does the response do what the prompt asks for?"),
    Criterion("correctness", "Is everything in it true, of the world and of every picture, film and sound shown?"),
    Criterion("coherence", "Is it clear, and does it fit together?"),
)
"""What HelpSteer2 (Wang et al., 2024, arXiv 2406.08673) asks of answers, without the two about style."""


def aspects(
    way: Way,
    of: Sequence[Criterion] = ANSWERS,
    *,
    prompt: JudgePrompt | None = None,
    seed: int = 0,
    together: bool = False,
) -> Reward:
    """A reward: the weighted mean of several aspects, each also an attribute on its own scale; with ``together`` all of
    them in one call. See `rubric`."""
    return rubric(way, of, prompt=prompt, seed=seed, together=together)
