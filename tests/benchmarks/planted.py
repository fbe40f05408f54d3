"""Rewards with a planted fault, on real tiny models: what `verify` has to catch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from assay.models.heads import ScalarHead
from assay.models.outputs import states_of
from assay.records import Record
from assay.rewards.base import Spec, scores_of
from assay.scores import Scores
from assay.testing import tiny_text

SPEC = Spec(differentiable=True)


def of_states(head: ScalarHead, states: Sequence[Tensor] | Tensor) -> Tensor:
    return head(states_of([state[None] for state in states])).values


class Alone:
    """No fault: every candidate by itself, read at its true last token."""

    spec = SPEC

    def __init__(self) -> None:
        self.backbone = tiny_text(0)
        self.head = ScalarHead(self.backbone.hidden_size, seed=0)

    def hidden(self, **inputs: Tensor) -> Tensor:
        module: Any = self.backbone.module
        return module(**inputs).last_hidden_state

    def ids(self, records: Sequence[Record]) -> list[list[Tensor]]:
        return [[sequence.ids for sequence in group] for group in self.backbone.prepare(records).batch.groups]

    def __call__(self, records: Sequence[Record], /) -> Scores:
        states = [self.hidden(input_ids=ids[None])[0, -1] for group in self.ids(records) for ids in group]
        return scores_of(records, of_states(self.head, states))


class SeeEachOther(Alone):
    """Candidates of a prompt packed into one row with the plain causal mask: later ones attend to earlier ones."""

    def __call__(self, records: Sequence[Record], /) -> Scores:
        states = []
        for group in self.ids(records):
            prefix = 0
            shortest = min(len(ids) for ids in group)
            while prefix < shortest - 1 and len({int(ids[prefix]) for ids in group}) == 1:
                prefix += 1
            row = torch.cat([group[0][:prefix], *(ids[prefix:] for ids in group)])
            places = [torch.arange(prefix), *(torch.arange(prefix, len(ids)) for ids in group)]
            hidden = self.hidden(input_ids=row[None], position_ids=torch.cat(places)[None])[0]
            ends = prefix - 1 + torch.tensor([len(ids) - prefix for ids in group]).cumsum(0)
            states += list(hidden[ends])
        return scores_of(records, of_states(self.head, states))


class Padded(Alone):
    """One padded batch a call; what is read is up to the fault."""

    pad: int
    left = False

    def __init__(self) -> None:
        super().__init__()
        self.pad = self.backbone.tokenizer.convert_tokens_to_ids("<|im_end|>")  # pad == eos: it ends every turn

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        return mask.long().cumsum(-1).argmax(-1)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        flat = [ids for group in self.ids(records) for ids in group]
        longest = max(len(ids) for ids in flat)
        rows = torch.full((len(flat), longest), self.pad)
        mask = torch.zeros_like(rows)
        for row, ids in enumerate(flat):
            held = slice(longest - len(ids), longest) if self.left else slice(0, len(ids))
            rows[row, held], mask[row, held] = ids, 1
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        hidden = self.hidden(input_ids=rows, attention_mask=mask, position_ids=places)
        states = hidden[torch.arange(len(flat)), self.read(rows, mask)]
        return scores_of(records, of_states(self.head, states))


class FirstPad(Padded):
    """The last token is sought as the one before the first pad, but pad is eos and ends the turns of the prompt too."""

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        return (ids.eq(self.pad).int().argmax(-1) - 1) % ids.shape[-1]


class FirstPadLeft(FirstPad):
    """The same with padding on the left: whether the first pad is padding depends on the longest row of the batch."""

    left = True


class CountedPads(Padded):
    """The last token is sought by counting tokens that are not pad; eos inside the dialogue moves it."""

    left = True

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        return ids.ne(self.pad).sum(-1) - 1


class DynamicInt8(Padded):
    """Activations of every linear layer rounded to int8 with one scale for the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        for layer in self.backbone.module.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_pre_hook(_rounded)


def _rounded(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    del layer
    scale = inputs[0].abs().max() / 127
    return ((inputs[0] / scale).round() * scale, *inputs[1:])
