"""Whether a state depends on what comes after it: then no step has a score as it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.layout import padded
from assay.models.sharing import encode
from assay.records import Record

if TYPE_CHECKING:
    from assay.models.hf import Backbone

_PROBE = Record.of("one two", ["one two three four five six", "one two six five four three"])
_FOUND: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def reads_ahead(backbone: Backbone) -> bool:
    """Whether the state of a response's token changes with the tokens behind it, found by a forward of two responses.

    A prompt that is read in both directions under a causal response (PaliGemma) does not count.
    """
    if backbone.module not in _FOUND:
        _FOUND[backbone.module] = _measured(backbone)
    return _FOUND[backbone.module]


@torch.no_grad()
def _measured(backbone: Backbone) -> bool:
    first, second = backbone.prepare([_PROBE]).batch.groups[0]
    length = min(first.ids.numel(), second.ids.numel())
    same = int((first.ids[:length] == second.ids[:length]).long().cumprod(0).sum())
    probes = [_cut(sequence, length, same - 1) for sequence in (first, second)]
    batch = Batch([[probe] for probe in probes])
    training = backbone.module.training
    backbone.module.eval()
    try:
        states: list[Tensor] = encode(backbone.module, family_of(backbone.module), batch, layout=padded)
    finally:
        backbone.module.train(training)
    one, other = (state.float() for state in states)
    return float((one - other).norm() / one.norm().clamp(min=1e-12)) > 1e-4


def _cut(sequence: TokenSequence, length: int, read: int) -> TokenSequence:
    types = None if sequence.types is None else sequence.types[:length]
    return replace(sequence, ids=sequence.ids[:length], types=types, reads=torch.tensor([read]))
