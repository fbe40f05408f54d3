"""Going on from what was said: a language model with its output layer as a generator of responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.media import MediaError, Text
from assay.models.asking import Cost
from assay.models.base import Continuation
from assay.models.control import TemplateError
from assay.models.drawing import Draw, seed_of
from assay.models.families import family_of
from assay.models.frames import unrolled, unrolled_response
from assay.models.hf import Backbone, load_backbone, load_module, located
from assay.models.layout import TOKEN_BUDGET
from assay.models.pictures import Picture
from assay.models.prepare import media_status
from assay.models.session import MOST, Prefixes, Session
from assay.models.templates import Candidate, Segment, UnsupportedMediaError, pictures_of
from assay.records import Message, Record, Response
from assay.records.record import StepEnd
from assay.records.steps import Split, begun, cut_at, gone_on
from assay.scores import Status

_AT_ONCE = 64
_NOTHING = Response((Message("assistant", (Text(""),)),))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What was said so far as a model is given it: ``ids`` ``[length]``, what stands for media, the ids that end it."""

    said: Response
    ids: Tensor
    media: Mapping[str, Tensor]
    stops: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record cannot be gone on with."""

    status: Status
    message: str


@final
@dataclass(frozen=True, slots=True)
class Completion:
    """A response gone on with, the tokens read and written for it, and whether it was ``cut``: it ended neither by
    itself nor by its turn, but at the limit of tokens or where it was told to."""

    response: Response
    read: int
    written: int
    cut: bool


@final
@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model with a language-model head that goes on from a prefix, n times.

    ``temperature`` 0 takes the likeliest token each time; otherwise a token is drawn from
    ``softmax(logits / temperature)`` among the likeliest that hold ``top_p`` of it together. Every completion has its
    own random numbers, from the seed, the prefix and its place: neither batch nor order changes it. It ends at the end
    of sequence, at the token with which the template ends a turn, or after ``max_new_tokens``.

    ``module`` is the whole model, ``backbone`` its part without the output layer, with template and pictures.
    """

    module: nn.Module
    backbone: Backbone
    max_new_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    name: str = "language model"

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"need max_new_tokens of at least 1, temperature of at least 0 and top_p in (0, 1], got "
                f"{self.max_new_tokens}, {self.temperature}, {self.top_p}"
            )

    def generate(self, prefixes: Sequence[Record], n: int, seed: int = 0, /) -> list[list[Response]]:
        """For each prefix ``n`` responses that begin with it: see `assay.models.base.Generator`.

        Raises:
            ValueError: ``n`` is below 1, or a prefix has several responses.
            TemplateError: the template cannot write the prefix.
            MediaError: a picture cannot be read.
        """
        found: list[list[Response]] = []
        for start in range(0, len(prefixes), _AT_ONCE):
            written = [self.prefix(each) for each in prefixes[start : start + _AT_ONCE]]
            found += [[each.response for each in row] for row in self.complete(written, n, seed)]
        return found

    def session(self, tokens: int = MOST) -> Session:
        """This model for the length of one search: prompts and beginnings that its calls have in common are computed
        once, at most ``tokens`` of them kept. The logits are the same within 1e-5 (float32). Prefixes with media, and
        models that see, are computed as ever."""
        return Session(self, tokens)

    def generate_steps(
        self,
        prefixes: Sequence[Record],
        n: int,
        seed: int = 0,
        /,
        *,
        split: Split | None = None,
        step: int = 0,
        kept: Prefixes | None = None,
    ) -> list[list[Continuation]]:
        """Continuations up to the end of a step: see `assay.models.base.StepGenerator`. One that the template cannot
        write, whose media cannot be read, or that is too long says so. ``kept`` is a session's own.

        Raises:
            ValueError: ``n`` is below 1, or a prefix has several responses.
        """
        found: list[list[Continuation]] = []
        over = None if split is None else partial(_goes_beyond, split, step)
        for start in range(0, len(prefixes), _AT_ONCE):
            cells = [self.begun(each) for each in prefixes[start : start + _AT_ONCE]]
            good = [each for each in cells if isinstance(each, Prefix)]
            made = iter(self.complete(good, n, seed, over=over, kept=kept))
            found += [
                [_continuation(each, split, step) for each in next(made)]
                if isinstance(cell, Prefix)
                else [Continuation(None, status=cell.status, message=cell.message)] * n
                for cell in cells
            ]
        return found

    def begun(self, record: Record, /) -> Prefix | Refusal:
        """As `prefix`, or why there is none: media, template, length.

        Raises:
            ValueError: the record has several responses.
        """
        try:
            prefix = self.prefix(record)
        except (MediaError, OSError) as error:
            return Refusal(media_status(error), str(error))
        except UnsupportedMediaError as error:
            return Refusal(Status.UNSUPPORTED_MODALITY, str(error))
        except TemplateError as error:
            return Refusal(Status.INVALID, str(error))
        tokens, limit = prefix.ids.numel(), self.backbone.max_length
        if tokens + self.max_new_tokens > limit:
            wanted = f"{tokens} tokens and {self.max_new_tokens} to write"
            return Refusal(Status.TOO_LONG, f"{wanted}, but the model takes {limit}: shorten the prompt")
        return prefix

    def prefix(self, record: Record, /) -> Prefix:
        """The record's prompt and what its response says so far, as the model is given it. Raises as `generate`."""
        said = begun(record)
        ids, media = self._inputs(record, said)
        return Prefix(said, ids, media, tuple(self._stops(record)))

    @torch.no_grad()
    def complete(
        self,
        prefixes: Sequence[Prefix],
        n: int,
        seed: int = 0,
        /,
        *,
        token_budget: int = TOKEN_BUDGET,
        processors: Sequence[Callable[[Tensor, Tensor], Tensor]] = (),
        over: Callable[[Response], bool] | None = None,
        kept: Prefixes | None = None,
    ) -> list[list[Completion]]:
        """``n`` completions of each prefix. Prefixes without media go together, left-padded, up to ``token_budget``
        tokens, written ones included; one that is longer still goes alone.

        ``processors`` change the logits before a token is drawn, as logits processors of transformers do; they may keep
        a state, so they are those of one prefix. A completion ends early, and is cut, once ``over`` says so of it.
        With ``kept`` a prefix is read once for all its completions, and what was read before not again.

        Raises:
            ValueError: ``n`` is below 1, or there are processors and several prefixes.
        """
        if n < 1:
            raise ValueError(f"need at least 1 completion, got {n}")
        if processors and len(prefixes) > 1:
            raise ValueError(f"processors are of one prefix, not of {len(prefixes)}: complete each by itself")
        found: dict[int, list[Completion]] = {}
        training = self.module.training
        self.module.eval()
        try:
            for chosen in self._together(prefixes, n, token_budget):
                made = self._completed([prefixes[place] for place in chosen], n, seed, processors, over, kept)
                found |= dict(zip(chosen, made, strict=True))
        finally:
            self.module.train(training)
        return [found[place] for place in range(len(prefixes))]

    def _together(self, prefixes: Sequence[Prefix], n: int, token_budget: int) -> list[list[int]]:
        """Places of the prefixes of each forward: alike in length, the same ids that end an answer."""
        calls: list[list[int]] = []
        kinds: dict[tuple[int, ...], list[int]] = {}
        for place, prefix in enumerate(prefixes):
            if prefix.media:
                calls.append([place])
            else:
                kinds.setdefault(prefix.stops, []).append(place)
        for places in kinds.values():
            held: list[int] = []
            for place in sorted(places, key=lambda place: prefixes[place].ids.numel()):
                tokens = n * (len(held) + 1) * (prefixes[place].ids.numel() + self.max_new_tokens)
                if held and tokens > token_budget:
                    calls.append(held)
                    held = []
                held.append(place)
            calls.append(held)
        return calls

    def _completed(
        self,
        prefixes: Sequence[Prefix],
        n: int,
        seed: int,
        processors: Sequence[Callable[[Tensor, Tensor], Tensor]],
        over: Callable[[Response], bool] | None,
        kept: Prefixes | None,
    ) -> list[list[Completion]]:
        width = max(prefix.ids.numel() for prefix in prefixes)
        ids = torch.full((len(prefixes), width), self._padding)
        for row, prefix in zip(ids, prefixes, strict=True):
            row[width - prefix.ids.numel() :] = prefix.ids
        lengths = torch.tensor([[prefix.ids.numel()] for prefix in prefixes])
        seeds = [seed_of(seed, prefix.ids, copy) for prefix in prefixes for copy in range(n)]
        rows = [prefix for prefix in prefixes for _ in range(n)]
        watch = _Watch(self, rows, width, over) if over is not None else None
        plain = kept is not None and len(prefixes) == 1 and self.backbone.pictures is None and not prefixes[0].media
        before = kept.before(prefixes[0].ids, n) if kept is not None and plain else None
        made = cast("Any", self.module).generate(
            input_ids=ids.to(self._device),
            attention_mask=(torch.arange(width) >= width - lengths).long().to(self._device),
            **prefixes[0].media,
            **({} if before is None else {"past_key_values": before}),
            do_sample=True,
            top_k=0,
            num_return_sequences=n,
            max_new_tokens=self.max_new_tokens,
            logits_processor=[*processors, Draw(seeds, self.temperature, self.top_p)],
            stopping_criteria=[] if watch is None else [watch],
            eos_token_id=list(prefixes[0].stops),
            pad_token_id=self._padding,
        )
        ended = {} if watch is None else watch.ended
        found = [
            self._completion(prefix, new[: ended.get(row)])
            for row, (prefix, new) in enumerate(zip(rows, made.cpu()[:, width:], strict=True))
        ]
        return [found[start : start + n] for start in range(0, len(found), n)]

    def _completion(self, prefix: Prefix, new: Tensor) -> Completion:
        ends = torch.isin(new, torch.tensor(prefix.stops)).nonzero()
        written = int(ends[0]) + 1 if ends.numel() else new.numel()
        response = self.response(prefix, new[:written])
        return Completion(response, prefix.ids.numel(), written, cut=not ends.numel())

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def _padding(self) -> int:
        tokenizer = self.backbone.tokenizer
        return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)

    def _written(
        self, prefix: Record, said: Response, steps: tuple[StepEnd, ...]
    ) -> tuple[tuple[Segment, ...], tuple[Picture, ...]]:
        pictures = self.backbone.pictures
        prompt, answered = prefix.prompt, replace(said, step_ends=steps)
        if pictures is not None and pictures.frames is not None:
            prompt, answered = unrolled(prompt, pictures.frames), unrolled_response(answered, pictures.frames)
        found = pictures_of((*prompt, *answered.messages))
        shown = pictures.all(found) if pictures is not None else ()
        candidate = Candidate(prompt, answered.messages, shown, answered.step_ends)
        return self.backbone.template.write(candidate), shown

    def _inputs(self, prefix: Record, said: Response) -> tuple[Tensor, dict[str, Any]]:
        """The ids ``[length]`` up to where the response's text ends, and what stands for the pictures."""
        last = said.messages[-1]
        final = last.parts[-1]
        end = StepEnd(len(said.messages) - 1, len(last.parts) - 1, len(final.text) if isinstance(final, Text) else None)
        segments, shown = self._written(prefix, said, (end,))
        kept: list[Segment] = []
        for segment in segments:
            if segment.places is None:
                kept.append(segment)
                continue
            cut = max(segment.places.steps[0], segment.places.prompt)
            marks = tuple([mark for mark in segment.marks if mark < cut])
            kept.append(replace(segment, text=segment.text[:cut], marks=marks, places=None))
            break
        else:
            raise TemplateError("the template does not say where the response stands: it cannot be gone on from")
        keys = [picture.pixels.key for picture in shown]
        (sequence,) = self.backbone.tokenise([tuple(kept)], [tuple(keys)])
        ids = sequence.ids
        if any(segment.adds for segment in kept) and int(ids[-1]) == self.backbone.tokenizer.eos_token_id:
            ids = ids[:-1]
        types = {} if sequence.types is None else {self._types_name: sequence.types[None, : ids.numel()]}
        nested = self.backbone.layout is not None and self.backbone.layout.nested
        media = _joined([picture.pixels.inputs for picture in shown], axis=1 if nested else 0) | types
        return ids, {name: tensor.to(self._device) for name, tensor in media.items()}

    @property
    def _types_name(self) -> str:
        return str(family_of(self.backbone.module).types_name)

    def _stops(self, prefix: Record) -> list[int]:
        """The end of sequence, and the special token that the template writes right behind a response."""
        tokenizer = self.backbone.tokenizer
        segments, _ = self._written(prefix, Response(_NOTHING.messages), ())
        places = segments[-1].places
        assert places is not None
        behind = segments[-1].text[places.prompt :]
        special = {str(token.content): int(index) for index, token in tokenizer.added_tokens_decoder.items()}
        found = [index for token, index in special.items() if token and behind.startswith(token)]
        ends = [int(tokenizer.eos_token_id)] if tokenizer.eos_token_id is not None else []
        return sorted({*ends, *found})

    def response(self, prefix: Prefix, new: Tensor, /) -> Response:
        """What was said with the tokens ``new`` ``[written]`` behind it, decoded where they stand."""
        ids = prefix.ids
        before, whole, alone = (self.text(tokens) for tokens in (ids, torch.cat([ids, new]), new))
        return gone_on(prefix.said, whole[len(before) :] if whole.startswith(before) else alone)

    def text(self, tokens: Tensor, /) -> str:
        """Tokens decoded, special ones left out."""
        decode = self.backbone.tokenizer.decode
        return str(decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Watch:
    """Ends a row once ``over`` says so of its response: ``ended[row]`` tokens were written then.

    The tokens decoded by themselves are asked first, so that the prompt is not decoded again for every token.
    """

    def __init__(
        self, model: LanguageModel, rows: Sequence[Prefix], width: int, over: Callable[[Response], bool]
    ) -> None:
        self.model = model
        self.rows = rows
        self.width = width
        self.over = over
        self.ended: dict[int, int] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor, **options: Any) -> Tensor:
        del scores, options
        written = input_ids.shape[1] - self.width
        for row, new in enumerate(input_ids[:, self.width :].cpu()):
            if row not in self.ended and self._is_over(self.rows[row], new):
                self.ended[row] = written
        return torch.tensor([row in self.ended for row in range(len(self.rows))], device=input_ids.device)

    def _is_over(self, prefix: Prefix, new: Tensor) -> bool:
        text = self.model.text(new)
        unfinished = text.endswith("\N{REPLACEMENT CHARACTER}")  # a character whose bytes have not all come
        return not unfinished and self.over(gone_on(prefix.said, text)) and self.over(self.model.response(prefix, new))


def _goes_beyond(split: Split, step: int, response: Response) -> bool:
    """Whether a further step has begun behind step ``step``."""
    return len(split(response)) > step + 1


def _continuation(made: Completion, split: Split | None, step: int) -> Continuation:
    cost = Cost(read=made.read, written=made.written, calls=1)
    if split is None:
        return Continuation(made.response, cost=cost)
    return Continuation(*cut_at(made.response, split, step), cost=cost)


def _joined(inputs: Sequence[Mapping[str, Tensor]], axis: int) -> dict[str, Tensor]:
    """What the processor gave for each picture alone, as that of a dialogue of all of them."""
    names = inputs[0].keys() if inputs else ()
    return {name: torch.cat([each[name] for each in inputs], axis) for name in names}


def load_generator(
    path_or_id: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    attention: str = "sdpa",
    **options: Any,
) -> LanguageModel:
    """A language model with its output layer from a local directory or a hub id; ``options`` as of `LanguageModel`.

    Text models load as ``AutoModelForCausalLM``, picture models as ``AutoModelForImageTextToText``.

    Raises:
        CheckpointError, FileNotFoundError: as `assay.models.hf.load_backbone`.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    base = load_backbone(path_or_id, device=device, dtype=dtype, attention=attention)
    kind = AutoModelForCausalLM if base.pictures is None else AutoModelForImageTextToText
    module = load_module(located(path_or_id), base.placement, attention=attention, kind=kind)
    return generator_from(module, base, **{"name": str(path_or_id), **options})


def generator_from(module: nn.Module, backbone: Backbone, **options: Any) -> LanguageModel:
    """A generator around a model in memory: its weights, with the template and the pictures of ``backbone``.

    Raises:
        ValueError: the model has no output layer.
    """
    whole = cast("Any", module)
    if not callable(getattr(whole, "generate", None)) or whole.get_output_embeddings() is None:
        raise ValueError(f"{type(module).__name__} has no output layer: give a causal or image-text-to-text model")
    return LanguageModel(module, backbone.with_module(whole.base_model), **options)
