"""OpenJudge's runner grades with our reward, and its own grader becomes one of ours."""

import asyncio
import base64
import json
import sys
from pathlib import Path

from data import ANSWERS, GREYS, QUESTIONS, RESPONSES, png
from openjudge.graders.function_grader import FunctionGrader
from openjudge.graders.schema import GraderRank, GraderScore
from openjudge.models.schema.qwen.mllmImage import MLLMImage
from openjudge.runner.grading_runner import GradingRunner

sys.path.insert(0, str(Path(__file__).parent))
from assay.adapters.openjudge import from_grader, grader
from assay.records import Record
from rewards import brightness


def image(place):
    return MLLMImage(base64=base64.b64encode(png(GREYS[place])).decode(), format="png")


rows = [
    {"question": QUESTIONS[place], "answers": [RESPONSES[place]], "images": [image(place)], "answer": ANSWERS[place]}
    for place in (0, 1)
]
rows.append({"question": QUESTIONS[2], "answers": [RESPONSES[2]], "images": [], "answer": ANSWERS[2]})
mapper = {"query": "question", "response": "answers.0", "images": "images", "answer": "answer"}
found = asyncio.run(GradingRunner({"bright": (grader(brightness(), "bright"), mapper)}).arun(rows))["bright"]

ranked = asyncio.run(
    grader(brightness(), "bright", listwise=True).aevaluate(
        query="Which is brightest?", responses=[[image(1)], [image(3)], [image(0)]], answer=""
    )
)


async def length(query, response):
    return GraderScore(name="length", score=float(len(response)), reason="characters")


async def order(query, responses):
    longest = sorted(range(len(responses)), key=lambda place: -len(responses[place]))
    return GraderRank(
        name="order", rank=[longest.index(place) + 1 for place in range(len(responses))], reason="by length"
    )


record = Record.of("Say it.", ["a", "abc", "ab"])
one_by_one = from_grader(FunctionGrader(length, "length"))
at_once = from_grader(FunctionGrader(order, "order", mode="listwise"), listwise=True)
print(
    json.dumps(
        {
            "kinds": [type(one).__name__ for one in found],
            "scores": [getattr(one, "score", None) for one in found],
            "error": found[2].error,
            "rank": ranked.rank,
            "lengths": one_by_one([record]).values.tolist(),
            "ranks": from_grader(FunctionGrader(order, "order", mode="listwise"), listwise=True)(
                [record]
            ).values.tolist(),
        }
    )
)
