"""A text reward as transformers' sequence classification writes it."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import nn

from assay.models.heads import ScalarHead
from assay.models.hf import Backbone


def as_classifier(module: nn.Module, head: nn.Module, backbone: Backbone) -> nn.Module | None:
    """The class that ``AutoModelForSequenceClassification`` loads, around the same weights; None if there is none.

    Its pad token is one that never ends a templated response, because transformers reads the score at the last token
    that is not padding.
    """
    from transformers import AutoModelForSequenceClassification

    if backbone.layout is not None or not isinstance(head, ScalarHead) or not head.is_plain:
        return None
    config = copy.deepcopy(cast("Any", module).config)
    pad = pad_token(backbone)
    config.num_labels, config.pad_token_id = 1, backbone.tokenizer.convert_tokens_to_ids(pad) if pad else None
    try:
        with torch.device("meta"):
            model = cast("Any", AutoModelForSequenceClassification).from_config(config)
    except ValueError:
        return None
    prefix = str(model.base_model_prefix)
    if type(getattr(model, prefix, None)) is not type(module) or not isinstance(
        getattr(model, "score", None), nn.Linear
    ):
        return None
    setattr(model, prefix, module)
    model.score = nn.Linear(backbone.hidden_size, 1, bias=False, device="meta")
    model.score.weight = nn.Parameter(head.linear.weight.detach().to(next(module.parameters()).dtype))
    return cast("nn.Module", model)


def pad_token(backbone: Backbone) -> str | None:
    """A special token that ends no templated response: the tokenizer's own pad token where that holds."""
    from assay.records import Record

    tokenizer = backbone.tokenizer
    prepared = backbone.prepare([Record.of("a", ["b", ""])])
    ends = {int(sequence.ids[-1]) for group in prepared.batch.groups for sequence in group}
    ends.add(-1 if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id))
    named = [tokenizer.pad_token, tokenizer.unk_token, tokenizer.bos_token, *tokenizer.all_special_tokens]
    return next((t for t in named if t is not None and tokenizer.convert_tokens_to_ids(t) not in ends), None)
