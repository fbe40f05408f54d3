"""Verify: the same score everywhere. A certificate over batches, orders, company, paddings, sharing and reload."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

import assay
from assay.benchmarks.card import plain
from assay.benchmarks.variations import NotApplicableError, Rescored, Variation, again, variations_of
from assay.metrics import Floats, Ints
from assay.records import Record
from assay.rewards.base import Reward, fingerprint, name_of, spec_of
from assay.rewards.learned import LearnedReward

FP32_TOLERANCE = 1e-5
LOW_PRECISION_TOLERANCE = 0.1
MOST_TIES = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """What one variation did to the scores.

    ``difference`` is the largest change of a score in standard deviations of the scores (None where it does not apply);
    ``flipped`` the share of pairs within a record whose order changed; ``changed_status`` the rows that were judged one
    way and not the other. ``gated`` findings decide the verdict; the others are reported, and ``note`` says why.
    """

    name: str
    passed: bool
    gated: bool
    difference: float | None = None
    flipped: float | None = None
    changed_status: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The findings of a verification. ``passed`` when every gated one did.

    ``statuses`` counts the responses by status. ``spread`` is the standard deviation of the reference scores, the unit
    of all differences, and ``tolerance`` the largest difference in that unit that passes.
    """

    reward: str
    fingerprint: str | None
    spec: dict[str, Any]
    records: int
    responses: int
    judged: int
    spread: float
    tolerance: float
    findings: tuple[Finding, ...]
    seconds: float
    statuses: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def passed(self) -> bool:
        """Every gated finding was passed."""
        return all(finding.passed for finding in self.findings if finding.gated)

    @property
    def worst(self) -> Finding | None:
        """The gated finding with the largest difference."""
        known = [item for item in self.findings if item.gated and item.difference is not None]
        return max(known, key=lambda item: item.difference or 0.0, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"passed": self.passed, "assay": assay.__version__, **plain(self)}

    def save(self, path: str | Path) -> Path:
        """Write the certificate as JSON; returns the file."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False), encoding="utf-8")
        return file


def verify(
    reward: Reward,
    records: Sequence[Record] | None = None,
    *,
    tolerance: float | None = None,
    variations: Sequence[Variation] | None = None,
    reload: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Certificate:
    """Score the same responses in every way that must not matter, and compare.

    Without ``records``, a small built-in set for the reward's modalities is used. ``tolerance`` is in standard
    deviations of the scores: by default 1e-5, and 0.1 for a learned reward that runs in less than float32. A record
    that the reward fails on must fail the same way everywhere. What the reward declares is tested too: range,
    determinism, order, and that it sees nothing it did not ask for.

    Raises:
        ValueError: the reward judged none of the responses, so there is nothing to compare.
    """
    from assay.benchmarks.specimens import specimens

    started = time.perf_counter()
    asked = list(specimens(spec_of(reward))) if records is None else list(records)
    reference = again(reward, asked)
    values = reference.values.numpy()
    judged = ~np.isnan(values)
    if not judged.any():
        reasons = ", ".join(sorted({str(status) for status in reference.status})) or "there are none"
        raise ValueError(
            f"{name_of(reward)} judged none of {len(values)} responses ({reasons}); give it records it can score"
        )
    spread = float(values[judged].std())
    allowed = _tolerance(reward) if tolerance is None else tolerance
    todo = variations_of(reward, asked, seed=seed, reload=reload) if variations is None else list(variations)
    pairs = _pairs(asked)
    findings: list[Finding] = []
    for number, variation in enumerate(todo):
        if progress is not None:
            progress(number, len(todo))
        findings.append(_find(variation, reward, asked, reference, pairs, spread or 1.0, allowed))
    findings += _declared(reward, asked, values, pairs)
    if progress is not None:
        progress(len(todo), len(todo))
    return Certificate(
        reward=name_of(reward),
        fingerprint=_fingerprint(reward),
        spec=plain(asdict(spec_of(reward))),
        records=len(asked),
        responses=len(values),
        judged=int(judged.sum()),
        spread=spread,
        tolerance=allowed,
        findings=tuple(findings),
        seconds=round(time.perf_counter() - started, 2),
        statuses=dict(Counter(str(status) for status in reference.status)),
    )


def _tolerance(reward: Reward) -> float:
    low = isinstance(reward, LearnedReward) and reward.backbone.placement.dtype != torch.float32
    return LOW_PRECISION_TOLERANCE if low else FP32_TOLERANCE


def _find(
    variation: Variation,
    reward: Reward,
    records: Sequence[Record],
    reference: Rescored,
    pairs: Ints,
    spread: float,
    tolerance: float,
) -> Finding:
    try:
        other = variation.rescore(reward, records)
    except NotApplicableError as reason:
        return Finding(variation.name, True, False, note=f"does not apply: {reason}")
    except Exception as error:  # noqa: BLE001 - whatever it raises here, it did not raise for the reference
        note = f"{type(error).__name__}: {error}"
        return Finding(variation.name, False, variation.gated, note=note)
    before, after = reference.values.numpy(), other.values.numpy()
    both = ~np.isnan(before) & ~np.isnan(after)
    difference = float(np.abs(after - before)[both].max() / spread) if both.any() else 0.0
    changed = [i for i, (a, b) in enumerate(zip(reference.status, other.status, strict=True)) if a is not b]
    note = variation.why
    if changed:
        note = f"response {changed[0]} was {reference.status[changed[0]]}, now {other.status[changed[0]]}"
    return Finding(
        name=variation.name,
        passed=difference <= tolerance and not changed,
        gated=variation.gated,
        difference=difference,
        flipped=_flipped(before, after, pairs),
        changed_status=len(changed),
        note=note,
    )


def _pairs(records: Sequence[Record]) -> Ints:
    """``[pairs, 2]``: rows of every two responses of one record."""
    rows: list[tuple[int, int]] = []
    start = 0
    for record in records:
        rows += combinations(range(start, start + len(record.responses)), 2)
        start += len(record.responses)
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _flipped(before: Floats, after: Floats, pairs: Ints) -> float | None:
    old, new = (side[pairs[:, 0]] - side[pairs[:, 1]] for side in (before, after))
    ordered = ~np.isnan(old) & ~np.isnan(new) & (old != 0)
    return float((np.sign(old) != np.sign(new))[ordered].mean()) if ordered.any() else None


def _declared(reward: Reward, records: Sequence[Record], values: Floats, pairs: Ints) -> Iterator[Finding]:
    spec = spec_of(reward)
    known = values[~np.isnan(values)]
    if spec.low is not None or spec.high is not None:
        low, high = (-np.inf if spec.low is None else spec.low), (np.inf if spec.high is None else spec.high)
        outside = int(((known < low) | (known > high)).sum())
        note = f"{outside} of {known.size} scores outside {low:g} to {high:g}" if outside else ""
        yield Finding("within its declared range", not outside, True, note=note)
    texts = [(response.text, response) for record in records for response in record.responses]
    differing = np.array([texts[a][1] != texts[b][1] for a, b in pairs], dtype=bool)
    gap = (values[pairs[:, 0]] - values[pairs[:, 1]])[differing]
    gap = gap[~np.isnan(gap)]
    if not gap.size:
        return
    ties = float((gap == 0).mean())
    passed = ties <= MOST_TIES if spec.differentiable else ties < 1  # a rule may tie; a network that ties did not read
    yield Finding("tells responses apart", passed, True, note=f"{ties:.1%} exact ties")


def _fingerprint(reward: Reward) -> str | None:
    try:
        return fingerprint(reward)
    except (TypeError, OSError):
        return None
