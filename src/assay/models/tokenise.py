"""Written segments to token ids: each tokenised whole, with control tokens that stand in messages kept as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast, final

import torch

from assay.models.base import TokenSequence
from assay.models.control import TemplateError, any_of, control_ids
from assay.models.pictures import PictureLayout
from assay.models.templates import Segment


@final
class Tokeniser:
    """Turns written segments into token sequences, whole; control tokens marked as text stay text."""

    def __init__(self, tokenizer: Any, layout: PictureLayout | None) -> None:
        self.tokenizer = tokenizer
        self.layout = layout
        self._control = control_ids(tokenizer, layout)
        self._control_ids = frozenset(self._control.values())
        self._literal = any_of(self._control)
        self._as_text: dict[str, list[int]] = {}

    def __call__(self, written: Sequence[tuple[Segment, ...]], keys: Sequence[tuple[str, ...]]) -> list[TokenSequence]:
        """One sequence a candidate; ``keys`` are its pictures' keys in order.

        Raises:
            TemplateError: a control token stands in a message, and this tokenizer cannot say where tokens begin.
        """
        flat = [segment for segments in written for segment in segments]
        ids = iter(self._ids(flat))
        return [
            self._sequence(segments, [next(ids) for _ in segments], images)
            for segments, images in zip(written, keys, strict=True)
        ]

    def _ids(self, segments: Sequence[Segment]) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in segments]
        for adds in (False, True):
            for marked in (False, True):
                rows = [i for i, s in enumerate(segments) if s.adds is adds and bool(s.marks) is marked]
                if not rows:
                    continue
                if marked and not self.tokenizer.is_fast:
                    raise TemplateError("a message holds a control token, and this tokenizer cannot keep it as text")
                made = self.tokenizer(
                    [segments[i].text for i in rows],
                    add_special_tokens=adds,
                    return_attention_mask=False,
                    return_token_type_ids=False,
                    return_offsets_mapping=marked,
                    verbose=False,
                )
                for place, row in enumerate(rows):
                    ids = cast("list[int]", made["input_ids"][place])
                    offsets = cast("list[tuple[int, int]]", made["offset_mapping"][place]) if marked else []
                    found[row] = self._without_forged(segments[row], ids, offsets) if marked else ids
        return found

    def _without_forged(self, segment: Segment, ids: list[int], offsets: list[tuple[int, int]]) -> list[int]:
        made: list[int] = []
        for token, (start, end) in zip(ids, offsets, strict=True):
            forged = [mark for mark in segment.marks if start <= mark < end] if token in self._control_ids else []
            literal = self._literal.match(segment.text, forged[0]) if forged else None
            made += self._text_ids(literal[0]) if literal else [token]
        return made

    def _text_ids(self, literal: str) -> list[int]:
        if literal not in self._as_text:
            self._as_text[literal] = self._split(literal)
        return self._as_text[literal]

    def _split(self, literal: str) -> list[int]:
        halves = [(literal,), *((literal[:cut], literal[cut:]) for cut in range(1, len(literal)))]
        for pieces in halves:
            ids = [i for p in pieces for i in self._plain_ids(p)]
            if ids and not self._control_ids.intersection(ids):
                return ids
        raise TemplateError(f"{literal!r} stands in a message, and this tokenizer cannot write it as text")

    def _plain_ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _sequence(self, segments: Sequence[Segment], parts: list[list[int]], images: tuple[str, ...]) -> TokenSequence:
        bos = self.tokenizer.bos_token_id
        if bos is not None and parts[0][:2] == [bos, bos]:
            parts[0] = parts[0][1:]
        ids = torch.tensor([token for part in parts for token in part], dtype=torch.long)
        if not ids.numel():
            raise TemplateError("the dialogue has no tokens at all")
        kinds = [segment.kind for segment in segments]
        types = self.layout.types(ids) if self.layout else None
        if None not in kinds:
            typed = [torch.full((len(part),), kind or 0) for kind, part in zip(kinds, parts, strict=True)]
            types = torch.cat(typed)
        return TokenSequence(ids, torch.tensor([ids.numel() - 1]), types, images)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """sha256 of a tokenizer's vocabulary, added tokens and BOS, EOS and UNK; padding plays no part in a score."""
    added = cast("Mapping[int, Any]", tokenizer.added_tokens_decoder)
    described = {
        "vocabulary": sorted(cast("Mapping[str, int]", tokenizer.get_vocab()).items()),
        "added": sorted((int(index), str(token.content), bool(token.special)) for index, token in added.items()),
        "special": [str(tokenizer.bos_token), str(tokenizer.eos_token), str(tokenizer.unk_token)],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()
