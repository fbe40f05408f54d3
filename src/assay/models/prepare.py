"""Records to token sequences: a row that cannot be written says why, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from assay.media import MediaError
from assay.models.base import Batch, TokenSequence
from assay.models.control import TemplateError
from assay.models.frames import holds_video, unrolled, unrolled_response
from assay.models.pictures import Picture, Pictures
from assay.models.reading import Reader, Where, last
from assay.models.templates import (
    Candidate,
    Segment,
    Template,
    UnsupportedMediaError,
    check_parts,
    pictures_of,
)
from assay.models.tokenise import Tokeniser
from assay.records import Message, Record, Response
from assay.scores import Status


@dataclass(frozen=True, slots=True)
class Overlong:
    """The responses of one record, some longer than the model takes.

    ``prompt`` is the number of tokens that all of them share and that belong to the prompt; ``first`` those at its
    start that must stay (BOS); ``fixed`` ``[prompt]`` bool marks tokens of pictures, which must not be cut.
    """

    sequences: tuple[TokenSequence, ...]
    limit: int
    prompt: int
    first: int
    fixed: Tensor


OnTooLong: TypeAlias = Callable[[Overlong], "Sequence[TokenSequence | None]"]


def abstain(overlong: Overlong) -> list[TokenSequence | None]:
    """Responses that fit are scored, longer ones abstain as ``TOO_LONG``."""
    return [sequence if sequence.ids.numel() <= overlong.limit else None for sequence in overlong.sequences]


def truncate_prompt(overlong: Overlong) -> list[TokenSequence | None]:
    """Cut the oldest tokens of the prompt, equally many for every response of the record; responses stay whole.

    All abstain when the prompt is too short for that, or when a picture or a token that is read would be cut.
    """
    excess = max(sequence.ids.numel() for sequence in overlong.sequences) - overlong.limit
    cut = slice(overlong.first, overlong.first + excess)
    read = torch.cat([sequence.reads for sequence in overlong.sequences])
    if (
        cut.stop > overlong.prompt
        or bool(overlong.fixed[cut].any())
        or bool(((read >= cut.start) & (read < cut.stop)).any())
    ):
        return [None] * len(overlong.sequences)
    return [_without(sequence, cut) for sequence in overlong.sequences]


def _without(sequence: TokenSequence, cut: slice) -> TokenSequence:
    def kept(column: Tensor) -> Tensor:
        return torch.cat([column[: cut.start], column[cut.stop :]])

    types = None if sequence.types is None else kept(sequence.types)
    reads = torch.where(sequence.reads >= cut.stop, sequence.reads - (cut.stop - cut.start), sequence.reads)
    return replace(sequence, ids=kept(sequence.ids), types=types, reads=reads, truncated=True)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a model is given for a batch of records, and what became of each response.

    ``batch`` holds the sequences that can be scored, grouped by record; ``rows`` is the flat response index of each
    of them, in order over the groups. ``status`` and ``messages`` have one cell a response of the records.
    """

    batch: Batch
    rows: tuple[int, ...]
    status: tuple[Status, ...]
    messages: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, without sharing or padding."""
        return sum(sequence.ids.numel() for group in self.batch.groups for sequence in group)


def refused(records: Sequence[Record], status: Status, message: str) -> Prepared:
    """No response of the records can be scored, all for the same reason."""
    count = sum(len(record.responses) for record in records)
    return Prepared(Batch([]), (), (status,) * count, (message,) * count)


@dataclass(frozen=True, slots=True)
class _Failure:
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class _Written:
    segments: tuple[Segment, ...]
    pictures: tuple[Picture, ...]


def prepare(
    records: Sequence[Record],
    *,
    template: Template,
    tokenise: Tokeniser,
    pictures: Pictures | None,
    limit: int,
    on_too_long: OnTooLong = abstain,
    read: Where = last,
    prompt: bool = False,
) -> Prepared:
    """Write, tokenise and measure every response of every record; decode and preprocess each picture once.

    A response is written whole with its prompt, by the template. An empty response is a sequence of its own: the
    prompt, the turn's frame and nothing in it. ``read`` chooses the tokens that a head is given, ``prompt`` puts the
    prompt's last token in front of them; a response of which nothing is read abstains.
    """
    reader = Reader(read, prompt)
    asked = None if reader.reads_last else reader
    responses = [response for record in records for response in record.responses]
    written = [_write(record, each, template, pictures, asked) for record in records for each in record.responses]
    good = [row for row, cell in enumerate(written) if isinstance(cell, _Written)]
    found = _tokens([cell for cell in written if isinstance(cell, _Written)], tokenise, asked)
    made = dict(zip(good, found, strict=True))
    cells: list[TokenSequence | _Failure] = [
        _reading(made[row], responses[row], reader) if isinstance(cell, _Written) else cell
        for row, cell in enumerate(written)
    ]
    first = 0
    for record in records:
        rows = range(first, first + len(record.responses))
        first = rows.stop
        fitted = _fit(record, [cells[row] for row in rows], template, tokenise, pictures, limit, on_too_long)
        for row, cell in zip(rows, fitted, strict=True):
            cells[row] = cell
    return _prepared(records, cells, written)


def _reading(cell: TokenSequence | _Failure, response: Response, reader: Reader) -> TokenSequence | _Failure:
    if isinstance(cell, _Failure) or cell.reads.numel() > int(reader.prompt):
        return cell
    if not response.step_ends and reader.needs_steps:
        remedy = "split it (assay.records.steps.split_steps), or give Response.step_ends"
        return _Failure(
            Status.INVALID, f"no steps are marked in the response, and this reward reads their ends: {remedy}"
        )
    return _Failure(Status.EMPTY, "the response has no text of its own to read")


def _write(
    record: Record, response: Response, template: Template, pictures: Pictures | None, asked: Reader | None
) -> _Written | _Failure:
    try:
        record, response = _unrolled(record, response, pictures)
        found = pictures_of((*record.prompt, *response.messages))
        for message in (*record.prompt, *response.messages):
            check_parts(message, pictures.layout if pictures is not None else None)
        shown = pictures.all(found) if pictures is not None else ()
        steps = None if asked is None else response.step_ends
        return _Written(template.write(Candidate(record.prompt, response.messages, shown, steps)), shown)
    except (MediaError, OSError) as error:
        return _Failure(media_status(error), str(error))
    except UnsupportedMediaError as error:
        return _Failure(Status.UNSUPPORTED_MODALITY, str(error))
    except TemplateError as error:
        return _Failure(Status.INVALID, str(error))


def media_status(error: MediaError | OSError) -> Status:
    """What a medium that cannot be used makes of its response: ``TOO_LONG`` for a sound longer than a model hears."""
    code = error.code if isinstance(error, MediaError) else ""
    return Status.TOO_LONG if code == "too_long_sound" else Status.UNREADABLE_MEDIA


def _unrolled(record: Record, response: Response, pictures: Pictures | None) -> tuple[Record, Response]:
    """The same with videos written as their frames, where there are any and the backbone is shown frames."""
    if pictures is None or pictures.frames is None:
        return record, response
    if holds_video(record.prompt):
        record = replace(record, prompt=unrolled(record.prompt, pictures.frames))
    if holds_video(response.messages):
        response = unrolled_response(response, pictures.frames)
    return record, response


def _tokens(written: Sequence[_Written], tokenise: Tokeniser, asked: Reader | None) -> list[TokenSequence | _Failure]:
    keys = [tuple(picture.pixels.key for picture in cell.pictures) for cell in written]
    try:
        return list(tokenise([cell.segments for cell in written], keys, asked))
    except TemplateError as error:
        if len(written) == 1:
            return [_Failure(Status.INVALID, str(error))]
        return [token for cell in written for token in _tokens([cell], tokenise, asked)]


def _fit(
    record: Record,
    cells: list[TokenSequence | _Failure],
    template: Template,
    tokenise: Tokeniser,
    pictures: Pictures | None,
    limit: int,
    on_too_long: OnTooLong,
) -> list[TokenSequence | _Failure]:
    sequences = [cell for cell in cells if isinstance(cell, TokenSequence)]
    if all(sequence.ids.numel() <= limit for sequence in sequences):
        return cells
    bare = replace(record, responses=(Response((Message("assistant", ()),)),))
    empty = _write(bare, bare.responses[0], template, pictures, None)
    start = _tokens([empty], tokenise, None)[0] if isinstance(empty, _Written) else empty
    prefix = _shared([*sequences, *([start] if isinstance(start, TokenSequence) else [])])
    head = sequences[0].ids[:prefix]
    bos = tokenise.tokenizer.bos_token_id
    layout = tokenise.layout
    overlong = Overlong(
        sequences=tuple(sequences),
        limit=limit,
        prompt=prefix if isinstance(start, TokenSequence) else 0,
        first=int(bos is not None and prefix > 0 and int(head[0]) == bos),
        fixed=_picture_tokens(head, tokenise) if layout else torch.zeros(prefix, dtype=torch.bool),
    )
    kept = iter(on_too_long(overlong))
    return [_kept(cell, next(kept), limit) if isinstance(cell, TokenSequence) else cell for cell in cells]


def _kept(cell: TokenSequence, fitted: TokenSequence | None, limit: int) -> TokenSequence | _Failure:
    if fitted is not None:
        return fitted
    message = (
        f"{cell.ids.numel()} tokens, but the limit is {limit}: raise max_length where the model allows it, "
        "or choose on_too_long=truncate_prompt"
    )
    return _Failure(Status.TOO_LONG, message)


def _picture_tokens(ids: Tensor, tokenise: Tokeniser) -> Tensor:
    assert tokenise.layout is not None
    frame = [tokenise.layout.token_id, tokenise.tokenizer.convert_tokens_to_ids(tokenise.layout.placeholder)]
    return torch.isin(ids, torch.tensor(frame))


def _shared(sequences: Sequence[TokenSequence]) -> int:
    shortest = min(sequence.ids.numel() for sequence in sequences)
    stacked = torch.stack([sequence.ids[:shortest] for sequence in sequences])
    return int((stacked == stacked[0]).all(0).long().cumprod(0).sum())


def _prepared(
    records: Sequence[Record], cells: Sequence[TokenSequence | _Failure], written: Sequence[_Written | _Failure]
) -> Prepared:
    groups: list[list[TokenSequence]] = []
    rows: list[int] = []
    row = 0
    for record in records:
        group: list[TokenSequence] = []
        for _ in record.responses:
            cell = cells[row]
            if isinstance(cell, TokenSequence):
                group.append(cell)
                rows.append(row)
            row += 1
        if group:
            groups.append(group)
    shown: dict[str, Any] = {
        picture.pixels.key: picture.pixels
        for row in rows
        if isinstance(cell := written[row], _Written)
        for picture in cell.pictures
    }
    return Prepared(
        batch=Batch(groups, shown),
        rows=tuple(rows),
        status=tuple(cell.status if isinstance(cell, _Failure) else Status.OK for cell in cells),
        messages=tuple(_message(cell) for cell in cells),
    )


def _message(cell: TokenSequence | _Failure) -> str:
    if isinstance(cell, _Failure):
        return cell.message
    return "the prompt was truncated from the left to fit the model" if cell.truncated else ""
