"""ms-swift imports the shipped plugin file and scores samples with what it registered."""

import json
import os
from pathlib import Path

import torch
from data import ANSWERS, GREYS, QUESTIONS, RESPONSES, png

os.environ["ASSAY_REWARD"] = f"{Path(__file__).with_name('rewards.py')}:brightness"
os.environ["ASSAY_ON_ABSTAIN"] = "-1"

from swift.infer_engine import InferRequest
from swift.pipelines.sampling.utils import get_reward
from swift.rewards import ORM, AsyncORM, orms, prms, rm_plugins
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import score_completions
from swift.utils import import_external_file

import assay.adapters.files

import_external_file(str(Path(assay.adapters.files.__file__).with_name("assay_swift.py")))


def messages(place):
    asked = {"role": "user", "content": f"<image>{QUESTIONS[place]}"}
    return [asked, {"role": "assistant", "content": RESPONSES[place]}]


def row(place, picture=True):
    images = [{"bytes": png(GREYS[place]), "path": None}] if picture else []
    return {
        "messages": messages(place),
        "images": images,
        "answer": ANSWERS[place],
        "prompt_id": str(place),
        "request_id": str(place),
    }


samples = [GRPOSample.from_row(row(0)), GRPOSample.from_row(row(1)), GRPOSample.from_row(row(2, picture=False))]
functions = [orms[name](args=None) for name in ("assay", "assay_async")]
names = [type(function).__name__ for function in functions]
model = torch.nn.Linear(1, 1)
plugins = [None, None, rm_plugins["assay"](model=model, template=None)]
matrix = score_completions(samples, [*functions, model], plugins, False, torch.device("cpu"))

requests = [InferRequest(messages=messages(place), images=[png(GREYS[place])]) for place in (0, 1)]
steps = prms["assay"]()(requests, ANSWERS[:2])
smallest, _ = get_reward(prms["assay"](), requests, ground_truths=ANSWERS[:2])
print(
    json.dumps(
        {
            "names": names,
            "bases": [isinstance(functions[0], ORM), isinstance(functions[1], AsyncORM), "assay" in orms],
            "matrix": [[None if cell != cell else cell for cell in line] for line in matrix.tolist()],
            "steps": steps,
            "smallest": smallest.tolist(),
        }
    )
)
