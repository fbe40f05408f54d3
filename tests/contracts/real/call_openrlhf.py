"""OpenRLHF's executor loads the shipped reward file and asks it about what an engine generated."""

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace

import torch
import uvicorn
from data import ANSWERS, QUESTIONS, RESPONSES

from assay.serving.app import create_app
from assay.serving.service import Entry, Service
from assay.serving.templated import Untemplate
from assay.testing import tiny_tokenizer

os.environ["ASSAY_REWARD"] = f"{Path(__file__).with_name('rewards.py')}:right"

from openrlhf.utils.agent import SingleTurnAgentExecutor

import assay.adapters.files.openrlhf as file_form
from assay.adapters.openrlhf import reward_function
from assay.rewards.rules import exact_match

TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
FORM = Untemplate(
    openings=(("<|im_start|>user\n",),),
    answers="<|im_end|>\n<|im_start|>assistant\n",
    asks="<|im_end|>\n<|im_start|>user\n",
    end="<eos>",
)
tokenizer = tiny_tokenizer()


class Engine:
    """Answers with a given text, as vLLM's engine returns it."""

    def __init__(self, text):
        self.ids = tokenizer(text + "<eos>", add_special_tokens=False)["input_ids"]

    async def generate(self, prompt_token_ids, sampling_params, multi_modal_data=None):
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self.ids, finish_reason="stop", logprobs=None)])


async def executed(executor, place):
    sampling = SimpleNamespace(max_tokens=64, logprobs=None)
    prompt = TEMPLATE.format(QUESTIONS[place])
    engine = Engine(RESPONSES[place])
    return await executor.execute(prompt, ANSWERS[place], sampling, 256, tokenizer, engine)


executor = SingleTurnAgentExecutor(file_form.__file__)
found = [asyncio.run(executed(executor, place)) for place in range(4)]
direct = reward_function(exact_match("answer"))([f"{QUESTIONS[0]} dark</s>"], [f"{QUESTIONS[0]} "], ["dark"])


async def remote():
    """The executor's own HTTP client, against a server of the same reward."""
    service = Service([Entry("right", lambda: exact_match("label"))])
    config = uvicorn.Config(create_app(service, form=FORM), port=0, log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started or not service.served()[0].ready:
        await asyncio.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/get_reward"
    asking = SingleTurnAgentExecutor(address)
    told = [await executed(asking, place) for place in (0, 3)]
    server.should_exit = True
    await task
    return told


def plain(value):
    return value.tolist() if isinstance(value, torch.Tensor) else value


over_http = asyncio.run(remote())
print(
    json.dumps(
        {
            # As samples_generator.py makes its experience of them; that file itself imports vLLM.
            "rewards": [torch.tensor([one["reward"]]).tolist() for one in found],
            "scores": [torch.tensor([one["scores"]]).tolist() for one in found],
            "logs": [{name: value.flatten()[0].item() for name, value in one["extra_logs"].items()} for one in found],
            "http": [plain(one["reward"]) for one in over_http],
            "direct": {name: direct[name].tolist() for name in ("rewards", "scores")},
        }
    )
)
