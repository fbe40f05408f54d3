"""LearnedReward: a backbone with a head. The same object scores, trains, is saved and is loaded."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.models.base import Batch, Pixels
from assay.models.families import family_of
from assay.models.features import FeatureStore
from assay.models.heads import ScalarHead
from assay.models.hf import Backbone
from assay.models.layout import TOKEN_BUDGET, Layout
from assay.models.prepare import OnTooLong, Prepared, abstain
from assay.models.sharing import encode
from assay.models.tokenise import tokenizer_fingerprint
from assay.records import Record
from assay.rewards.base import Spec, scores_of
from assay.scores import Scores, Status

Progress = Callable[[int], None]
_RECORDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution of a reward's scores on reference data: what turns a score into a unit.

    ``quantiles`` are the scores at 0, 1, ..., 100 % of ``rows`` reference responses.
    """

    mean: float
    std: float
    quantiles: tuple[float, ...]
    rows: int

    @staticmethod
    def of(values: Tensor) -> Reference:
        """The reference of scores ``[rows]``; abstentions (NaN) are left out.

        Raises:
            ValueError: fewer than two scores are left.
        """
        found = values.detach().double().flatten()
        found = found[torch.isfinite(found)]
        if found.numel() < 2:
            raise ValueError(f"a reference needs at least 2 scores, got {found.numel()}")
        quantiles = torch.quantile(found, torch.linspace(0, 1, 101, dtype=torch.float64))
        return Reference(float(found.mean()), float(found.std()), tuple(quantiles.tolist()), found.numel())


@final
class RewardModel(nn.Module):
    """The weights of a learned reward as one module, for optimisers and wrappers: batch to values."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.features = FeatureStore()

    def forward(self, batch: Batch, *, layout: Layout | None = None, token_budget: int = TOKEN_BUDGET) -> Tensor:
        """``[sequences]`` float32, in order over groups; differentiable in every weight that requires it."""
        states = encode(
            self.encoder,
            family_of(self.encoder),
            batch,
            layout=layout,
            token_budget=token_budget,
            features=self.features,
        )
        if not states:
            return torch.zeros(0)
        return self.head(torch.stack([state[-1] for state in states]))


@final
class LearnedReward:
    """A backbone and a scalar head: the head's number at the true last token of the templated candidate.

    Equation: ``score(x, y) = head(h_last(template(x, y)))``, ``h`` float32 for the head whatever the backbone's dtype.
    A response that cannot be scored abstains: unreadable media, a medium the backbone does not take, too long,
    refused by the template (``INVALID``), not finite, out of memory after the token budget was halved once.
    ``token_budget`` is how many tokens are computed at once; it changes speed and memory, never a score. ``layout``
    forces a way of sharing (see `models.layout`). ``reference`` and ``card`` travel with the saved reward.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        *,
        token_budget: int = TOKEN_BUDGET,
        max_length: int | None = None,
        on_too_long: OnTooLong = abstain,
        layout: Layout | None = None,
        reference: Reference | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        if token_budget < 1:
            raise ValueError(f"token_budget must be at least 1, got {token_budget}")
        self.backbone = backbone
        self.model = RewardModel(backbone.module, head.to(backbone.placement.device))
        self.token_budget = token_budget
        self.max_length = max_length or backbone.max_length
        self.on_too_long = on_too_long
        self.layout = layout
        self.reference = reference
        self.card: Mapping[str, Any] = dict(card or {})
        self._hashed: tuple[object, str] | None = None

    @staticmethod
    def fresh(backbone: Backbone, seed: int = 0, **options: Any) -> LearnedReward:
        """The backbone with a new scalar head, initialised from ``seed``; further options as for the class."""
        return LearnedReward(backbone, ScalarHead(backbone.hidden_size, seed=seed), **options)

    @property
    def head(self) -> nn.Module:
        """What turns the last hidden state into a number."""
        return self.model.head

    @property
    def spec(self) -> Spec:
        """What it takes, and its memory at rest in bytes."""
        weights = (*self.model.parameters(), *self.model.buffers())
        return Spec(
            modalities=self.backbone.modalities,
            differentiable=True,
            memory_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        )

    def parameters(self) -> Iterator[nn.Parameter]:
        """Every weight, backbone and head."""
        return self.model.parameters()

    def prepare(self, records: Sequence[Record]) -> Prepared:
        """Token sequences and pictures of every response, under this reward's length policy."""
        return self.backbone.prepare(records, max_length=self.max_length, on_too_long=self.on_too_long)

    def values(self, batch: Batch) -> Tensor:
        """``[sequences]`` float32 in order over the groups of the batch, differentiable."""
        return self.model(batch, layout=self.layout, token_budget=self.token_budget)

    @torch.no_grad()
    def __call__(self, records: Sequence[Record], /, *, progress: Progress | None = None) -> Scores:
        """The score of every response. ``progress`` is called with the number of responses just finished."""
        was_training = self.model.training
        if was_training:
            self.model.eval()
        try:
            budget = self.token_budget
            parts: list[Scores] = []
            for first in range(0, len(records), _RECORDS_AT_ONCE):
                part, budget = self._window(records[first : first + _RECORDS_AT_ONCE], budget)
                parts.append(part)
                if progress is not None:
                    progress(len(part))
        finally:
            if was_training:
                self.model.train()
        if len(parts) == 1:
            return parts[0]
        joined = Scores.concatenate(parts)
        return scores_of(records, joined.values, joined.status, joined.messages)

    def _window(self, records: Sequence[Record], budget: int) -> tuple[Scores, int]:
        prepared = self.prepare(records)
        found, budget = _scored(prepared.batch, self._run, budget)
        values = torch.full((len(prepared.status),), torch.nan)
        status, messages = list(prepared.status), list(prepared.messages)
        for row, value in zip(prepared.rows, found, strict=True):
            if isinstance(value, Status):
                status[row], messages[row] = value, f"out of memory, also with a token budget of {budget}"
            elif math.isfinite(value):
                values[row] = value
            else:
                status[row], messages[row] = Status.NON_FINITE, f"the model computed {value}"
        return scores_of(records, values, status, messages), budget

    def _run(self, batch: Batch, budget: int) -> list[float]:
        return self.model(batch, layout=self.layout, token_budget=budget).cpu().tolist()

    def fingerprint(self) -> str:
        """sha256 over weights, model configuration, template, tokenizer, preprocessing, dtype and length policy."""
        stamp = tuple((weight.data_ptr(), weight._version) for weight in self.model.state_dict(keep_vars=True).values())
        if self._hashed is None or self._hashed[0] != stamp:
            self._hashed = (stamp, weights_fingerprint(self.model))
        described = {
            "weights": self._hashed[1],
            "length": [self.max_length, getattr(self.on_too_long, "__qualname__", repr(self.on_too_long))],
            **input_fingerprints(self.backbone),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def save(self, directory: str | Path, *, adapter: bool = False) -> Path:
        """Write it to a directory that appears whole or not at all (see `rewards.saving.save`)."""
        from assay.rewards.saving import save

        return save(self, directory, adapter=adapter)

    @staticmethod
    def load(directory: str | Path, **options: Any) -> LearnedReward:
        """A saved reward; a directory that no longer fits itself is refused (see `rewards.saving.load`)."""
        from assay.rewards.saving import load

        return load(directory, **options)

    def __repr__(self) -> str:
        return f"LearnedReward({type(self.backbone.module).__name__} from {self.backbone.source})"


def _scored(batch: Batch, run: Callable[[Batch, int], list[float]], budget: int) -> tuple[list[float | Status], int]:
    """Values in order over groups, and the token budget that held: halved once when memory ran out."""
    groups = batch.groups
    if not groups:
        return [], budget
    order = sorted(range(len(groups)), key=lambda g: max(sequence.ids.numel() for sequence in groups[g]))
    found: list[list[float | Status]] = [[] for _ in groups]
    try:
        flat: list[float | Status] = list(_attempt(batch, order, run, budget))
    except torch.OutOfMemoryError:
        budget = max(1, budget // 2)
        flat = [value for group in order for value in _alone(batch, group, run, budget)]
    place = 0
    for group in order:
        found[group] = flat[place : place + len(groups[group])]
        place += len(groups[group])
    return [value for values in found for value in values], budget


def _alone(batch: Batch, group: int, run: Callable[[Batch, int], list[float]], budget: int) -> list[float | Status]:
    try:
        return list(_attempt(batch, [group], run, budget))
    except torch.OutOfMemoryError:
        return [Status.OUT_OF_MEMORY] * len(batch.groups[group])


def _attempt(batch: Batch, order: Sequence[int], run: Callable[[Batch, int], list[float]], budget: int) -> list[float]:
    try:
        return run(_part(batch, order), budget)
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text or "out of memory" in text:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise torch.OutOfMemoryError(text) from error
        raise


def _part(batch: Batch, order: Sequence[int]) -> Batch:
    groups = [batch.groups[group] for group in order]
    keys = {key for group in groups for sequence in group for key in sequence.images}
    pixels: dict[str, Pixels] = {key: batch.pixels[key] for key in keys}
    return Batch(groups, pixels)


def weights_fingerprint(model: nn.Module) -> str:
    """sha256 of the names, dtypes, shapes and bytes of every weight and buffer."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        stored = weight.detach().contiguous().cpu()
        digest.update(f"{name} {stored.dtype} {list(stored.shape)}".encode())
        digest.update(memoryview(stored.flatten().view(torch.uint8).numpy()))
    return digest.hexdigest()


_NOT_ARITHMETIC = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype", "num_labels", "id2label"}
    | {"label2id", "problem_type", "pad_token_id", "bos_token_id", "eos_token_id", "use_cache", "output_attentions"}
    | {"output_hidden_states", "return_dict", "attn_implementation", "_attn_implementation", "tie_word_embeddings"}
    | {"chunk_size_feed_forward", "is_encoder_decoder"}
)


def _arithmetic(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration that change what the model computes."""
    kept = {name: value for name, value in config.items() if name not in _NOT_ARITHMETIC}
    return {name: _arithmetic(v) if isinstance(v, Mapping) else v for name, v in sorted(kept.items())}


def input_fingerprints(backbone: Backbone) -> dict[str, str]:
    """What shapes a backbone's input and arithmetic: template, tokenizer, preprocessing, configuration, dtype."""
    config = _arithmetic(cast("Mapping[str, Any]", backbone.config.to_dict()))
    return {
        "template": backbone.template.fingerprint,
        "tokenizer": tokenizer_fingerprint(backbone.tokenizer),
        "preprocessing": backbone.pictures.fingerprint if backbone.pictures is not None else "",
        "configuration": hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest(),
        "dtype": str(next(backbone.module.parameters()).dtype),
    }
