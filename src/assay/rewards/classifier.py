"""Reward models that exist: transformers' sequence classifiers, scored as their authors score them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.models.control import TemplateError, control_tokens
from assay.models.families import base_of
from assay.models.heads import ScalarHead
from assay.models.hf import backbone_from, load_module, located, read_tokenizer
from assay.models.pictures import pil_processor
from assay.models.placement import placement
from assay.models.templates import UnsupportedMediaError, check_parts
from assay.models.tokenise import tokenizer_fingerprint
from assay.records import Message, Record
from assay.rewards.base import Spec, scores_of
from assay.rewards.learned import LearnedReward, Progress, weights_fingerprint
from assay.scores import Scores, Status


def load_classifier(
    path_or_id: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    label: int | str | None = None,
    local_files_only: bool = False,
) -> LearnedReward | PairClassifier:
    """A reward model saved as ``...ForSequenceClassification``: its chat template, its pooled logit, no activation.

    A causal classifier with a chat template becomes a `LearnedReward` (its ``score`` row is the head), so its prompts
    are shared; the equality with the model's own forward is checked once. Any other (BERT-like cross-encoders, and
    classifiers without chat template) reads prompt and response as a text pair and is computed in padded batches.

    Raises:
        ValueError: the model has several labels and ``label`` does not say which one is the reward.
        CheckpointError: as `load_backbone`; also when the classification head is missing from the files.
    """
    from transformers import AutoModelForSequenceClassification

    where = placement(device, dtype)
    place = located(path_or_id, local_files_only=local_files_only)
    model = load_module(place, where, kind=AutoModelForSequenceClassification)
    config = cast("Any", model).config
    column = label_column(config, label, str(path_or_id))
    tokenizer = read_tokenizer(place)
    score = getattr(model, "score", None)
    if isinstance(score, nn.Linear) and tokenizer.chat_template is not None:
        base = getattr(model, str(cast("Any", model).base_model_prefix))
        takes_pictures = getattr(config, "vision_config", None) is not None
        processor = pil_processor(place, local_files_only=True) if takes_pictures else None
        backbone = backbone_from(base, tokenizer, processor, source=str(path_or_id), where=where)
        reward = LearnedReward(backbone, _row(score, column))
        if _agrees(model, reward, column):
            return reward
    return PairClassifier(model, tokenizer, column, source=str(path_or_id))


def label_column(config: Any, label: int | str | None, source: str) -> int:
    """Which logit is the reward.

    Raises:
        ValueError: there are several and none was chosen, or the choice is not one of them.
    """
    names = {int(index): str(name) for index, name in cast("Mapping[Any, Any]", config.id2label).items()}
    if label is None:
        if len(names) == 1:
            return 0
        raise ValueError(
            f"{source}: has {len(names)} labels {list(names.values())}: say which is the reward with label="
        )
    chosen = [index for index, name in names.items() if label in (index, name)]
    if not chosen:
        raise ValueError(f"{source}: has no label {label!r}; it has {names}")
    return chosen[0]


def _row(score: nn.Linear, column: int) -> ScalarHead:
    head = ScalarHead(score.in_features, bias=cast("Tensor | None", score.bias) is not None)
    with torch.no_grad():
        head.linear.weight.copy_(score.weight[column : column + 1])
        if cast("Tensor | None", score.bias) is not None:
            head.linear.bias.copy_(score.bias[column : column + 1])
    return head


@torch.no_grad()
def _agrees(model: nn.Module, reward: LearnedReward, column: int) -> bool:
    prepared = reward.prepare([Record.of("Is the sky blue?", ["Yes, on a clear day.", "No."])])
    if not prepared.rows:
        return False
    own = reward.values(prepared.batch)
    device = reward.backbone.placement.device
    sequences = [sequence for group in prepared.batch.groups for sequence in group]
    logits = [model(input_ids=sequence.ids[None].to(device)).logits[0, column].float() for sequence in sequences]
    tolerance = 1e-4 if reward.backbone.placement.dtype == torch.float32 else 5e-2
    return bool(torch.allclose(own, torch.stack(logits).to(own.device), rtol=tolerance, atol=tolerance))


@dataclass(frozen=True, slots=True)
class _Pair:
    row: int
    inputs: dict[str, Tensor]

    @property
    def length(self) -> int:
        return self.inputs["input_ids"].shape[-1]


@final
class PairClassifier:
    """A sequence classifier over the text pair (prompt, response), or over its chat template's text where it has one.

    The model's own forward and its own logit ``column``, in padded batches of at most ``token_budget`` tokens, longest
    first. A prompt of one user message is its text; of several, one ``Role: text`` a line. A pair that is too long
    abstains: cutting it would silently score another text.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, column: int = 0, *, source: str = "memory", token_budget: int = 16_384
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.column = column
        self.source = source
        self.token_budget = token_budget
        config = cast("Any", model).config
        known = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
        self.max_length = min(int(length) for length in (*known, 10**7) if length is not None)
        self._control = control_tokens(tokenizer, None)

    @property
    def spec(self) -> Spec:
        """Text; memory at rest in bytes."""
        weights = (*self.model.parameters(), *self.model.buffers())
        return Spec(memory_bytes=sum(weight.numel() * weight.element_size() for weight in weights))

    def fingerprint(self) -> str:
        """sha256 over weights, tokenizer, template and label."""
        template = self.tokenizer.chat_template
        described = [weights_fingerprint(self.model), tokenizer_fingerprint(self.tokenizer), template, self.column]
        described.append(str(next(self.model.parameters()).dtype))
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    @torch.no_grad()
    def __call__(self, records: Sequence[Record], /, *, progress: Progress | None = None) -> Scores:
        """The logit of every response. ``progress`` is called with the number of responses just finished."""
        rows = [(record, response) for record in records for response in record.responses]
        values = torch.full((len(rows),), torch.nan)
        status, messages = [Status.OK] * len(rows), [""] * len(rows)
        pairs: list[_Pair] = []
        for row, (record, response) in enumerate(rows):
            try:
                pairs.append(self._pair(row, record.prompt, response.messages))
            except UnsupportedMediaError as error:
                status[row], messages[row] = Status.UNSUPPORTED_MODALITY, str(error)
            except TemplateError as error:
                status[row], messages[row] = Status.INVALID, str(error)
            except _TooLongError as error:
                status[row], messages[row] = Status.TOO_LONG, str(error)
        for batch in _batches(pairs, self.token_budget):
            found = self._logits(batch)
            for pair, value in zip(batch, found.tolist(), strict=True):
                if math.isfinite(value):
                    values[pair.row] = value
                else:
                    status[pair.row], messages[pair.row] = Status.NON_FINITE, f"the model computed {value}"
            if progress is not None:
                progress(len(batch))
        if progress is not None and len(pairs) < len(rows):
            progress(len(rows) - len(pairs))
        return scores_of(records, values, status, messages)

    def _pair(self, row: int, prompt: Sequence[Message], response: Sequence[Message]) -> _Pair:
        for message in (*prompt, *response):
            check_parts(message, None)
        if self.tokenizer.chat_template is None:
            made = self.tokenizer(_text(prompt), _text(response), split_special_tokens=True, return_tensors="pt")
        else:
            made = self._templated([*prompt, *response])
        inputs = {name: cast("Tensor", value) for name, value in made.items()}
        length = inputs["input_ids"].shape[-1]
        if length > self.max_length:
            raise _TooLongError(f"{length} tokens, but the model takes {self.max_length}")
        return _Pair(row, inputs)

    def _templated(self, messages: Sequence[Message]) -> Any:
        for message in messages:
            if self._control.search(message.text):
                raise TemplateError("a message holds a control token of this classifier's tokenizer")
        chat = [{"role": message.role, "content": message.text} for message in messages]
        try:
            return self.tokenizer.apply_chat_template(chat, return_dict=True, return_tensors="pt")
        except Exception as error:  # a template is a program and may raise anything
            raise TemplateError(f"the chat template refuses this dialogue: {error}") from error

    def _logits(self, batch: Sequence[_Pair]) -> Tensor:
        longest = max(pair.length for pair in batch)
        device = next(self.model.parameters()).device
        fill = {"input_ids": self.tokenizer.pad_token_id or 0}
        columns = {
            name: torch.cat(
                [
                    nn.functional.pad(pair.inputs[name], (0, longest - pair.length), value=fill.get(name, 0))
                    for pair in batch
                ]
            ).to(device)
            for name in batch[0].inputs
        }
        return cast("Tensor", self.model(**columns).logits)[:, self.column].float().cpu()

    def __repr__(self) -> str:
        return f"PairClassifier({type(base_of(self.model)).__name__} from {self.source})"


class _TooLongError(ValueError):
    pass


def _text(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return messages[0].text
    return "\n".join(f"{message.role.capitalize()}: {message.text}" for message in messages)


def _batches(pairs: Sequence[_Pair], budget: int) -> Iterator[list[_Pair]]:
    batch: list[_Pair] = []
    for pair in sorted(pairs, key=lambda pair: -pair.length):
        if batch and (len(batch) + 1) * batch[0].length > budget:
            yield batch
            batch = []
        batch.append(pair)
    if batch:
        yield batch
