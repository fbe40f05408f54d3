"""Columns to records and scores to judgements: how a framework of prompts and completions asks a reward."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast, final

from assay.media import Audio, Image, MediaError, Part, Text, Video
from assay.records import Message, Record, Response
from assay.records.attachments import KINDS, Kind, of_pixels
from assay.records.chat import kind_of_part
from assay.records.placeholders import MediaQueue, turns_of, untagged, with_leading
from assay.records.problems import BadRowError
from assay.records.record import messages_of
from assay.rewards.base import Reward, score, spec_of
from assay.scores import Scores, Status

_OF_MEDIA = frozenset({"bad_media", "remote_media", "media_count"})


@final
@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reward said of one completion, in the terms of a trainer: more is better.

    ``value`` is None exactly where ``status`` is not ``OK``, and negated where the reward calls lower better.
    ``attributes`` and ``steps`` are as the reward gave them (a cell of its own abstention is NaN).
    """

    value: float | None
    status: Status = Status.OK
    message: str = ""
    attributes: Mapping[str, float] = field(default_factory=dict[str, float])
    steps: tuple[float, ...] = ()
    critique: str | None = None


def judge(
    reward: Reward,
    prompts: Sequence[Any],
    completions: Sequence[Any],
    *,
    images: Sequence[Any] | None = None,
    videos: Sequence[Any] | None = None,
    audios: Sequence[Any] | None = None,
    context: Mapping[str, Sequence[Any]] | None = None,
    tags: bool = False,
    root: str | Path = "",
) -> list[Judgement]:
    """One judgement a completion, in order; a row that cannot be read is one with its status, never an exception.

    A prompt or completion is a string, a message or list of messages (OpenAI-style dictionaries, or `Message`), a
    medium, or a list of strings and media. A cell of ``images``, ``videos`` or ``audios`` is None, one medium or a list
    of them: they fill the placeholders of the messages in order, or, where there are none, lead the prompt. Media that
    stand in a prompt's messages already are read there, and the column of their kind is left alone. Relative paths
    start at ``root``.

    With ``tags`` the texts' ``<image>``, ``<video>`` and ``<audio>`` are placeholders too: in a prompt where the row
    has media of the kind or the reward reads them, in a completion (which a policy wrote) as long as media are left.
    Any other tag is text.

    ``context`` are further columns; the reward sees those that its spec needs. Neighbouring rows of equal prompt and
    context are one record, so that a reward that compares responses sees the generations of a prompt together.

    Raises:
        ValueError: columns of different lengths.
        ContractError: the reward broke the contract.
    """
    media: dict[Kind, Sequence[Any] | None] = {"image": images, "video": videos, "audio": audios}
    spec = spec_of(reward)
    needed = {name: column for name, column in (context or {}).items() if name in spec.needs}
    _check_lengths(len(prompts), {"completions": completions, **media, **needed})
    read = _Reader(spec.modalities if tags else None, Path(root))
    rows = [
        read.row(
            prompts[place],
            completions[place],
            {kind: _listed(kind, column[place]) for kind, column in media.items() if column is not None},
            {name: column[place] for name, column in needed.items()},
        )
        for place in range(len(prompts))
    ]
    given = [row if isinstance(row, Judgement) else Judgement(None, Status.INVALID) for row in rows]
    groups = _grouped([(place, row) for place, row in enumerate(rows) if not isinstance(row, Judgement)])
    if groups:
        judged = judgements(score(reward, [_record(group) for group in groups]), spec.better == "lower")
        for (place, _), judgement in zip([row for group in groups for row in group], judged, strict=True):
            given[place] = judgement
    return given


async def judge_async(
    reward: Reward, prompts: Sequence[Any], completions: Sequence[Any], **given: Any
) -> list[Judgement]:
    """`judge` in a thread of its own, so that an event loop goes on meanwhile."""
    return await asyncio.to_thread(judge, reward, prompts, completions, **given)


def judgements(scores: Scores, negated: bool = False) -> list[Judgement]:
    """The rows of scores, one a response; ``negated`` for a reward that calls lower better."""
    sign = -1.0 if negated else 1.0
    values: list[float] = scores.values.detach().tolist()
    attributes: dict[str, list[float]] = {name: c.detach().tolist() for name, c in scores.attributes.items()}
    steps = scores.steps
    return [
        Judgement(
            None if math.isnan(value) else sign * value,
            scores.status[row],
            scores.messages[row],
            {name: column[row] for name, column in attributes.items()},
            () if steps is None else tuple(cast("list[float]", steps[row].detach().tolist())),
            None if scores.critiques is None else scores.critiques[row],
        )
        for row, value in enumerate(values)
    ]


_Row: TypeAlias = tuple[tuple[Message, ...], Response, Mapping[str, Any]]


@final
@dataclass
class _Reader:
    """Reads rows. The prompt before is kept, as generations repeat it: its media are encoded once.

    ``tags`` are the kinds of media that a tag in a prompt always stands for; None where tags are text.
    """

    tags: Collection[str] | None
    root: Path
    last: tuple[tuple[Any, Mapping[Kind, Sequence[Any]]], tuple[Message, ...]] | None = None

    def row(
        self, prompt: Any, completion: Any, media: Mapping[Kind, Sequence[Any]], context: Mapping[str, Any]
    ) -> _Row | Judgement:
        """The prompt, the response and the context of a row; why it cannot be read, where it cannot."""
        try:
            asked, queue = self._prompt(prompt, media)
            answered = _turns(completion, "assistant", self.root, queue, None if self.tags is None else ())
            queue.finish()
        except MediaError as error:
            return Judgement(None, Status.UNREADABLE_MEDIA, str(error))
        except BadRowError as error:
            return Judgement(None, Status.UNREADABLE_MEDIA if error.code in _OF_MEDIA else Status.INVALID, str(error))
        except (TypeError, KeyError, AttributeError) as error:
            cause = f"no prompt and completion that can be read ({type(error).__name__}: {error})"
            return Judgement(None, Status.INVALID, f"{cause}; give strings or lists of messages")
        return asked, Response(answered), context

    def _prompt(self, prompt: Any, media: Mapping[Kind, Sequence[Any]]) -> tuple[tuple[Message, ...], MediaQueue]:
        """The messages of a prompt, and the media that are left to the completion."""
        if self.last is not None and _equal(self.last[0], (prompt, media)):
            return self.last[1], MediaQueue({}, self.root)
        given: dict[Kind, Sequence[Any]] = {k: [] if _holds(prompt, k) else values for k, values in media.items()}
        queue = MediaQueue(given, self.root)
        asked = _turns(prompt, "user", self.root, queue, self.tags)
        for kind in KINDS:
            asked = with_leading(asked, queue, kind)
        if queue.empty:
            self.last = ((prompt, media), asked)
        return asked, queue


def _turns(value: Any, role: str, root: Path, queue: MediaQueue, tags: Collection[str] | None) -> tuple[Message, ...]:
    if isinstance(value, Response):
        return value.messages
    if isinstance(value, Message | Text | Image | Video | Audio):
        return messages_of(value, role)
    value = _unboxed(value)
    items = cast("list[Any]", list(value)) if isinstance(value, list | tuple) else []
    if items and not any(isinstance(item, Mapping) for item in items):
        return messages_of(items, role)
    turns = turns_of(dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value, role, root, queue)
    if tags is None:
        return turns
    meant = frozenset(kind for kind in KINDS if kind in tags or queue.holds(kind))
    return tuple([replace(turn, parts=_untagged(turn.parts, queue, meant)) for turn in turns]) if meant else turns


def _untagged(parts: Sequence[Part], queue: MediaQueue, meant: Collection[str]) -> tuple[Part, ...]:
    """The parts with media for tags of the kinds ``meant``; a tag of another kind is text."""

    def take(kind: Kind) -> Part:
        return queue.take(kind) if kind in meant else Text(f"<{kind}>")

    return tuple(
        [p for part in parts for p in (_joined(untagged(part.text, take)) if isinstance(part, Text) else (part,))]
    )


def _joined(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts of one text, with texts side by side made one again."""
    found: list[Part] = []
    for part in parts:
        if found and isinstance(part, Text) and isinstance(last := found[-1], Text):
            found[-1] = Text(last.text + part.text)
        else:
            found.append(part)
    return found


def _listed(kind: Kind, cell: Any) -> Sequence[Any]:
    """The media of a cell. A list in a column of videos is a list of videos, which may be lists of frames; an array is
    one medium, or with one more axis several."""
    if cell is None:
        return ()
    cell = _unboxed(cell)
    if isinstance(cell, list | tuple):
        items = cast("Sequence[Any]", cell)
        return [items] if kind == "video" and bool(items) and _is_frame(items[0]) else items
    if of_pixels(cell) and cell.ndim == (5 if kind == "video" else 4):
        return list(cell)
    return [cell]


def _unboxed(value: Any) -> Any:
    """An array of objects, which is what pandas makes of a list, as a list."""
    return value.tolist() if str(getattr(value, "dtype", "")) == "object" else value


def _is_frame(value: Any) -> bool:
    return callable(getattr(value, "save", None)) or (of_pixels(value) and value.ndim == 3)


def _holds(prompt: Any, kind: Kind) -> bool:
    """Whether a medium of the kind, not only a placeholder for one, stands in a prompt's messages."""
    for message in _each(prompt):
        content: Any = cast("Mapping[str, Any]", message).get("content") if isinstance(message, Mapping) else message
        parts = content.parts if isinstance(content, Message) else _each(content)
        if any(kind_of_part(part) == kind for part in parts):
            return True
    return False


def _each(value: Any) -> Sequence[Any]:
    items = _unboxed(value)
    return cast("Sequence[Any]", items) if isinstance(items, list | tuple) else [items]


def holds_media(prompt: Any) -> bool:
    """Whether media stand in a prompt's messages."""
    return any(_holds(prompt, kind) for kind in KINDS)


def _check_lengths(rows: int, columns: Mapping[str, Sequence[Any] | None]) -> None:
    wrong = {name: len(column) for name, column in columns.items() if column is not None and len(column) != rows}
    if wrong:
        raise ValueError(f"{rows} prompts, but {wrong}: every column has one cell a row")


def _record(group: Sequence[tuple[int, _Row]]) -> Record:
    place, (prompt, _, context) = group[0]
    return Record(f"row-{place}", prompt, tuple(row[1] for _, row in group), context=context)


def _grouped(rows: Sequence[tuple[int, _Row]]) -> list[list[tuple[int, _Row]]]:
    """Rows side by side that share prompt and context, together."""
    groups: list[list[tuple[int, _Row]]] = []
    for place, row in rows:
        last = groups[-1][-1] if groups else None
        if last is not None and last[0] == place - 1 and _same(last[1], row):
            groups[-1].append((place, row))
        else:
            groups.append([(place, row)])
    return groups


def _same(first: _Row, second: _Row) -> bool:
    return _equal((first[0], first[2]), (second[0], second[2]))


def _equal(first: tuple[Any, Any], second: tuple[Any, Any]) -> bool:
    try:
        return bool(first == second)
    except (ValueError, TypeError, RuntimeError):  # arrays and tensors do not compare to one truth
        return False
