"""What the toolkit costs around the model: scoring records, against the bare forward of the same padded rows."""

from __future__ import annotations

import torch

from assay.models.families import family_of
from assay.models.hf import backbone_from
from assay.models.layout import padded
from assay.models.scratch import subword_tokenizer
from assay.records import Record
from assay.rewards.learned import LearnedReward
from measure import Row, interleaved, medians, ratio
from models import smollm2

WORDS = ["the", "red", "model", "reward", "picture", "answer", "is", "not", "of", "in", "on", "it", "that", "very"]


@torch.no_grad()
def rows(quick: bool) -> list[Row]:
    """64 records of one response of about 100 words: templated, tokenised, planned, scored, put into `Scores`.

    Both sides compute the same padded rows, so that the ratio is the overhead alone: 1 is none, 0.97 is 3 %.
    """
    generator = torch.Generator().manual_seed(0)

    def text(count: int) -> str:
        return " ".join(WORDS[i] for i in torch.randint(0, len(WORDS), (count,), generator=generator).tolist())

    records = [Record.of(text(40), [text(60)], id=str(number)) for number in range(64)]
    model = smollm2(2 if quick else 6)
    tokenizer = subword_tokenizer([text(2000)], 2000)
    reward = LearnedReward.fresh(backbone_from(model, tokenizer), layout=padded)
    prepared = reward.prepare(records)
    calls = padded(family_of(model), prepared.batch, reward.token_budget).calls
    sequences = [sequence for group in prepared.batch.groups for sequence in group]
    weight = reward.head.linear.weight[0]

    def bare() -> torch.Tensor:
        found = torch.empty(len(sequences))
        for call in calls:
            members = [tree.members[0] for tree in call.trees]
            held = [sequences[member].ids for member in members]
            ids = torch.nn.utils.rnn.pad_sequence(held, batch_first=True)
            lengths = torch.tensor([row.numel() for row in held])
            mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
            states = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            found[members] = states[torch.arange(len(held)), lengths - 1] @ weight
        return found

    seconds = interleaved({"ours": lambda: reward(records), "bare": bare}, 3 if quick else 5)
    difference = float((reward(records).values - bare()).abs().max())
    return [
        Row(
            benchmark="overhead",
            cell="everything around the model, 64 rows",
            baseline="bare forward of the same padded rows",
            ratio=ratio(seconds, "ours", "bare"),
            goal=0.97,
            difference=difference,
            difference_goal=1e-5,
            seconds=medians(seconds),
            note=f"{len(model.layers)} of 30 layers",
        )
    ]
