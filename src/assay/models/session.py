"""A language model for the length of one search: what was computed of a beginning is kept for others that begin so."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from assay.models.base import Continuation
    from assay.models.generate import LanguageModel
    from assay.records import Record, Response
    from assay.records.steps import Split

MOST = 16_384


@final
class Session:
    """The same model as a generator, with the keys and values of prefixes kept between its calls; see
    `LanguageModel.session`. Weights must not change while it lives."""

    def __init__(self, model: LanguageModel, tokens: int = MOST) -> None:
        self.model = model
        self.kept = Prefixes(model, tokens)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def generate(self, prefixes: Sequence[Record], n: int, seed: int = 0, /) -> list[list[Response]]:
        """As the model's own."""
        found: list[list[Response]] = []
        for record in prefixes:
            (row,) = self.model.complete([self.model.prefix(record)], n, seed, kept=self.kept)
            found.append([each.response for each in row])
        return found

    def generate_steps(
        self, prefixes: Sequence[Record], n: int, seed: int = 0, /, *, split: Split | None = None, step: int = 0
    ) -> list[list[Continuation]]:
        """As the model's own."""
        return [
            self.model.generate_steps([record], n, seed, split=split, step=step, kept=self.kept)[0]
            for record in prefixes
        ]

    def close(self) -> None:
        """Give back what is kept."""
        self.kept.clear()


@final
class Prefixes:
    """Keys and values of the latest prefixes, at most ``tokens`` of them together."""

    def __init__(self, model: LanguageModel, tokens: int = MOST) -> None:
        self.model = model
        self.tokens = tokens
        self.computed = 0
        self._held: list[tuple[Tensor, Any]] = []

    @property
    def held(self) -> int:
        """Tokens that are kept now."""
        return sum(ids.numel() for ids, _ in self._held)

    def clear(self) -> None:
        """Keep nothing."""
        self._held.clear()

    @torch.no_grad()
    def before(self, ids: Tensor, copies: int) -> Any:
        """The cache of all of ``ids`` ``[length]`` but the last, ``copies`` rows of it; what it has in common with a
        kept one is not computed again. None where there is nothing before the last."""
        wanted = ids[:-1]
        if not wanted.numel():
            return None
        common, cache = self._nearest(wanted)
        own = _cropped(cache, common) if common else None
        if common < wanted.numel():
            own = self._extended(wanted, common, own)
            self._keep(wanted, copy.deepcopy(own))
        made = cast("Any", own)
        made.batch_repeat_interleave(copies)
        return made

    def _nearest(self, wanted: Tensor) -> tuple[int, Any]:
        """How many tokens the kept prefix that is most like this one shares with it, and its cache."""
        best, cache = 0, None
        for ids, held in self._held:
            shared = _common(ids, wanted)
            whole = shared == ids.numel()
            if shared > best and (whole or not any(held.is_sliding)):
                best, cache = shared, held
        return best, cache

    def _extended(self, wanted: Tensor, common: int, own: Any) -> Any:
        module = cast("Any", self.model.module)
        rest = wanted[None, common:].to(next(module.parameters()).device)
        self.computed += rest.numel()
        return module.base_model(input_ids=rest, past_key_values=own, use_cache=True).past_key_values

    def _keep(self, ids: Tensor, cache: Any) -> None:
        """Keep this one, and of the others the latest that there is room for; one it begins with needs none."""
        self._held = [held for held in self._held if _common(held[0], ids) < held[0].numel()]
        self._held.append((ids, cache))
        while self._held and self.held > self.tokens:
            self._held.pop(0)


def _cropped(cache: Any, length: int) -> Any:
    """A copy of a cache, of its first ``length`` tokens."""
    own = copy.deepcopy(cache)
    if beyond := own.get_seq_length() - length:
        own.crop(-beyond)
    return own


def _common(one: Tensor, other: Tensor) -> int:
    least = min(one.numel(), other.numel())
    differs = (one[:least] != other[:least]).nonzero()
    return int(differs[0]) if differs.numel() else least
