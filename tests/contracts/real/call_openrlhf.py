"""OpenRLHF's executor loads the shipped reward file and asks it about what an engine generated."""

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace

import torch
from data import ANSWERS, QUESTIONS, RESPONSES

from assay.testing import tiny_tokenizer

os.environ["ASSAY_REWARD"] = f"{Path(__file__).with_name('rewards.py')}:right"

from openrlhf.utils.agent import SingleTurnAgentExecutor

import assay.adapters.files.openrlhf as file_form
from assay.adapters.openrlhf import reward_function
from assay.rewards.rules import exact_match

TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
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
print(
    json.dumps(
        {
            # As samples_generator.py makes its experience of them; that file itself imports vLLM.
            "rewards": [torch.tensor([one["reward"]]).tolist() for one in found],
            "scores": [torch.tensor([one["scores"]]).tolist() for one in found],
            "logs": [{name: value.flatten()[0].item() for name, value in one["extra_logs"].items()} for one in found],
            "direct": {name: direct[name].tolist() for name in ("rewards", "scores")},
        }
    )
)
