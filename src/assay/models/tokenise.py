"""Written segments to token ids: each tokenised whole, with control tokens that stand in messages kept as text."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast, final

import torch

from assay.models.base import TokenSequence
from assay.models.characters import Characters, marked, response_ends
from assay.models.control import TemplateError, any_of, control_ids
from assay.models.pictures import PictureLayout
from assay.models.places import Places
from assay.models.reading import Reader
from assay.models.templates import Segment


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of one segment; ``offsets`` are their characters in its text, where they were asked for."""

    ids: list[int]
    offsets: list[tuple[int, int]] | None = None


@final
class Tokeniser:
    """Turns written segments into token sequences, whole; control tokens marked as text stay text."""

    def __init__(self, tokenizer: Any, layout: PictureLayout | None) -> None:
        self.tokenizer = tokenizer
        self.layout = layout
        self._control = control_ids(tokenizer, layout)
        self._control_ids = frozenset(self._control.values())
        self._literal = any_of(self._control)
        self._as_text: dict[str, _Tokens] = {}

    def __call__(
        self,
        written: Sequence[tuple[Segment, ...]],
        keys: Sequence[tuple[str, ...]],
        reader: Reader | None = None,
    ) -> list[TokenSequence]:
        """One sequence a candidate; ``keys`` are its pictures' keys in order.

        Without ``reader`` the last token is read; with one, segments say where the response stands.

        Raises:
            TemplateError: a control token stands in a message, or steps or tokens are to be read, and this tokenizer
                cannot say where tokens begin; a template does not say where the response stands.
        """
        flat = [segment for segments in written for segment in segments]
        tokens = iter(self._tokens(flat, placed=reader is not None))
        return [
            self._sequence(segments, [next(tokens) for _ in segments], images, reader)
            for segments, images in zip(written, keys, strict=True)
        ]

    def _tokens(self, segments: Sequence[Segment], *, placed: bool) -> list[_Tokens]:
        found: list[_Tokens] = [_Tokens([]) for _ in segments]
        for adds in (False, True):
            for forged in (False, True):
                rows = [i for i, s in enumerate(segments) if s.adds is adds and bool(s.marks) is forged]
                if not rows:
                    continue
                if (forged or placed) and not self.tokenizer.is_fast:
                    raise TemplateError(
                        _slow("a message holds a control token" if forged else "steps or tokens are read")
                    )
                made = (self._exact if placed else self.tokenizer)(
                    [segments[i].text for i in rows],
                    add_special_tokens=adds,
                    return_attention_mask=False,
                    return_token_type_ids=False,
                    return_offsets_mapping=forged or placed,
                    verbose=False,
                )
                for place, row in enumerate(rows):
                    ids = cast("list[int]", made["input_ids"][place])
                    offsets = cast("list[tuple[int, int]]", made["offset_mapping"][place]) if forged or placed else None
                    tokens = _Tokens(ids, offsets)
                    found[row] = self._without_forged(segments[row], tokens) if forged else tokens
        return found

    @cached_property
    def _exact(self) -> Any:
        """The tokenizer with offsets that cover white space too: byte-level ones may leave it out of every token."""
        after: Any = self.tokenizer.backend_tokenizer.post_processor
        state = b"" if after is None else bytes(after.__getstate__())
        if b'"trim_offsets":true' not in state:
            return self.tokenizer
        exact, changed = copy.deepcopy(self.tokenizer), cast("Any", copy.deepcopy(after))
        changed.__setstate__(state.replace(b'"trim_offsets":true', b'"trim_offsets":false'))
        exact.backend_tokenizer.post_processor = changed
        return exact

    def _without_forged(self, segment: Segment, tokens: _Tokens) -> _Tokens:
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for token, (start, end) in zip(tokens.ids, tokens.offsets or [], strict=True):
            forged = [mark for mark in segment.marks if start <= mark < end] if token in self._control_ids else []
            literal = self._literal.match(segment.text, forged[0]) if forged else None
            text = self._text_ids(literal[0]) if literal else _Tokens([token], [(start, end)])
            ids += text.ids
            shift = literal.start() if literal else 0
            offsets += [(first + shift, last + shift) for first, last in text.offsets or []]
        return _Tokens(ids, offsets)

    def _text_ids(self, literal: str) -> _Tokens:
        if literal not in self._as_text:
            self._as_text[literal] = self._split(literal)
        return self._as_text[literal]

    def _split(self, literal: str) -> _Tokens:
        halves = [(literal,), *((literal[:cut], literal[cut:]) for cut in range(1, len(literal)))]
        for pieces in halves:
            ids: list[int] = []
            offsets: list[tuple[int, int]] = []
            before = 0
            for piece in pieces:
                made = self._plain(piece)
                ids += made["input_ids"]
                offsets += [(first + before, last + before) for first, last in made["offset_mapping"]]
                before += len(piece)
            if ids and not self._control_ids.intersection(ids):
                return _Tokens(ids, offsets)
        raise TemplateError(f"{literal!r} stands in a message, and this tokenizer cannot write it as text")

    def _plain(self, text: str) -> Any:
        return self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
        )

    def _sequence(
        self, segments: Sequence[Segment], made: list[_Tokens], images: tuple[str, ...], reader: Reader | None
    ) -> TokenSequence:
        bos = self.tokenizer.bos_token_id
        if bos is not None and made[0].ids[:2] == [bos, bos]:
            made[0] = _Tokens(made[0].ids[1:], None if made[0].offsets is None else made[0].offsets[1:])
        parts = [tokens.ids for tokens in made]
        ids = torch.tensor([token for part in parts for token in part], dtype=torch.long)
        if not ids.numel():
            raise TemplateError("the dialogue has no tokens at all")
        kinds = [segment.kind for segment in segments]
        types = self.layout.types(ids) if self.layout else None
        if None not in kinds:
            typed = [torch.full((len(part),), kind or 0) for kind, part in zip(kinds, parts, strict=True)]
            types = torch.cat(typed)
        plain = TokenSequence(ids, torch.tensor([ids.numel() - 1]), types, images)
        return plain if reader is None else _read(plain, segments, [tokens.offsets or [] for tokens in made], reader)


def _read(
    plain: TokenSequence, segments: Sequence[Segment], offsets: Sequence[list[tuple[int, int]]], reader: Reader
) -> TokenSequence:
    held = [number for number, segment in enumerate(segments) if segment.places is not None]
    if not held:
        raise TemplateError(
            "the template does not say where the response stands: it must fill Segment.places when Candidate.steps is "
            "given, or read the last token"
        )
    lengths = [len(segment.text) for segment in segments]
    places = cast("Places", segments[held[0]].places).behind(sum(lengths[: held[0]]))
    characters = Characters.of(offsets, lengths)
    positions = reader.positions(marked(characters, places))
    return replace(plain, reads=positions, prompt=reader.prompt, ends=response_ends(characters, places, positions))


def _slow(why: str) -> str:
    return (
        f"{why}, and this tokenizer is a slow one, which cannot say where tokens begin: load its fast form "
        "(AutoTokenizer.from_pretrained(..., use_fast=True); a tokenizer.json beside the weights)"
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """sha256 of a tokenizer's vocabulary, added tokens and BOS, EOS and UNK; padding plays no part in a score."""
    added = cast("Mapping[int, Any]", tokenizer.added_tokens_decoder)
    described = {
        "vocabulary": sorted(cast("Mapping[str, int]", tokenizer.get_vocab()).items()),
        "added": sorted((int(index), str(token.content), bool(token.special)) for index, token in added.items()),
        "special": [str(tokenizer.bos_token), str(tokenizer.eos_token), str(tokenizer.unk_token)],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()
