"""The models that speed is measured on: SmolLM2-135M's configuration, and small picture models of real classes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

HIDDEN = 576


def smollm2(layers: int) -> Any:
    """SmolLM2-135M's base model with random weights and the first ``layers`` of its 30 layers, stock attention."""
    from transformers import AutoModel, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
    )
    model = AutoModel.from_config(config, attn_implementation="sdpa").eval()
    for weight in model.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.06)
    return model


def stock_and_prepared(model: Any) -> tuple[Any, Any]:
    """The model twice with the same weights in memory: as transformers runs it, and able to attend by segments."""
    from assay.models.sharing import prepare_model

    memo = {id(weight): weight for weight in model.parameters()}
    prepared = copy.deepcopy(model, memo)
    prepare_model(prepared)
    return model, prepared


def scalar_head(hidden: int = HIDDEN) -> Tensor:
    """Weights ``[hidden]`` of a head whose scores have a deviation near 1."""
    return torch.randn(hidden, generator=torch.Generator().manual_seed(1)) / hidden**0.5


def padded_scores(model: Any, rows: list[Tensor], head: Tensor) -> Tensor:
    """Scores ``[rows]`` as transformers, TRL and RewardBench take them: one right-padded batch, last token by index."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return hidden[torch.arange(len(rows)), lengths - 1] @ head
