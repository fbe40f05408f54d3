"""Reward programs: rewards written as code, by a person or a model, and run where the kernel confines them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

import torch

from assay.media import Audio, Image, MediaError, Text, Video
from assay.media.source import read_source
from assay.records import Message, Record, Response
from assay.rewards.base import scores_of
from assay.rewards.sandbox import Limits, Lost, Sandbox, Unavailable
from assay.rewards.sandbox.runs import Answer, numbers, read
from assay.scores import Scores, Status
from assay.spec import Spec

__all__ = ["Limits", "Program", "as_bytes", "as_path", "program"]

Medium: TypeAlias = Image | Video | Audio
_LARGEST = torch.finfo(torch.float32).max
_LONGEST_SOURCE = 2**18


def as_bytes(medium: Medium) -> bytes:
    """The encoded bytes of a medium.

    Raises:
        MediaError: the file cannot be read, or the medium has no encoded form.
    """
    if isinstance(medium, Image):
        return medium.read()
    if medium.path is None and medium.data is None:
        raise MediaError("not_encoded", type(medium).__name__, "it is made of frames; give the file or its bytes")
    return read_source(medium.path, medium.data, medium.limits)


def as_path(medium: Medium) -> str:
    """The path of a medium as text; the file stays out of reach unless ``readable`` names it.

    Raises:
        MediaError: it has none.
    """
    if medium.path is None:
        raise MediaError("missing_file", type(medium).__name__, "it is not in a file; let the program have as_bytes")
    return str(medium.path.absolute())


@final
@dataclass(frozen=True)
class Program:
    """A reward program as a value; made by `program`."""

    source: str
    name: str
    needs: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    media: Callable[[Medium], bytes | str] | None = None
    limits: Limits = field(default_factory=Limits)
    readable: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def spec(self) -> Spec:
        """What it declares; a program is held to its range."""
        kinds = ("text",) if self.media is None else ("text", "image", "video", "audio")
        return Spec(
            modalities=frozenset(kinds),
            low=self.low,
            high=self.high,
            needs=self.needs,
            better=self.better,
            unit="score",
        )

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """Score every response, each in a process of its own; none of them can touch another's score."""
        with Sandbox(self.limits, readable=self.readable, imports=self.imports) as sandbox:
            answers = [self._answer(sandbox, record, each) for record in records for each in record.responses]
        attributes = {
            name: torch.tensor([answer.values.get(name, math.nan) for answer in answers]) for name in self.attributes
        }
        return scores_of(
            records,
            torch.tensor([answer.values.get("value", math.nan) for answer in answers]),
            [answer.status for answer in answers],
            [answer.message for answer in answers],
            attributes=attributes,
        )

    def _answer(self, sandbox: Sandbox, record: Record, response: Response) -> Answer:
        missing = [column for column in self.needs if record.context.get(column) is None]
        if missing:
            return Answer({}, Status.MISSING_CONTEXT, f"record {record.id} has no column {missing[0]!r}")
        inputs: list[bytes] = []
        try:
            view = _view(record, response, self.needs, self.media, inputs)
        except MediaError as error:
            return Answer({}, Status.UNREADABLE_MEDIA, str(error))
        except (TypeError, ValueError, RecursionError) as error:
            return Answer({}, Status.INVALID, f"a column of record {record.id} has no form in JSON: {error}")
        job = {"job": "call", "source": self.source, "function": self.name, "view": view}
        try:
            outcome = sandbox.run(job, inputs)
        except Unavailable as error:
            return Answer({}, Status.UNAVAILABLE, str(error))
        except Lost as error:
            return Answer({}, Status.FAILED, f"the sandbox ended during the run: {error}")
        return self._held(read(outcome, self.limits, numbers))

    def _held(self, answer: Answer) -> Answer:
        """The answer, if it is what the program declares."""
        if answer.status is not Status.OK:
            return answer
        if "value" not in answer.values:
            return Answer({}, Status.INVALID, "the answer has no 'value'")
        if unknown := sorted(answer.values.keys() - {"value", *self.attributes}):
            return Answer({}, Status.INVALID, f"{unknown[0]!r} is not declared: program(..., attributes=[...])")
        value = answer.values["value"]
        if not abs(value) <= _LARGEST:
            return Answer({}, Status.NON_FINITE, f"the program returned {value}")
        if not (-math.inf if self.low is None else self.low) <= value <= (math.inf if self.high is None else self.high):
            return Answer(
                {}, Status.INVALID, f"the program returned {value:g}, out of its range {self.low}..{self.high}"
            )
        cells = {name: cell if abs(cell) <= _LARGEST else math.nan for name, cell in answer.values.items()}
        return Answer(cells)

    def save(self, directory: str | Path) -> Path:
        """Write the source and what is declared, limits too; the directory appears whole or not at all. The paths in
        ``readable`` and ``imports`` are not a program's own to name: they are counted, and lent anew by who loads it.

        Raises:
            FileExistsError: the directory exists and is no saved program.
            ValueError: ``media`` is neither `as_bytes` nor `as_path`.
        """
        from assay.rewards.program_files import save

        return save(self, directory)

    @staticmethod
    def load(
        directory: str | Path, *, readable: Sequence[str | Path] = (), imports: Sequence[str | Path] = ()
    ) -> Program:
        """A saved program; its source runs in the sandbox alone, when it scores.

        Raises:
            CheckpointError: the directory is damaged, source or declaration are not those that were saved, or another
                number of paths is lent than it had.
        """
        from assay.rewards.program_files import load

        return load(directory, readable=readable, imports=imports)

    def __repr__(self) -> str:
        lines = len(self.source.splitlines())
        return f"program({self.name!r}, {lines} {'line' if lines == 1 else 'lines'})"


def program(
    source: str,
    name: str = "reward",
    *,
    needs: Sequence[str] = (),
    attributes: Sequence[str] = (),
    media: Callable[[Medium], bytes | str] | None = None,
    limits: Limits | None = None,
    readable: Sequence[str | Path] = (),
    imports: Sequence[str | Path] = (),
    low: float | None = None,
    high: float | None = None,
    better: Literal["higher", "lower"] = "higher",
) -> Program:
    """A reward from Python source that defines ``name(view)``, called for one response at a time in the sandbox.

    ``view`` is a dict: ``prompt`` and ``response`` (text), ``turns`` (pairs of role and text: the prompt's, then the
    response's), ``context`` (the columns in ``needs``) and ``media``: a list of dicts with ``kind``, ``of`` (prompt or
    response) and, where ``media`` is `as_bytes` or `as_path`, ``content``. It returns a number, or a dict with
    ``value`` and the numbers named in ``attributes``.

    Each response has a process of its own that begins in the same state (hash seed and random seed 0), so a score
    depends on nothing that came before. A row whose program raises or crashes is ``FAILED`` with the traceback,
    ``TIMEOUT``, ``OUT_OF_MEMORY``, ``INVALID`` (no number, too long an answer, or out of ``low``..``high``) or
    ``NON_FINITE``; the other rows do not notice. Where the kernel cannot confine it every row is ``UNAVAILABLE`` and
    nothing is run (`assay.rewards.sandbox.report` says what is enforced).

    Raises:
        ValueError: the source is too long, ``name`` or an attribute is no name, or an attribute is called ``value``.
    """
    if len(source) > _LONGEST_SOURCE:
        raise ValueError(f"a program has at most {_LONGEST_SOURCE} characters, this one has {len(source)}")
    if wrong := [each for each in (name, *attributes) if not each.isidentifier() or each == "value"]:
        raise ValueError(f"{wrong[0]!r} cannot name a program or an attribute")
    return Program(
        source,
        name,
        tuple(needs),
        tuple(attributes),
        media,
        limits or Limits(),
        tuple(map(str, readable)),
        tuple(map(str, imports)),
        low,
        high,
        better,
    )


def _view(
    record: Record,
    response: Response,
    needs: Sequence[str],
    media: Callable[[Medium], bytes | str] | None,
    inputs: list[bytes],
) -> Mapping[str, Any]:
    """What the program sees of a response; bytes go beside it, in ``inputs``."""
    told: dict[str, Any] = {
        "prompt": "\n".join(message.text for message in record.prompt),
        "response": response.text,
        "turns": [[message.role, message.text] for message in (*record.prompt, *response.messages)],
        "context": {column: record.context[column] for column in needs},
    }
    json.dumps(told, allow_nan=True)
    told["media"] = [
        *_media(record.prompt, "prompt", media, inputs),
        *_media(response.messages, "response", media, inputs),
    ]
    return told


def _media(
    messages: Sequence[Message], where: str, media: Callable[[Medium], bytes | str] | None, inputs: list[bytes]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in (part for message in messages for part in message.parts):
        if isinstance(part, Text):
            continue
        entry: dict[str, Any] = {"kind": type(part).__name__.lower(), "of": where}
        if media is not None:
            content = media(part)
            entry["content"] = {"$bytes": len(inputs)} if isinstance(content, bytes) else content
            if isinstance(content, bytes):
                inputs.append(content)
        found.append(entry)
    return found
