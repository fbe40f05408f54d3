"""Step labels from a tree of solutions: rollouts go where the search still learns something."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from assay.curation.step_labels import IsRight, Label, derived_seed, name_of
from assay.models.base import Generator
from assay.records import Record, Response, StepLabels
from assay.records.record import StepEnd
from assay.records.steps import Split, lines, step_texts, up_to_step


@dataclass(frozen=True, slots=True)
class Visits:
    """What a selection sees of a node: its value 0..1, its visits, and those of the node before it."""

    value: float
    visits: int
    before: int


Select: TypeAlias = Callable[[Visits], float]
"""How much a node is worth exploring; the highest is taken, the first of equals."""


def uct(node: Visits, *, explore: float = 1.4) -> float:
    """``value + c sqrt(ln N_before / N)`` (Kocsis and Szepesvari, 2006)."""
    return node.value + explore * math.sqrt(math.log(max(node.before, 1)) / max(node.visits, 1))


def puct(node: Visits, *, explore: float = 0.125, alpha: float = 0.5) -> float:
    """``alpha^(1 - value) + c sqrt(N_before) / (1 + N)``: towards nodes that mostly succeed.

    As OmegaPRM's search, without its term of length.
    """
    return alpha ** (1 - node.value) + explore * math.sqrt(node.before) / (1 + node.visits)


@dataclass(slots=True)
class _Node:
    """A prefix of solutions. ``closed``: nothing below it is left to explore; ``whole``: a response that ends here."""

    text: str
    prefix: Response | None
    visits: int = 0
    right: int = 0
    expanded: int = 0
    closed: bool = False
    whole: Response | None = None
    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])

    @property
    def value(self) -> float:
        return self.right / self.visits if self.visits else 0.0


def tree_search(
    generator: Generator,
    is_right: IsRight,
    split: Split = lines,
    *,
    budget: int = 64,
    width: int = 4,
    select: Select = uct,
    at_least: int = 2,
    keep: int | None = None,
    seed: int = 0,
    rater: str = "tree-search",
) -> Label:
    """Replaces a record's responses by solutions from a search, with the value of each of their steps.

    Each round walks from the root by ``select`` to a prefix not yet continued, samples ``width`` whole responses from
    it, splits them into steps, and adds every step as a node; ``value = right rollouts / rollouts through the node``.
    It ends after ``budget`` rollouts, or when everything is explored. A step seen in fewer than ``at_least`` rollouts
    is unlabelled, save a last step, which is judged itself. ``keep`` is the largest number of responses, those whose
    steps were visited most.

    Sources: Luo et al., OmegaPRM, 2024, arXiv 2406.06592; Tu et al., ViLBench, 2025, arXiv 2503.20271.

    Raises:
        ValueError: ``budget``, ``width``, ``at_least`` or ``keep`` is below 1.
    """
    if min(budget, width, at_least, keep or 1) < 1:
        raise ValueError(f"need at least 1, got {budget=}, {width=}, {at_least=}, {keep=}")

    def label(record: Record) -> Record:
        root = _Node("", None)
        rollouts = 0
        while rollouts < budget and not root.closed:
            path = _walk(root, select)
            count = min(width, budget - rollouts)
            prefix = replace(record, feedback=(), responses=() if path[-1].prefix is None else (path[-1].prefix,))
            drawn = derived_seed(seed, record.id, path[-1].text, path[-1].expanded)
            for completion in generator.generate([prefix], count, drawn)[0]:
                ends = _ends(path[-1].prefix, split(completion))
                _add(path, replace(completion, step_ends=ends), is_right(record, completion))
            path[-1].expanded += 1
            rollouts += count
            _close(path)
        found = sorted(_solutions(root, []), key=lambda path: -sum(node.visits for node in path))[:keep]
        noted = {"budget": budget, "width": width, "seed": seed, "rollouts": rollouts, "generator": name_of(generator)}
        labels = [StepLabels(n, _labels(path, at_least), rater, "value") for n, path in enumerate(found)]
        responses = tuple([path[-1].whole for path in found if path[-1].whole is not None])
        return replace(record, responses=responses, feedback=tuple(labels), context={**record.context, rater: noted})

    return partial(label)


def _walk(root: _Node, select: Select) -> list[_Node]:
    """From the root to a node that was not continued yet, by the best open child each time."""
    path = [root]
    while path[-1].expanded:
        node = path[-1]
        open_children = [child for child in node.children.values() if not child.closed]
        if not open_children:
            break
        path.append(max(open_children, key=lambda child: select(Visits(child.value, child.visits, node.visits))))
    return path


def _ends(prefix: Response | None, found: Sequence[StepEnd]) -> tuple[StepEnd, ...]:
    """The steps of the prefix as they were, and those that end behind it."""
    if prefix is None:
        return tuple(found)
    last = _order(prefix.step_ends[-1])
    return (*prefix.step_ends, *[end for end in found if _order(end) > last])


def _order(end: StepEnd) -> tuple[int, int, float]:
    return end.message, end.part, math.inf if end.offset is None else end.offset


def _add(path: Sequence[_Node], response: Response, right: bool | None) -> None:
    """Count a rollout on every node that it passes, making those behind the path."""
    if right is None:
        return
    steps = step_texts(response)
    node = path[-1]
    passed = list(path)
    for number in range(len(path) - 1, len(steps)):
        text = node.text + steps[number]
        if text not in node.children:
            node.children[text] = _Node(text, up_to_step(response, number))
        node = node.children[text]
        passed.append(node)
    for each in passed:
        each.visits += 1
        each.right += right
    if node is not path[0]:
        node.whole, node.closed = response, True


def _close(path: Sequence[_Node]) -> None:
    """Close every node of the path that was continued and has nothing open below it."""
    for node in reversed(path):
        if node.expanded and all(child.closed for child in node.children.values()):
            node.closed = True


def _solutions(node: _Node, before: list[_Node]) -> Iterator[list[_Node]]:
    path = [*before, node] if node.prefix is not None else before
    if node.whole is not None:
        yield path
    for child in node.children.values():
        yield from _solutions(child, path)


def _labels(path: Sequence[_Node], at_least: int) -> tuple[float | None, ...]:
    return tuple([node.value if node.visits >= at_least or node is path[-1] else None for node in path])
