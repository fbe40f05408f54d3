"""Which characters each token stands for, and so which tokens are a response's and where its steps end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from assay.models.places import Piece, Places
from assay.models.reading import Marked


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters ``starts[t]`` to ``stops[t]`` of token t in the whole text, both ``[tokens]`` int64.

    A token that stands for no character (an added BOS or EOS) has ``starts == stops``, at the end of what is before it.
    """

    starts: Tensor
    stops: Tensor

    @staticmethod
    def of(offsets: Sequence[Sequence[tuple[int, int]]], lengths: Sequence[int]) -> Characters:
        """From the offsets of the tokens of each segment, and the lengths of the segments' texts."""
        rows: list[tuple[int, int]] = []
        before = reached = 0
        for tokens, length in zip(offsets, lengths, strict=True):
            for start, stop in tokens:
                if stop > start:
                    reached = max(reached, before + stop)
                    rows.append((before + start, before + stop))
                else:
                    rows.append((reached, reached))
            before += length
        table = torch.tensor(rows, dtype=torch.long).reshape(-1, 2)
        return Characters(table[:, 0], table[:, 1])

    @property
    def real(self) -> Tensor:
        """``[tokens]`` bool: stands for a character."""
        return self.stops > self.starts

    def token_of(self, character: int) -> int:
        """The last token that stands for this character, or, where none does (dropped white space), for one before it.

        The last: a character of several bytes may be several tokens, and only with the last of them is it there.
        """
        held = (self.real & (self.starts <= character)).nonzero()
        return int(held[-1]) if held.numel() else 0


def marked(characters: Characters, places: Places) -> Marked:
    """Token positions of a response that stands at ``places`` of the whole text."""
    prompt = _prompt(characters, places.prompt)
    mask = torch.zeros(characters.starts.numel(), dtype=torch.bool)
    for piece in places.pieces:
        mask |= (characters.starts < piece.stop) & (characters.stops > piece.start)
    steps = [characters.token_of(end - 1) if end > places.prompt else prompt for end in places.steps]
    return Marked(
        length=mask.numel(),
        prompt=prompt,
        response=(mask & characters.real).nonzero().flatten(),
        steps=torch.tensor(steps, dtype=torch.long),
    )


def _prompt(characters: Characters, end: int) -> int:
    before = (characters.real & (characters.stops <= end)).nonzero()
    if before.numel():
        return int(before[-1])
    first = characters.real.nonzero()
    return max(int(first[0]) - 1, 0) if first.numel() else 0


def response_ends(characters: Characters, places: Places, positions: Tensor) -> Tensor:
    """The character of the response's own text at which the tokens at ``positions`` end, 0 before all of it."""
    ends: list[int] = []
    for stop in characters.stops[positions].tolist():
        piece = max((piece for piece in places.pieces if piece.start < stop), key=_start, default=None)
        ends.append(0 if piece is None else piece.at + min(stop, piece.stop) - piece.start)
    return torch.tensor(ends, dtype=torch.long)


def _start(piece: Piece) -> int:
    return piece.start
