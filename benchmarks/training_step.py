"""A Bradley-Terry training step: shared prompt against TRL's collator, padded batch and loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForSequenceClassification
from trl.trainer.reward_trainer import DataCollatorForPreference

from assay.models.families import family_of
from assay.models.sharing import encode, prepare_model
from measure import Row, interleaved, medians, peak_bytes, ratio
from models import HIDDEN, scalar_head, smollm2
from sharing import batch_of, candidates, limit


def sequence_classifier(base: Any) -> Any:
    """TRL's model: the same weights under a score head without bias."""
    config = type(base.config).from_dict({**base.config.to_dict(), "num_labels": 1, "pad_token_id": 0})
    config._attn_implementation = "sdpa"
    model = LlamaForSequenceClassification(config).eval()
    model.model.load_state_dict(base.state_dict())
    model.score.weight.data = scalar_head()[None].clone()
    return model


def trl_step(model: Any, rows: list[Tensor]) -> Tensor:
    """Forward and backward of TRL's `RewardTrainer` for one chosen response and each rejected one, as pairs."""
    collate = DataCollatorForPreference(pad_token_id=0)
    pairs = [{"chosen_ids": rows[0].tolist(), "rejected_ids": row.tolist()} for row in rows[1:]]
    logits = model(**collate(pairs), use_cache=False).logits.squeeze(-1)
    chosen, rejected = torch.chunk(logits, 2)
    loss = -nn.functional.logsigmoid(chosen - rejected).mean()
    loss.backward()
    return loss.detach()


def list_step(model: Any, rows: list[Tensor]) -> Tensor:
    """The same loss with the chosen response once: the padded batch that a careful user would write."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    scores = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.squeeze(-1)
    loss = -nn.functional.logsigmoid(scores[0] - scores[1:]).mean()
    loss.backward()
    return loss.detach()


def shared_step(model: nn.Module, head: nn.Linear, rows: list[Tensor]) -> Tensor:
    """The same loss with the prompt computed once."""
    scores = head(torch.cat(encode(model, family_of(model), batch_of(rows)))).squeeze(-1)
    loss = -nn.functional.logsigmoid(scores[0] - scores[1:]).mean()
    loss.backward()
    return loss.detach()


def gradient(*modules: nn.Module) -> Tensor:
    """All gradients in one vector, then cleared."""
    weights = [weight for module in modules for weight in module.parameters()]
    found = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
    for weight in weights:
        weight.grad = None
    return found


def rows(quick: bool) -> list[Row]:
    """Pairs at 1,024 and 128 prompt tokens, and one chosen against three rejected at 512."""
    base = smollm2(2 if quick else 6)
    theirs = sequence_classifier(base)
    prepare_model(base)
    head = nn.Linear(HIDDEN, 1, bias=False)
    head.weight.data = scalar_head()[None].clone()
    cells = [(1024, 2, 1.8, 0.75), (512, 4, 2.6, 0.75), (128, 2, None, None)]
    found: list[Row] = []
    for prompt, count, goal, memory in cells[:1] if quick else cells:
        held = candidates(prompt, count, 64, 128)
        step = trl_step if count == 2 else list_step

        def ours(held: list[Tensor] = held) -> Tensor:
            base.zero_grad(set_to_none=True)
            head.zero_grad(set_to_none=True)
            return shared_step(base, head, held)

        def padded(held: list[Tensor] = held, step: Any = step) -> Tensor:
            theirs.zero_grad(set_to_none=True)
            return step(theirs, held)

        seconds = interleaved({"ours": ours, "padded": padded}, 3 if quick else 5)
        ours()
        mine = gradient(base, head)
        padded()
        other = gradient(theirs)
        found.append(
            Row(
                benchmark="training_step",
                cell=f"prompt {prompt}, 1 chosen and {count - 1} rejected",
                baseline="TRL RewardTrainer's batch and loss" if count == 2 else "padded batch, each response once",
                ratio=ratio(seconds, "ours", "padded"),
                goal=goal,
                limit=limit(base, prompt, held),
                difference=float((mine - other).norm() / other.norm()),
                difference_goal=1e-5,
                memory=peak_bytes(ours) / peak_bytes(padded),
                memory_goal=memory,
                seconds=medians(seconds),
                note=f"relative error of the gradient; {family_of(base).shape.layers} of 30 layers",
            )
        )
        base.zero_grad(set_to_none=True)
        theirs.zero_grad(set_to_none=True)
    return found
