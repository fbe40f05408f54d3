"""A backbone made of encoders of single modalities: one state of a response for each tower that looks at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor, nn

from assay.media import Audio, Image, MediaError, Part, Text, Video
from assay.models.base import Batch, Pixels, TokenSequence
from assay.models.families import base_of
from assay.models.features import FeatureStore, ImageFeatures
from assay.models.layout import TOKEN_BUDGET, Layout
from assay.models.pictures import Pictures
from assay.models.placement import Placement
from assay.models.prepare import OnTooLong, Prepared, abstain, media_status, truncate_prompt
from assay.models.reading import Where, last
from assay.models.tower_kinds import Kind, Over, kind_of, media_layout
from assay.models.tower_parts import (
    Pretrained,
    Tower,
    TowersModule,
    check_tower,
    chunks,
    cut_left,
    ids_of,
    longest_text,
    medium_of,
    of_both,
    of_prompt,
    of_response,
    text_states,
    told,
    width_of,
)
from assay.records import Message, Record, Response
from assay.scores import Status

__all__ = [
    "Pretrained",
    "Tower",
    "Towers",
    "TowersModule",
    "of_both",
    "of_prompt",
    "of_response",
    "towers_from",
]


@final
@dataclass(frozen=True, eq=False)
class Towers:
    """A backbone of single-modality encoders: for each sequence a state ``[towers, hidden]``, one a tower, in order.

    A tower whose medium the response (or prompt) does not hold gives a row of NaN, never of zeros; a response that no
    tower has anything of abstains as ``EMPTY``. Media that no tower looks at are refused (``UNSUPPORTED_MODALITY``);
    texts that none looks at are left out. Every distinct text, picture, frame and sound is encoded once a call, and
    media of frozen models once for good. ``width`` None: all models have one width, and states are theirs (CLIP,
    SigLIP, CLAP: one space of texts and media); else each tower has a linear map to ``width``.

    Make one with `towers_from` or `load_towers`. ``max_length`` bounds each text in tokens, beside its model's own
    limit. ``on_too_long``: `abstain`, or `truncate_prompt`, which cuts the oldest tokens of prompts' texts.
    """

    preprocessors: Mapping[str, Pretrained]
    towers: tuple[Tower, ...]
    module: nn.Module
    placement: Placement
    max_length: int
    width: int | None = None
    source: str = "memory"

    @property
    def inner(self) -> TowersModule:
        """The weights, adapters (peft) looked through."""
        return cast("TowersModule", base_of(self.module))

    @property
    def hidden_size(self) -> int:
        """Width of every state."""
        return self.width if self.width is not None else width_of(self.inner.models[self.towers[0].model])

    @property
    def modalities(self) -> frozenset[str]:
        """What any tower looks at."""
        return frozenset(tower.takes.__name__.lower() for tower in self.towers)

    @property
    def gaps(self) -> bool:
        """A missing modality is a state of NaN."""
        return True

    def describe(self) -> str:
        """One line: the towers, where they run, in which format, and why."""
        looks = ", ".join(f"{tower.name} ({tower.model}, {tower.takes.__name__.lower()})" for tower in self.towers)
        return f"towers {looks} from {self.source}; {self.placement.reason}"

    def prepare(
        self,
        records: Sequence[Record],
        *,
        max_length: int | None = None,
        on_too_long: OnTooLong = abstain,
        read: Where = last,
        prompt: bool = False,
    ) -> Prepared:
        """A sequence for every response that a tower has something of; all towers are read, in order.

        With ``prompt`` the state of the first tower that looks at the prompt comes first.

        Raises:
            ValueError: another reading than `last` (there are no tokens to choose), a length policy not known here, or
                ``prompt`` without such a tower.
        """
        if read is not last:
            raise ValueError(f"towers have one state each, so {getattr(read, '__name__', read)} reads nothing of them")
        if on_too_long not in (abstain, truncate_prompt):
            raise ValueError("towers know the length policies abstain and truncate_prompt")
        asked = [n for n, tower in enumerate(self.towers) if tower.of is of_prompt]
        if prompt and not asked:
            raise ValueError("the head needs the prompt's state, but no tower looks at the prompt")
        reads = torch.tensor([*asked[: int(prompt)], *range(len(self.towers))])
        limit = min(max_length or self.max_length, self.max_length)
        cut = on_too_long is truncate_prompt
        pixels: dict[str, Pixels] = {}
        groups: list[list[TokenSequence]] = []
        rows: list[int] = []
        cells: list[_Cell] = []
        for record in records:
            group: list[TokenSequence] = []
            for response in record.responses:
                cell = self._cell(record, response, limit, cut, pixels)
                if isinstance(cell.made, TokenSequence):
                    group.append(replace(cell.made, reads=reads, prompt=prompt))
                    rows.append(len(cells))
                cells.append(cell)
            if group:
                groups.append(group)
        return Prepared(
            Batch(groups, pixels),
            tuple(rows),
            tuple([cell.status for cell in cells]),
            tuple([cell.message for cell in cells]),
        )

    def pixels(self, messages: Sequence[Message], /) -> dict[str, Pixels]:
        """The media of a dialogue, preprocessed for every model that looks at their kind."""
        found = [self._media(tower, messages) for tower in self.towers if tower.takes is not Text]
        return {each.key: each for media in found for each in media}

    def encode(
        self,
        batch: Batch,
        /,
        *,
        layout: Layout | None = None,
        token_budget: int = TOKEN_BUDGET,
        features: FeatureStore | None = None,
    ) -> list[Tensor]:
        """For each sequence, in order over groups, the states of its towers, NaN where a modality is missing.

        ``layout`` plays no part: there is no prompt to share beyond texts and media that are encoded once.
        """
        sequences = [sequence for group in batch.groups for sequence in group]
        if not sequences:
            return []
        used = {key: batch.pixels[key] for sequence in sequences for key in sequence.images}
        media = self._encoded_media(list(used.values()), FeatureStore(0) if features is None else features)
        texts = self._encoded_texts(sequences, token_budget)
        held = [self._items(sequence) for sequence in sequences]
        columns = [self._column(n, [items[n] for items in held], texts, media) for n in range(len(self.towers))]
        states = torch.stack(columns, 1)
        return [rows[sequence.reads.to(rows.device)] for rows, sequence in zip(states, sequences, strict=True)]

    def fingerprints(self) -> dict[str, str]:
        """What shapes input and arithmetic: the towers, and of each model tokenizer, preprocessing, configuration."""
        from assay.models.tower_files import fingerprints

        return fingerprints(self)

    def with_module(self, module: nn.Module, /) -> Towers:
        """The same towers around another module: one wrapped by peft, or merged again."""
        return replace(self, module=module)

    def write(self, directory: Path, head: nn.Module, /, *, adapter: bool = False) -> dict[str, Any]:
        """Write them into a directory (see `models.tower_files.write`)."""
        from assay.models.tower_files import write

        return write(self, directory, adapter=adapter)

    def kind(self, model: str) -> Kind:
        """The kind of one of the models."""
        return kind_of(self.inner.models[model])

    @cached_property
    def stores(self) -> dict[tuple[str, type[Image | Audio]], Pictures]:
        """What decodes and preprocesses pictures and sounds for each model, once per content."""
        found: dict[tuple[str, type[Image | Audio]], Pictures] = {}
        for tower in self.towers:
            if tower.takes is not Text:
                medium = medium_of(tower)
                own = self.preprocessors[tower.model]
                layout = media_layout(tower.model, self.kind(tower.model), medium)
                found.setdefault((tower.model, medium), Pictures(own.images if medium is Image else own.sounds, layout))
        return found

    def _cell(self, record: Record, response: Response, limit: int, cut: bool, pixels: dict[str, Pixels]) -> _Cell:
        try:
            ids: list[int] = []
            types: list[int] = []
            images: list[str] = []
            truncated = False
            self._refuse_unseen(record, response)
            for number, tower in enumerate(self.towers):
                messages = tower.of(record.prompt, response.messages)
                if tower.takes is Text:
                    own, shorter = self._tokens(tower, told(messages), limit, cut and tower.of is of_prompt)
                    truncated |= shorter
                else:
                    media = self._media(tower, messages)
                    pixels.update({each.key: each for each in media})
                    images += [each.key for each in media]
                    own = [0] * len(media)
                ids += own
                types += [number] * len(own)
        except (MediaError, OSError) as error:
            return _Cell(None, media_status(error), str(error))
        except _RefusedError as error:
            return _Cell(None, error.status, str(error))
        if not ids:
            return _Cell(None, Status.EMPTY, "none of the towers has anything of this response to look at")
        index = torch.arange(len(self.towers))
        made = TokenSequence(torch.tensor(ids), index, torch.tensor(types), tuple(images), truncated)
        return _Cell(made, Status.OK, "the prompt's text was truncated from the left" if truncated else "")

    def _refuse_unseen(self, record: Record, response: Response) -> None:
        for side, asked, answered in (("prompt", record.prompt, ()), ("response", (), response.messages)):
            seen = {
                id(part)
                for tower in self.towers
                for message in tower.of(asked, answered)
                for part in message.parts
                if isinstance(part, tower.takes)
            }
            for part in (part for message in (*asked, *answered) for part in message.parts):
                if not isinstance(part, Text) and id(part) not in seen:
                    kind = type(part).__name__.lower()
                    raise _RefusedError(Status.UNSUPPORTED_MODALITY, f"no tower looks at the {side}'s {kind}")

    def _tokens(self, tower: Tower, text: str, limit: int, cut: bool) -> tuple[list[int], bool]:
        if not text:
            return [], False
        tokenizer = self.preprocessors[tower.model].tokenizer
        limit = min(limit, longest_text(self.inner.models[tower.model], tokenizer))
        ids = ids_of(tokenizer, text)
        if len(ids) <= limit:
            return ids, False
        shorter = cut_left(tokenizer, text, limit) if cut else None
        if shorter is None:
            raise _RefusedError(
                Status.TOO_LONG,
                f"{len(ids)} tokens for tower {tower.name!r}, but {tower.model} takes {limit}: shorten the text, "
                "use another text model, or cut prompts with on_too_long=truncate_prompt",
            )
        return shorter, True

    def _media(self, tower: Tower, messages: Sequence[Message]) -> list[Pixels]:
        parts = [part for message in messages for part in message.parts if isinstance(part, tower.takes)]
        shown: list[Part] = []
        for part in parts:
            shown += tower.frames.pictures(part, told=False) if isinstance(part, Video) else (part,)
        media = [part for part in shown if isinstance(part, Image | Audio)]
        if not media:
            return []
        sense = (tower.model, medium_of(tower))
        number = list(self.stores).index(sense)
        made = self.stores[sense].all(media)
        return [replace(each.pixels, key=f"{number}|{each.pixels.key}") for each in made]

    def _encoded_media(self, pixels: Sequence[Pixels], store: FeatureStore) -> dict[str, Tensor]:
        senses = list(self.stores)
        used = sorted({_sense(each) for each in pixels})
        parts: list[nn.Module] = []
        for number in used:
            model = self.inner.models[senses[number][0]]
            own = [getattr(model, name) for name in self.kind(senses[number][0]).parts if hasattr(model, name)]
            parts += own or [model]

        def run(chunk: Sequence[Pixels]) -> list[ImageFeatures]:
            made: dict[str, ImageFeatures] = {}
            for number in sorted({_sense(each) for each in chunk}):
                name, medium = senses[number]
                read = self.kind(name).image if medium is Image else self.kind(name).sound
                assert read is not None
                held = [each for each in chunk if _sense(each) == number]
                states = read(self.inner.models[name], held)
                made |= {each.key: ImageFeatures(state[None]) for each, state in zip(held, states, strict=True)}
            return [made[each.key] for each in chunk]

        return {key: found.hidden[0] for key, found in store.get(run, parts, pixels).items()}

    def _encoded_texts(self, sequences: Sequence[TokenSequence], token_budget: int) -> dict[_TextKey, Tensor]:
        made: dict[_TextKey, Tensor] = {}
        wanted: dict[tuple[str, Over], set[tuple[int, ...]]] = {}
        for sequence in sequences:
            for tower, (ids, _) in zip(self.towers, self._items(sequence), strict=True):
                if ids:
                    wanted.setdefault((tower.model, tower.over), set()).add(ids)
        for (name, over), texts in wanted.items():
            for chunk in chunks(sorted(texts, key=lambda ids: (len(ids), ids)), token_budget):
                states = text_states(self.inner.models[name], self.preprocessors[name].tokenizer, over, chunk)
                made |= {(name, over, ids): state for ids, state in zip(chunk, states, strict=True)}
        return made

    def _items(self, sequence: TokenSequence) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
        """For each tower the ids of its text and the keys of its media; either is empty."""
        assert sequence.types is not None
        images = iter(sequence.images)
        counts = sequence.types.bincount(minlength=len(self.towers)).tolist()
        found: list[tuple[tuple[int, ...], tuple[str, ...]]] = []
        for tower, own in zip(self.towers, sequence.ids.split(counts), strict=True):
            text = tower.takes is Text
            found.append((tuple(own.tolist()), ()) if text else ((), tuple([next(images) for _ in own])))
        return found

    def _column(
        self,
        number: int,
        items: Sequence[tuple[tuple[int, ...], tuple[str, ...]]],
        texts: Mapping[_TextKey, Tensor],
        media: Mapping[str, Tensor],
    ) -> Tensor:
        """The states ``[sequences, hidden]`` of one tower."""
        tower, inner = self.towers[number], self.inner
        pool = inner.pools[tower.name]
        known: dict[int, Tensor] = {}
        for row, (ids, keys) in enumerate(items):
            if ids:
                known[row] = texts[tower.model, tower.over, ids]
            elif keys:
                known[row] = pool(torch.stack([media[key] for key in keys]))
        weight = next(inner.parameters())
        empty = torch.full((len(items), self.hidden_size), torch.nan, device=weight.device, dtype=weight.dtype)
        if not known:
            return empty
        states = torch.stack(list(known.values()))
        states = inner.maps[tower.name](states.to(weight.dtype)) if self.width is not None else states
        return empty.to(states.dtype).index_put((torch.tensor(list(known), device=weight.device),), states)


_TextKey: TypeAlias = tuple[str, Over, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Cell:
    made: TokenSequence | None
    status: Status
    message: str


class _RefusedError(ValueError):
    """A response that the towers do not take."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def towers_from(
    models: Mapping[str, Pretrained],
    towers: Sequence[Tower],
    *,
    width: int | None = None,
    max_length: int | None = None,
    source: str = "memory",
    where: Placement | None = None,
    seed: int = 0,
) -> Towers:
    """Towers around models in memory. The maps to ``width`` and what is trained in pools start from ``seed``.

    Raises:
        ValueError: a name that is not an identifier or stands twice, a model or a preprocessor that is missing, a model
            that does not read what its tower takes, or widths that differ without ``width``.
        TypeError: a model that is no encoder known here.
    """
    names = [tower.name for tower in towers]
    wrong = [name for name in (*names, *models) if not name.isidentifier()]
    if not towers or wrong or len(set(names)) < len(names):
        raise ValueError(f"towers have different names, and all names are identifiers; got {names} and {list(models)}")
    for tower in towers:
        check_tower(tower, models)
    widths = {tower.model: width_of(models[tower.model].module) for tower in towers}
    if width is None and len(set(widths.values())) > 1:
        raise ValueError(f"the models' states have the widths {widths}: give width=, to which each tower is mapped")
    module = TowersModule({name: each.module for name, each in models.items()}, towers, width, seed)
    weight = next(module.parameters())
    placed = where or Placement(weight.device, weight.dtype, f"{weight.device}, {weight.dtype}: as it was given")
    limits = [
        longest_text(models[tower.model].module, models[tower.model].tokenizer)
        for tower in towers
        if tower.takes is Text
    ]
    return Towers(
        preprocessors=dict(models),
        towers=tuple(towers),
        module=module.to(placed.device, placed.dtype).eval(),
        placement=placed,
        max_length=max_length or max(limits, default=1),
        width=width,
        source=source,
    )


def _sense(pixels: Pixels) -> int:
    """The number of the model and medium that preprocessed pixels are for."""
    return int(pixels.key.partition("|")[0])
