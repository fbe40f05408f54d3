"""Tree search: rollouts go where the reward has found most so far, and where little has been tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from assay.curation.step_tree import Select, Visits, uct
from assay.models.base import Generator
from assay.records import Record, Response
from assay.records.steps import Split, lines, step_texts, up_to_step
from assay.rewards.base import Reward
from assay.search.growing import Desk, Found, Tokens, words


@final
@dataclass(slots=True)
class _Node:
    """A beginning of solutions. ``total`` sums what its visits were worth; ``closed``: nothing below is left open."""

    text: str
    prefix: Response | None
    visits: int = 0
    total: float = 0.0
    expanded: int = 0
    closed: bool = False
    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])

    @property
    def value(self) -> float:
        return self.total / self.visits if self.visits else 0.0


@final
@dataclass(slots=True)
class _Range:
    """What values there were so far: selections want them in 0..1."""

    low: float = math.inf
    high: float = -math.inf

    def see(self, value: float) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)

    def unit(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def step_tree(
    record: Record,
    generator: Generator,
    reward: Reward,
    *,
    budget: int = 32,
    width: int = 4,
    select: Select = uct,
    steps: float = 0.5,
    split: Split = lines,
    tokens: Tokens = words,
    seed: int = 0,
) -> Found:
    """Monte Carlo tree search over steps, with the reward in the place of a known answer.

    Each round walks from the root by ``select`` (`curation.step_tree.uct` or ``puct``) to a beginning not yet gone on
    with, samples ``width`` whole responses from it, scores each once, and adds every step of them as a node. A node is
    worth the mean over the rollouts through it of ``(1 - steps) whole + steps own``: the score of the whole response,
    and that of the node's own step where the reward scores steps (one call gives them all; without, the whole alone).
    Selections see these scaled to 0..1 by the smallest and largest so far. It ends after ``budget`` rollouts, or when
    nothing is open. A rollout that cannot be judged opens nothing. All judged rollouts are candidates, the best first.

    Raises:
        ValueError: ``budget`` or ``width`` is below 1, or ``steps`` is outside 0..1.

    Sources: Kocsis and Szepesvari (UCT), 2006; Zhang et al. (ReST-MCTS*, guided by a process reward), 2024, arXiv
    2406.03816.
    """
    if min(budget, width) < 1 or not 0 <= steps <= 1:
        raise ValueError(f"need at least 1 and steps in 0..1, got {budget=}, {width=}, {steps=}")
    desk = Desk(record, generator, reward, split, tokens, seed)
    root, seen = _Node("", None), _Range()
    whole: dict[str, Response] = {}
    rollouts = 0
    while rollouts < budget and not root.closed:
        path = _walk(root, select, seen)
        wanted = min(width, budget - rollouts)
        drawn = desk.go_on(path[-1].prefix, wanted, "tree", path[-1].expanded)
        for response, (value, own) in zip(drawn, desk.judged(drawn), strict=True):
            whole.setdefault(response.text, response)
            if value is not None:
                _add(path, response, value, own if steps else (), steps, seen)
        path[-1].expanded += 1
        rollouts += wanted
        _close(path)
    return desk.found(
        list(whole.values()), how="tree", rollouts=rollouts, stopped="closed" if root.closed else "budget"
    )


def _walk(root: _Node, select: Select, seen: _Range) -> list[_Node]:
    path = [root]
    while path[-1].expanded:
        node = path[-1]
        options = [child for child in node.children.values() if not child.closed]
        if not options:
            break
        worth = [select(Visits(seen.unit(each.value), each.visits, node.visits)) for each in options]
        path.append(options[worth.index(max(worth))])
    return path


def _add(
    path: Sequence[_Node], response: Response, value: float, own: Sequence[float], share: float, seen: _Range
) -> None:
    """Count a rollout on every node that it passes, making those behind the path."""
    texts = step_texts(response)
    node, passed = path[-1], list(path)
    for number in range(len(path) - 1, len(texts)):
        text = node.text + texts[number]
        if text not in node.children:
            node.children[text] = _Node(text, up_to_step(response, number))
        node = node.children[text]
        passed.append(node)
    for depth, each in enumerate(passed):
        step = own[depth - 1] if 0 < depth <= len(own) else math.nan
        worth = value if math.isnan(step) else (1 - share) * value + share * step
        each.visits += 1
        each.total += worth
        seen.see(worth)
    if node is not path[-1]:
        node.closed = True


def _close(path: Sequence[_Node]) -> None:
    """Close every node of the path that was gone on with and has nothing open below it."""
    for node in reversed(path):
        if node.expanded and all(child.closed for child in node.children.values()):
            node.closed = True
