"""The records of a run as a reward takes them in: tokenised once, counted by status, cut to a token budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from torch import Tensor

from assay.media import Audio, Image, MediaError, Text, Video
from assay.models.base import Batch, Pixels, TokenSequence
from assay.models.layout import distinct
from assay.models.outputs import Outputs, blank, placed
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.scores import Status

OutputsOf: TypeAlias = Callable[[Batch, Tensor | None], Outputs]
_KEPT_TOKENS = 2**26
_KEPT_SEQUENCES = 2**19


@dataclass(frozen=True, slots=True)
class _Cell:
    """What the reward made of one record: response ``rows[n]`` has the value of ``sequences[which[n]]``.

    Responses that are the same to the model share a sequence, so that their values are equal to the last bit.
    ``condition`` ``[width]`` is what the record's scores are conditioned on.
    """

    sequences: tuple[TokenSequence, ...]
    rows: tuple[int, ...]
    which: tuple[int, ...]
    status: tuple[Status, ...]
    messages: tuple[str, ...]
    tokens: int
    condition: Tensor | None = None


@final
class Inputs:
    """Records and what a reward makes of them. Token sequences are kept (2^19, 2^26 tokens at most), pictures by the
    backbone. Sequences that differ only in their pictures hold the same tensors.

    ``outputs_of`` turns a batch of token sequences, and the condition of each, into outputs. ``status`` counts the
    responses of all records seen so far, each once; ``reasons`` has the first message of each status that was met.
    """

    def __init__(self, reward: LearnedReward, records: Sequence[Record], outputs_of: OutputsOf | None = None) -> None:
        self.reward = reward
        self.records = records
        self.outputs_of: OutputsOf = outputs_of or reward.outputs
        self.status: Counter[Status] = Counter()
        self.reasons: dict[Status, str] = {}
        self._seen: set[int] = set()
        self._cells: dict[int, _Cell] = {}
        self._kept_tokens = self._kept_sequences = 0
        self._tensors: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self.records)

    def counted(self, indices: Sequence[int], status: Mapping[str, int]) -> None:
        """Take records as seen, with the statuses of their responses: what an interrupted run had counted."""
        self._seen.update(indices)
        self.status.update({Status(name): count for name, count in status.items()})

    def at(self, indices: Sequence[int]) -> list[Record]:
        """The records of some indices."""
        return [self.records[index] for index in indices]

    def outputs(self, indices: Sequence[int], *, finite: bool = True, by: OutputsOf | None = None) -> Outputs:
        """What the reward says of the responses of the records in order; NaN where one abstains, no gradient there.
        ``by`` says it in place of the reward.

        Raises:
            FloatingPointError: the model computed a value that is not finite, and ``finite`` values are asked for;
                otherwise that response abstains.
        """
        cells, batch = self._ready(indices)
        rows: list[int] = []
        which: list[int] = []
        start = held = 0
        for cell in cells:
            rows += [start + row for row in cell.rows]
            which += [held + sequence for sequence in cell.which]
            start, held = start + len(cell.status), held + len(cell.sequences)
        device = self.reward.backbone.placement.device
        if not rows:
            return Outputs(torch.full((start,), torch.nan, device=device))
        found = (by or self.outputs_of)(batch, _conditions(cells))
        values = found.values.detach()
        wrong = values.isinf() if self.reward.backbone.gaps else ~values.isfinite()
        if finite and bool(wrong.any()):
            raise FloatingPointError(f"{int(wrong.sum())} of {wrong.numel()} values are not finite")
        return placed(blank(found, wrong), rows, which, start)

    def split(self, indices: Sequence[int], budget: int) -> Iterator[list[int]]:
        """The indices in order, cut so that each part stays within ``budget`` tokens; a larger record is alone."""
        part: list[int] = []
        tokens = 0
        for index, cell in zip(indices, self._prepared(indices), strict=True):
            if part and tokens + cell.tokens > budget:
                yield part
                part, tokens = [], 0
            part.append(index)
            tokens += cell.tokens
        if part:
            yield part

    def split_all(self, budget: int, share: int = 0, shares: int = 1) -> Iterator[list[int]]:
        """All records in order, cut as by `split`; of several processes each takes its share."""
        for first in range(0, len(self), 64):
            yield from self.split(range(len(self))[first : first + 64][share::shares], budget)

    def batch(self, indices: Sequence[int]) -> Batch:
        """What a model is given for some records; those of which nothing can be scored have no group."""
        return self._ready(indices)[1]

    def scorable(self, indices: Sequence[int]) -> Tensor:
        """``[responses]`` bool: which responses of some records can be scored."""
        return torch.tensor([s is Status.OK for cell in self._prepared(indices) for s in cell.status], dtype=torch.bool)

    def tokens(self, indices: Sequence[int]) -> tuple[int, int]:
        """Tokens of all sequences of some records: (each prompt once, each sequence on its own)."""
        cells = self._prepared(indices)
        return sum(cell.tokens for cell in cells), sum(s.ids.numel() for cell in cells for s in cell.sequences)

    def _ready(self, indices: Sequence[int]) -> tuple[list[_Cell], Batch]:
        cells = self._prepared(indices)
        pixels: dict[str, Pixels] = {}
        for place, index in enumerate(indices):
            try:
                self._add_pixels(pixels, self.records[index], cells[place])
            except MediaError:  # it was there an epoch ago: the record is looked at afresh
                self.status.subtract(cells[place].status)
                self._seen.discard(index)
                self._cells.pop(index, None)
                (cells[place],) = self._prepared([index])
        return cells, Batch([cell.sequences for cell in cells if cell.sequences], pixels)

    def _add_pixels(self, pixels: dict[str, Pixels], record: Record, cell: _Cell) -> None:
        for row, place in zip(cell.rows, cell.which, strict=True):
            if any(key not in pixels for key in cell.sequences[place].images):
                pixels.update(self.reward.backbone.pixels((*record.prompt, *record.responses[row].messages)))

    def _prepared(self, indices: Sequence[int]) -> list[_Cell]:
        missing = [index for index in indices if index not in self._cells]
        made = dict(zip(missing, self._make(self.at(missing)), strict=True))
        for index, cell in made.items():
            if index not in self._seen:
                self._seen.add(index)
                self.status.update(cell.status)
                for status, message in zip(cell.status, cell.messages, strict=True):
                    if message:
                        self.reasons.setdefault(status, message)
            if self._kept_tokens < _KEPT_TOKENS and self._kept_sequences < _KEPT_SEQUENCES:
                self._cells[index] = cell
                self._kept_sequences += len(cell.sequences)
                self._kept_tokens += sum(sequence.ids.numel() for sequence in cell.sequences)
        return [made[index] if index in made else self._cells[index] for index in indices]

    def _lean(self, sequence: TokenSequence) -> TokenSequence:
        if not sequence.images:
            return sequence
        types = None if sequence.types is None else self._one(sequence.types)
        ends = None if sequence.ends is None else self._one(sequence.ends)
        return replace(sequence, ids=self._one(sequence.ids), reads=self._one(sequence.reads), types=types, ends=ends)

    def _one(self, tensor: Tensor) -> Tensor:
        return self._tensors.setdefault(tensor.numpy().tobytes(), tensor)

    def _make(self, records: Sequence[Record]) -> list[_Cell]:
        if not records:
            return []
        prepared = self.reward.prepare(records)
        sequences = iter(self._lean(sequence) for group in prepared.batch.groups for sequence in group)
        held = dict(zip(prepared.rows, sequences, strict=True))
        conditions = self.reward.conditions(records)
        cells: list[_Cell] = []
        start = 0
        for number, record in enumerate(records):
            rows = tuple(n for n in range(len(record.responses)) if start + n in held)
            own, which = distinct([held[start + n] for n in rows])
            whole = slice(start, start + len(record.responses))
            status, messages = prepared.status[whole], prepared.messages[whole]
            condition = None if conditions is None else conditions[number]
            cells.append(_Cell(own, rows, which, status, messages, _shared_tokens(own), condition))
            start += len(record.responses)
        return cells


def of_zeros(reward: LearnedReward) -> OutputsOf:
    """What the head says when every hidden state is zero: outputs of the right shape, to be counted."""

    @torch.no_grad()
    def outputs_of(batch: Batch, condition: Tensor | None) -> Outputs:
        sequences = [sequence for group in batch.groups for sequence in group]
        place, width = reward.backbone.placement.device, reward.backbone.hidden_size
        states = [torch.zeros(sequence.reads.numel(), width, device=place) for sequence in sequences]
        return reward.model.judge(states, sequences, condition)

    return outputs_of


def _conditions(cells: Sequence[_Cell]) -> Tensor | None:
    """``[sequences, width]``, in order over the cells."""
    found = [cell.condition.expand(len(cell.sequences), -1) for cell in cells if cell.condition is not None]
    return torch.cat(found) if found else None


def picture_key(record: Record) -> Hashable:
    """What the records of one picture, film or sound have in common: the content of the prompt's media; unreadable ones
    by path."""
    media = [part for message in record.prompt for part in message.parts if not isinstance(part, Text)]
    return tuple(_content(medium) for medium in media) or record.id


def _content(medium: Image | Video | Audio) -> Hashable:
    if isinstance(medium, Image) and medium.tensor is not None:
        return id(medium.tensor)
    try:
        return medium.content_hash
    except MediaError:
        return str(medium.path)


def _shared_tokens(sequences: Sequence[TokenSequence]) -> int:
    if not sequences:
        return 0
    lengths = [sequence.ids.numel() for sequence in sequences]
    stacked = torch.stack([sequence.ids[: min(lengths)] for sequence in sequences])
    prefix = int((stacked == stacked[0]).all(0).long().cumprod(0).sum())
    return sum(lengths) - prefix * (len(sequences) - 1)
