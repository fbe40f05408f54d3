"""verl's loader of reward functions and its reward managers call the adapter; prints what they made of it."""

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from data import ANSWERS, RESPONSES, parquet
from omegaconf import OmegaConf

from assay.testing import tiny_tokenizer

folder = Path(sys.argv[1])
os.environ["ASSAY_REWARD"] = f"{Path(__file__).with_name('rewards.py')}:brightness"
os.environ["ASSAY_MEDIA"] = str(parquet(folder / "train.parquet"))

from verl import DataProto  # noqa: E402
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager  # noqa: E402
from verl.trainer.ppo.reward import get_custom_reward_fn  # noqa: E402
from verl.workers.reward_manager.batch import BatchRewardManager  # noqa: E402

tokenizer = tiny_tokenizer()
WIDTH = 24


def batch(indices):
    texts = [tokenizer(RESPONSES[i], add_special_tokens=False)["input_ids"] for i in indices]
    responses = torch.full((len(texts), WIDTH), tokenizer.pad_token_id)
    mask = torch.zeros(len(texts), 4 + WIDTH, dtype=torch.long)
    for row, ids in enumerate(texts):
        responses[row, : len(ids)] = torch.tensor(ids)
        mask[row, : 4 + len(ids)] = 1
    prompts = torch.ones(len(texts), 4, dtype=torch.long)
    return DataProto.from_dict(
        tensors={"prompts": prompts, "responses": responses, "attention_mask": mask},
        non_tensors={
            "data_source": np.array(["toy"] * len(texts), dtype=object),
            "reward_model": np.array([{"style": "rule", "ground_truth": ANSWERS[i]} for i in indices], dtype=object),
            "extra_info": np.array([{"split": "train", "index": i} for i in indices], dtype=object),
        },
    )


def configuration(path, name):
    return OmegaConf.create({"reward": {"custom_reward_function": {"path": path, "name": name, "reward_kwargs": {}}}})


async def one_by_one(function, indices):
    manager = NaiveRewardManager(configuration("", ""), tokenizer, function)
    data = batch(indices)
    return await asyncio.gather(*(manager.run_single(data[place : place + 1]) for place in range(len(data))))


def failure(work):
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever the trainer is told is looked at
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


single = get_custom_reward_fn(configuration("pkg://assay.adapters.verl", "assay_reward"))
found = asyncio.run(one_by_one(single, [0, 1, 2]))
scores = [one["reward_score"] for one in found]
matrix = NaiveRewardManager.assemble_rm_scores(batch([0, 1, 2]), scores)

import assay.adapters.files.verl as file_form  # noqa: E402

many = get_custom_reward_fn(configuration(file_form.__file__, "assay_rewards"))
in_one = BatchRewardManager(tokenizer, 0, many)(batch([0, 1, 2]), return_dict=True)

print(
    json.dumps(
        {
            "scores": scores,
            "extra": [one["reward_extra_info"] for one in found],
            "matrix_sum": matrix.sum(dim=1).tolist(),
            "batch": in_one["reward_tensor"].sum(dim=1).tolist(),
            "batch_extra": in_one["reward_extra_info"],
            "missing": failure(lambda: asyncio.run(one_by_one(single, [0, 3]))),
        }
    )
)
