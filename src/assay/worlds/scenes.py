"""Scenes: pictures of coloured shapes, digits and words on a grid, about which every statement is true or false.

A scene is sampled, drawn and judged exactly and deterministically, so that captions, questions, counterfactuals and
steps made from it (the other files here) carry labels that are known, not annotated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from assay.media import Image

SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 150, 50),
    "blue": (40, 70, 220),
    "yellow": (235, 205, 20),
    "purple": (140, 40, 170),
    "orange": (245, 130, 20),
}
SIZES: Mapping[str, float] = {"small": 0.30, "large": 0.46}
WORDS = ("CAT", "DOG", "SUN", "MAP", "KEY", "BOX", "CUP", "HAT")
DIGITS = tuple("0123456789")
SIGN = "sign"
GRID = 4
RELATIONS = ("left of", "right of", "above", "below")
INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
BACKGROUNDS: Mapping[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "grey": (205, 205, 205),
    "black": (0, 0, 0),
}

# Glyphs of three columns and five rows: each octal digit is a row.
_GLYPHS = (
    "A25755 B65656 C34443 D65556 E74647 F74644 G34553 H55755 I72227 J11152 K55655 L44447 "
    "M57755 N65555 O25552 P65644 Q25573 R65655 S34216 T72222 U55557 V55522 W55775 X55255 Y55222 Z71247 "
    "075557 126227 271747 371717 455711 574717 674757 771122 875757 975717"
)
_FONT = {glyph[0]: glyph[1:] for glyph in _GLYPHS.split()}


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape, or a sign with ``text``, in one cell of the grid; row 0 is the top, column 0 the left."""

    shape: str
    colour: str
    size: str
    row: int
    col: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Things on a background, in reading order. In a sampled scene no two shapes agree in both shape and colour."""

    things: tuple[Thing, ...]
    background: str = "white"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a record's context holds them."""
        return {"background": self.background, "things": [asdict(thing) for thing in self.things]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Scene:
        return Scene(tuple(Thing(**thing) for thing in values["things"]), values["background"])

    @property
    def shapes(self) -> tuple[Thing, ...]:
        """The things that are no signs."""
        return tuple(thing for thing in self.things if thing.shape != SIGN)

    @property
    def signs(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.shape == SIGN)


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a ``colour`` ``shape``."""

    shape: str
    colour: str


@dataclass(frozen=True, slots=True)
class Relates:
    """The first (shape, colour) is ``relation`` the second: its column (or row) is strictly smaller or larger."""

    first: Exists
    relation: str
    second: Exists


@dataclass(frozen=True, slots=True)
class Counts:
    """There are exactly ``number`` of ``what``: a shape, or a colour (signs are not counted)."""

    what: str
    number: int


@dataclass(frozen=True, slots=True)
class Reads:
    """Some sign reads ``text``."""

    text: str


KINDS = tuple(Exists(shape, colour) for shape in SHAPES for colour in COLOURS)
Fact: TypeAlias = Exists | Relates | Counts | Reads


def sample_scene(
    rng: np.random.Generator,
    count: int | tuple[int, int] = (2, 5),
    signs: Sequence[str] = (),
    background: str = "white",
) -> Scene:
    """A random scene: ``count`` shapes (or a range, both ends included) and one sign for each of ``signs``.

    Raises:
        ValueError: more things than the grid has cells.
    """
    low, high = (count, count) if isinstance(count, int) else count
    return placed(rng, some_kinds(rng, int(rng.integers(low, high + 1))), signs, background)


def some_kinds(rng: np.random.Generator, count: int, among: Sequence[Exists] = KINDS) -> list[Exists]:
    """``count`` different kinds of shape, drawn from ``among``."""
    return [among[i] for i in rng.permutation(len(among))[:count].tolist()]


def placed(
    rng: np.random.Generator, kinds: Sequence[Exists], signs: Sequence[str] = (), background: str = "white"
) -> Scene:
    """Shapes of the given kinds and signs of the given texts, in random cells, sizes and sign colours.

    Raises:
        ValueError: more things than the grid has cells.
    """
    total = len(kinds) + len(signs)
    if total > GRID * GRID:
        raise ValueError(f"{len(kinds)} shapes and {len(signs)} signs do not fit on {GRID} x {GRID} cells")
    cells = rng.permutation(GRID * GRID)[:total].tolist()
    sizes, colours = list(SIZES), list(COLOURS)
    drawn = zip(kinds, rng.integers(0, 2, len(kinds)).tolist(), cells, strict=False)
    things = [Thing(kind.shape, kind.colour, sizes[size], cell // GRID, cell % GRID) for kind, size, cell in drawn]
    ink = zip(signs, rng.integers(0, len(colours), len(signs)).tolist(), cells[len(kinds) :], strict=True)
    things += [Thing(SIGN, colours[colour], "large", cell // GRID, cell % GRID, text) for text, colour, cell in ink]
    return Scene(_in_reading_order(things), background)


def named(thing: Thing) -> Exists:
    """What a thing is called: its shape and colour."""
    return Exists(thing.shape, thing.colour)


def count_of(scene: Scene, what: str) -> int:
    """How many shapes are of the shape or colour ``what``."""
    return sum(what in (thing.shape, thing.colour) for thing in scene.shapes)


def holds(scene: Scene, fact: Fact) -> bool:
    """Whether a statement is true of the scene. One about a thing that is not there is false."""
    if isinstance(fact, Exists):
        return any(named(thing) == fact for thing in scene.shapes)
    if isinstance(fact, Counts):
        return count_of(scene, fact.what) == fact.number
    if isinstance(fact, Reads):
        return any(thing.text == fact.text for thing in scene.signs)
    first = [thing for thing in scene.shapes if named(thing) == fact.first]
    second = [thing for thing in scene.shapes if named(thing) == fact.second]
    return any(fact.relation in relations(a, b) for a in first for b in second)


def relations(first: Thing, second: Thing) -> tuple[str, ...]:
    """The relations that hold from ``first`` to ``second``."""
    across = () if first.col == second.col else (("left of",) if first.col < second.col else ("right of",))
    down = () if first.row == second.row else (("above",) if first.row < second.row else ("below",))
    return across + down


def facts(scene: Scene) -> tuple[Fact, ...]:
    """Every true statement, in a fixed order: what exists, relations (both ways), counts above zero, texts."""
    shapes = scene.shapes
    found: list[Fact] = [named(thing) for thing in shapes]
    found += [
        Relates(named(a), relation, named(b))
        for a in shapes
        for b in shapes
        if a is not b
        for relation in relations(a, b)
    ]
    counted = Counter(name for thing in shapes for name in (thing.shape, thing.colour))
    found += [Counts(what, number) for what, number in sorted(counted.items())]
    return tuple(dict.fromkeys([*found, *(Reads(thing.text) for thing in scene.signs)]))


def replaced(scene: Scene, old: Thing, new: Thing | None) -> Scene:
    """The scene with one thing exchanged, or, with None, taken away."""
    kept = [thing for thing in scene.things if thing is not old]
    return replace(scene, things=_in_reading_order(kept if new is None else [*kept, new]))


def free_cells(scene: Scene) -> list[tuple[int, int]]:
    """The (row, column) of every empty cell."""
    taken = {(thing.row, thing.col) for thing in scene.things}
    return [(row, col) for row in range(GRID) for col in range(GRID) if (row, col) not in taken]


def render(scene: Scene, cell: int = 12) -> npt.NDArray[np.uint8]:
    """The scene drawn: uint8 ``[4 cell, 4 cell, 3]``, with smooth edges."""
    canvas = np.empty((GRID * cell, GRID * cell, 3), dtype=np.float32)
    canvas[:] = BACKGROUNDS[scene.background]
    for thing in scene.things:
        mask = _sign(thing.text, cell) if thing.shape == SIGN else _mask(thing.shape, thing.size, cell)
        place = canvas[thing.row * cell : (thing.row + 1) * cell, thing.col * cell : (thing.col + 1) * cell]
        place += mask * (np.asarray(COLOURS[thing.colour], dtype=np.float32) - place)
    return np.rint(canvas).astype(np.uint8)


def picture(scene: Scene, cell: int = 12) -> Image:
    """The scene as an `Image` (PNG bytes)."""
    return Image.from_array(render(scene, cell))


@lru_cache(maxsize=256)
def _mask(shape: str, size: str, cell: int) -> npt.NDArray[np.float32]:
    """Coverage 0..1 ``[cell, cell, 1]`` from the signed distance to the shape's edge, in pixels."""
    place = np.arange(cell) + 0.5 - cell / 2
    x, y = place[None, :], place[:, None]
    r = SIZES[size] * cell
    distance = {
        "circle": np.hypot(x, y) - r,
        "square": np.maximum(abs(x), abs(y)) - 0.85 * r,
        "triangle": np.maximum(0.894 * abs(x) - 0.447 * (y + r), y - 0.9 * r),
        "cross": np.minimum(np.maximum(abs(x) - r, abs(y) - 0.32 * r), np.maximum(abs(x) - 0.32 * r, abs(y) - r)),
        "ring": abs(np.hypot(x, y) - 0.74 * r) - 0.26 * r,
    }[shape]
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)[..., None]


@lru_cache(maxsize=256)
def _sign(text: str, cell: int) -> npt.NDArray[np.float32]:
    """Coverage ``[cell, cell, 1]`` of up to three characters, as large as the cell allows."""
    rows = np.zeros((5, 4 * len(text) - 1), dtype=np.float32)
    for i, character in enumerate(text):
        for row, bits in enumerate(_FONT[character]):
            rows[row, 4 * i : 4 * i + 3] = [int(bits) >> bit & 1 for bit in (2, 1, 0)]
    scale = min(cell // rows.shape[1], cell // rows.shape[0])
    if scale < 1:
        raise ValueError(f"{text!r} needs cells of at least {rows.shape[1]} pixels, not {cell}")
    drawn = rows.repeat(scale, axis=0).repeat(scale, axis=1)
    mask = np.zeros((cell, cell, 1), dtype=np.float32)
    top, left = (cell - drawn.shape[0]) // 2, (cell - drawn.shape[1]) // 2
    mask[top : top + drawn.shape[0], left : left + drawn.shape[1], 0] = drawn
    return mask


def _in_reading_order(things: Sequence[Thing]) -> tuple[Thing, ...]:
    return tuple(sorted(things, key=lambda thing: (thing.row, thing.col)))
