"""The rubric of verifiers 0.1 scores rollouts one by one and in groups with our rewards."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import verifiers as vf
from data import ANSWERS, GREYS, QUESTIONS, RESPONSES, png

sys.path.insert(0, str(Path(__file__).parent))
from assay.adapters.verifiers import rubric
from rewards import brightness, right


def state(place, seen=True):
    url = f"data:image/png;base64,{base64.b64encode(png(GREYS[place])).decode()}"
    content = [{"type": "text", "text": QUESTIONS[place]}]
    if seen:
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    said = [{"role": "assistant", "content": RESPONSES[place]}]
    asked = [{"role": "user", "content": content}]
    return {"prompt": asked, "completion": said, "answer": ANSWERS[place], "info": {}, "trajectory": [], "timing": {}}


def scored(judged, states):
    asyncio.run(judged.score_group(states))
    return [one["reward"] for one in states]


alone = state(1)
both = rubric({"bright": brightness(), "right": right()}, {"bright": 1.0, "right": 0.5})
asyncio.run(both.score_rollout(alone))
print(
    json.dumps(
        {
            "release": vf.__version__,
            "alone": [alone["reward"], alone["metrics"]],
            "singly": scored(rubric({"bright": brightness()}), [state(place) for place in range(3)]),
            "grouped": scored(rubric({"bright": brightness()}, group=True), [state(place) for place in range(3)]),
            "blind": scored(rubric({"bright": brightness()}, group=True), [state(0, seen=False), state(1)]),
        }
    )
)
