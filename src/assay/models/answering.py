"""Asking a language model in this process: its answers in batches, and the odds of labels from shared prompts."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.media import Text
from assay.models.asking import Answer, Cost, Odds, Prompt
from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.generate import Completion, LanguageModel, Prefix
from assay.models.layout import TOKEN_BUDGET, common_prefix
from assay.models.prepare import Prepared
from assay.models.reading import every_response_token
from assay.records import Message, Record, Response
from assay.scores import Status

_READS = 256
_WORTH = 0.9


@final
@dataclass(frozen=True, eq=False)
class LocalModel:
    """A language model in this process as an `Answerer` and a `LabelReader`.

    Answers are sampled as ``model`` says (its temperature, nucleus and limit of tokens). The odds of labels are those
    of the model itself, whatever its temperature:

        log p(label | prompt) = Σ_t log softmax(logits_t)[label_t]

    over the label's tokens as they are tokenised behind the prompt, without the end of the turn. All labels of a prompt
    are branches of one row, computed up to the last token that predicts one: labels of a single token cost one forward
    of the prompt. Prompts that begin alike (both orders of a pair, criteria of one rubric) are branches of one row too.

    ``token_budget`` bounds the tokens of one forward.
    """

    model: LanguageModel
    token_budget: int = TOKEN_BUDGET

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def answer(self, prompts: Sequence[Prompt], n: int = 1, seed: int = 0, /) -> list[list[Answer]]:
        """``n`` answers to each prompt. A prompt that cannot be read or is too long says so in all of them.

        Raises:
            ValueError: ``n`` is below 1.
        """
        cells = [self._prefix(number, prompt) for number, prompt in enumerate(prompts)]
        good = [cell for cell in cells if isinstance(cell, Prefix)]
        made = iter(self.model.complete(good, n, seed, token_budget=self.token_budget))
        return [[_answer(each) for each in next(made)] if isinstance(cell, Prefix) else [cell] * n for cell in cells]

    def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
        """The log-probability of each label to follow each prompt.

        Raises:
            ValueError: no label, an empty one, or the same one twice.
        """
        check_labels(labels)
        said = tuple([Response((Message("assistant", (Text(label),)),)) for label in labels])
        records = [Record(str(number), prompt, said) for number, prompt in enumerate(prompts)]
        prepared = self.model.backbone.prepare(records, read=every_response_token)
        asked = _asked(prepared, len(prompts), len(labels))
        with _evaluating(self.model.module), torch.no_grad():
            found = self._read(
                prepared, {number: each for number, each in enumerate(asked) if isinstance(each, _Asked)}
            )
        return [found[number] if isinstance(each, _Asked) else each for number, each in enumerate(asked)]

    def _prefix(self, number: int, prompt: Prompt) -> Prefix | Answer:
        found = self.model.begun(Record(str(number), prompt, ()))
        return found if isinstance(found, Prefix) else Answer(status=found.status, message=found.message)

    def _read(self, prepared: Prepared, asked: dict[int, _Asked]) -> dict[int, Odds]:
        groups = self._groups(prepared, asked)
        batch = Batch(
            [[each for number in group.members for each in asked[number].sequences] for group in groups],
            prepared.batch.pixels,
        )
        states = iter(self.model.backbone.encode(batch, token_budget=self.token_budget))
        found: dict[int, Odds] = {}
        for group in groups:
            for place, number in enumerate(group.members):
                own = asked[number]
                values = self._logprobs([next(states) for _ in own.sequences], own)
                cost = Cost(read=own.tokens, cached=group.common if place else 0, calls=1)
                found[number] = _odds(values, cost)
        return found

    def _groups(self, prepared: Prepared, asked: dict[int, _Asked]) -> list[_Group]:
        """Prompts that begin alike, together where that leaves fewer tokens to compute."""
        family, pixels = family_of(self.model.module), prepared.batch.pixels
        groups: list[_Group] = []
        for number in sorted(asked, key=lambda number: asked[number].order):
            own = asked[number].sequences
            alone = _Group((number,), own, common_prefix(family, own, pixels))
            if groups:
                held = groups[-1]
                common = min(held.common, alone.common, common_prefix(family, [held.sequences[0], own[0]], pixels))
                joined = _Group((*held.members, number), (*held.sequences, *own), common)
                if joined.tokens < _WORTH * (held.tokens + alone.tokens):
                    groups[-1] = joined
                    continue
            groups.append(alone)
        return groups

    def _logprobs(self, states: Sequence[Tensor], asked: _Asked) -> list[float]:
        head: Any = self.model.module
        read = torch.cat(list(states))
        values = [
            logits(head, part).float().log_softmax(-1)[torch.arange(part.shape[0])[:, None].to(part.device), columns]
            for part, columns in _parts(read, asked.wanted.to(read.device))
        ]
        table = torch.cat(values).double().cpu()
        return [float(table[rows, column].sum()) for column, rows in enumerate(asked.rows)]


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Prompts by number whose sequences have ``common`` leading tokens."""

    members: tuple[int, ...]
    sequences: tuple[TokenSequence, ...]
    common: int

    @property
    def tokens(self) -> int:
        """Tokens to compute when the common ones are computed once."""
        return self.common + sum(sequence.ids.numel() - self.common for sequence in self.sequences)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What is computed for one prompt: ``sequences``, none the beginning of another, up to where a label's last token
    is predicted.

    ``rows[label]`` are the rows of the concatenated reads that predict a label, and ``wanted`` ``[reads, labels]`` the
    token of each label there (0 where the row is not the label's).
    """

    sequences: tuple[TokenSequence, ...]
    rows: tuple[list[int], ...]
    wanted: Tensor

    @property
    def tokens(self) -> int:
        """Tokens of the prompt with the longest label."""
        return max(sequence.ids.numel() for sequence in self.sequences)

    @property
    def order(self) -> tuple[tuple[str, ...], list[int]]:
        """Prompts that begin alike stand next to each other in this order."""
        return self.sequences[0].images, cast("list[int]", self.sequences[0].ids.tolist())


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that cannot be told apart.

    Raises:
        ValueError: none, an empty one, or the same one twice.
    """
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        raise ValueError(f"need different labels that are not empty, got {list(labels)}")


def logits(model: Any, states: Tensor) -> Tensor:
    """Next-token logits ``[reads, vocabulary]`` of last hidden states, scaled and capped as the class does."""
    found = model.get_output_embeddings()(states)
    config = model.config.get_text_config()
    found = found * float(getattr(config, "logit_scale", None) or 1.0)
    found = found / float(getattr(config, "logits_scaling", None) or 1.0)
    cap = float(getattr(config, "final_logit_softcapping", None) or 0.0)
    return cap * torch.tanh(found / cap) if cap else found


def _asked(prepared: Prepared, prompts: int, labels: int) -> list[_Asked | Odds]:
    sequences = dict(zip(prepared.rows, (each for group in prepared.batch.groups for each in group), strict=True))
    found: list[_Asked | Odds] = []
    for number in range(prompts):
        rows = range(number * labels, (number + 1) * labels)
        failed = next((row for row in rows if prepared.status[row] is not Status.OK), None)
        if failed is None:
            found.append(_branches([sequences[row] for row in rows]))
        else:
            nothing = (math.nan,) * labels
            found.append(Odds(nothing, prepared.status[failed], prepared.messages[failed]))
    return found


def _branches(labelled: Sequence[TokenSequence]) -> _Asked:
    kept: list[tuple[TokenSequence, set[int]]] = []
    held: dict[int, int] = {}
    for label in sorted(range(len(labelled)), key=lambda label: -int(labelled[label].reads[-1])):
        sequence = labelled[label]
        end = int(sequence.reads[-1])
        reads = set(cast("list[int]", (sequence.reads - 1).tolist()))
        held[label] = next((i for i, (longer, _) in enumerate(kept) if _begins(longer, sequence, end)), len(kept))
        if held[label] == len(kept):
            types = None if sequence.types is None else sequence.types[:end]
            kept.append((replace(sequence, ids=sequence.ids[:end], types=types, ends=None), set()))
        kept[held[label]][1].update(reads)
    places = [sorted(reads) for _, reads in kept]
    starts = [sum(map(len, places[:number])) for number in range(len(places))]
    wanted = torch.zeros(sum(map(len, places)), len(labelled), dtype=torch.long)
    rows: list[list[int]] = []
    for label, sequence in enumerate(labelled):
        of = held[label]
        predicting = cast("list[int]", (sequence.reads - 1).tolist())
        rows.append([starts[of] + places[of].index(place) for place in predicting])
        wanted[rows[-1], label] = sequence.ids[sequence.reads]
    sequences = [replace(each, reads=torch.tensor(own)) for (each, _), own in zip(kept, places, strict=True)]
    return _Asked(tuple(sequences), tuple(rows), wanted)


def _begins(longer: TokenSequence, sequence: TokenSequence, end: int) -> bool:
    if not torch.equal(longer.ids[:end], sequence.ids[:end]):
        return False
    if longer.types is None or sequence.types is None:
        return longer.types is sequence.types
    return torch.equal(longer.types[:end], sequence.types[:end])


def _parts(read: Tensor, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(read.split(_READS), wanted.split(_READS), strict=True)


def _odds(values: Sequence[float], cost: Cost) -> Odds:
    if all(math.isfinite(value) for value in values):
        return Odds(tuple(values), cost=cost)
    nothing = (math.nan,) * len(values)
    return Odds(nothing, Status.NON_FINITE, f"the model's log-probabilities of the labels are {list(values)}", cost)


def _answer(made: Completion) -> Answer:
    cost = Cost(read=made.read, written=made.written, calls=1)
    if made.response.text:
        return Answer(made.response.text, cut=made.cut, cost=cost)
    return Answer(status=Status.EMPTY, message="the model ended its turn without a word", cut=made.cut, cost=cost)


@contextmanager
def _evaluating(module: nn.Module) -> Generator[None]:
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
