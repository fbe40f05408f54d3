"""One prompt, many responses: a prompt's common tokens and pictures are computed once, exactly and differentiably."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from assay.models.base import Batch, Pixels, TokenSequence
from assay.models.families import Family, base_of, model_inputs, tower_parts
from assay.models.features import FeatureStore, ImageFeatures
from assay.models.layout import TOKEN_BUDGET, Layout, flat, padded


def encode(
    model: nn.Module,
    family: Family,
    batch: Batch,
    *,
    layout: Layout | None = None,
    token_budget: int = TOKEN_BUDGET,
    features: FeatureStore | None = None,
) -> list[Tensor]:
    """For each sequence, in order over groups, the last hidden states ``[reads, hidden]`` at its ``reads`` positions.

    Raises:
        ValueError: a sequence is empty, reads outside itself, or its placeholders and pictures do not match.
    """
    sequences = flat(batch)
    _check(family, batch, sequences)
    plan = (layout or padded)(family, batch, token_budget)
    base = base_of(model)
    images = _features(base, family, batch, sequences, features or FeatureStore())
    states: list[Tensor | None] = [None] * len(sequences)
    for call in plan.calls:
        rows = [(tree.members[0], sequences[tree.members[0]]) for tree in call.trees]
        hidden = _run_padded(model, base, family, batch.pixels, [sequence for _, sequence in rows], images)
        for row, (index, sequence) in enumerate(rows):
            states[index] = hidden[row, sequence.reads.to(hidden.device)]
    return cast("list[Tensor]", states)


def _run_padded(
    model: nn.Module,
    base: Any,
    family: Family,
    pixels: Mapping[str, Pixels],
    rows: Sequence[TokenSequence],
    images: Mapping[str, ImageFeatures],
) -> Tensor:
    device = _device(base)
    longest = max(row.ids.numel() for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    types = torch.full((len(rows), longest), family.padding_type, dtype=torch.long)
    typed = False
    for i, row in enumerate(rows):
        ids[i, : row.ids.numel()] = row.ids
        mask[i, : row.ids.numel()] = 1
        own = family.types(row)
        if own is not None:
            types[i, : row.ids.numel()] = own
            typed = True
    inputs: dict[str, Any] = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    if typed and family.types_name is not None:
        inputs[family.types_name] = types.to(device)
    keys = [key for row in rows for key in row.images]
    inputs |= model_inputs(family, [images[key] for key in keys], [pixels[key] for key in keys], device)
    return _hidden(model, inputs)


def _hidden(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    output = model(**inputs, use_cache=False)
    hidden = getattr(output, "last_hidden_state", None)
    if hidden is None:
        raise TypeError(
            f"{type(model).__name__} gives no last_hidden_state: pass the base model "
            "(AutoModel, or the .model of a class with a language-model head)"
        )
    return hidden


def _features(
    base: Any, family: Family, batch: Batch, sequences: Sequence[TokenSequence], store: FeatureStore
) -> dict[str, ImageFeatures]:
    keys = dict.fromkeys(key for sequence in sequences for key in sequence.images)
    if not keys:
        return {}
    tower = family.tower
    assert tower is not None
    found = store.get(
        lambda pictures: tower(base, pictures), tower_parts(family, base), [batch.pixels[key] for key in keys]
    )
    for key, features in found.items():
        if features.hidden.shape[0] != batch.pixels[key].tokens:
            raise ValueError(
                f"picture {key} has {batch.pixels[key].tokens} placeholder tokens, but the vision tower gives "
                f"{features.hidden.shape[0]} features: processor and model do not belong together"
            )
    return found


def _check(family: Family, batch: Batch, sequences: Sequence[TokenSequence]) -> None:
    for index, sequence in enumerate(sequences):
        length = sequence.ids.numel()
        if length == 0:
            raise ValueError(
                f"sequence {index} has no tokens: a template gives at least one, even for an empty response"
            )
        if sequence.reads.numel() and not 0 <= int(sequence.reads.min()) <= int(sequence.reads.max()) < length:
            raise ValueError(f"sequence {index} has {length} tokens but reads at {sequence.reads.tolist()}")
        if sequence.images and family.tower is None:
            raise ValueError(f"sequence {index} has pictures, which {family.name} does not take")
        if family.placeholder is None:
            continue
        missing = [key for key in sequence.images if key not in batch.pixels]
        if missing:
            raise ValueError(f"sequence {index} names picture {missing[0]}, which is not in the batch's pixels")
        expected = sum(batch.pixels[key].tokens for key in sequence.images)
        found = int((sequence.ids == family.placeholder).sum())
        if found != expected:
            raise ValueError(
                f"sequence {index} has {found} image placeholders for {len(sequence.images)} pictures of {expected} "
                "tokens: truncation must not cut through a picture"
            )


def _device(base: Any) -> torch.device:
    embeddings = base.get_input_embeddings()
    return cast("torch.device", embeddings.weight.device if embeddings is not None else next(base.parameters()).device)
