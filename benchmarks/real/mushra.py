"""MUSHRA ratings of speech codecs: how good a coded recording sounds beside its original."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from assay import metrics
from assay.media import Audio
from assay.metrics import Floats, Ints
from assay.records import Message, Rating, Record, read
from assay.rewards.base import score
from assay.rewards.rules.sound import sound_likeness
from assay.transforms.kernel import fit_kernel
from real.frame import ABOVE, REPORTED, Figure, Measured, Place, compared, crossed, of_outcomes, spearman_to, timed

FOLDER = "audio-mushra-codec"


def measure(place: Place) -> Measured:
    """Each signal judged by a reward and a floor that were fitted on the other signals."""
    folder = place.folder(FOLDER, "mushra_results_dataset of github.com/BenjSta/bernoulli-var-speech-codec")
    records = list(read(folder / "ratings.jsonl"))
    unit = np.repeat(np.arange(len(records)), [len(record.responses) for record in records])
    ids = [record.response_id(row) for record in records for row in range(len(record.responses))]
    split = crossed("one signal left out", ids, unit.tolist(), folds=len(records), seed=place.seed)
    truth = np.concatenate([_ratings(record) for record in records])
    spent: dict[str, float] = {}
    with timed(spent, "attributes"):
        heard = score(sound_likeness(), records)
    with timed(spent, "floor's attributes"):
        given = np.array([row for record in records for row in _differences(record)])
    ours, floor = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    settings: list[dict[str, float]] = []
    for _, learned, asked in split.each():
        training = [record for number, record in enumerate(records) if learned[unit == number].all()]
        with timed(spent, "fit"):
            fitted = fit_kernel(heard[np.flatnonzero(learned).tolist()], training)
            ours[asked] = metrics.floats(fitted(heard[np.flatnonzero(asked).tolist()]).values)
        with timed(spent, "floor"):
            floor[asked] = _floor(given[learned], truth[learned], given[asked])
        settings.append({"width": fitted.width, "decay": fitted.decay})
    described: dict[str, Any] = {
        "reward": f"kernel ridge regression on {len(heard.attributes)} measures of how the coded sound differs from "
        "its original (sound_likeness), width and decay chosen by leaving out one signal of those learned from",
        "floor_is": "ridge regression (alpha 1) on 10 spectral differences to the original: mean in eight bands, mean, "
        "standard deviation",
        "details": {"settings": settings},
    }
    better, worse = _pairs(truth, unit)
    right = [metrics.pair_outcomes(each[better], each[worse]) for each in (ours, floor)]
    spearman = compared(spearman_to(truth), ours, floor, unit)
    pairs = of_outcomes(right[0], right[1], unit[better])
    return Measured(
        "Listening test of speech codecs (MUSHRA)", FOLDER,
        "Stahl, Windtner and Sontacchi 2024, github.com/BenjSta/bernoulli-var-speech-codec, CC-BY-4.0", split,
        [
            Figure("mean rating, Spearman", *spearman, ABOVE, **described),
            Figure("pairs within a signal right", *pairs, REPORTED, scale=100, **described),
        ],
        spent,
        notes="eight signals, hence eight clusters. That it is a kernel regression, not a linear one, was settled with "
        "all eight in view; width and decay were not",
    )  # fmt: skip


def _ratings(record: Record) -> Floats:
    """``[responses]``: the mean over listeners."""
    said = [item for item in record.feedback if isinstance(item, Rating)]
    rows = [[item.value for item in said if item.response == row] for row in range(len(record.responses))]
    return np.array([sum(own) / len(own) for own in rows], dtype=np.float64)


def _pairs(truth: Floats, unit: Ints) -> tuple[Ints, Ints]:
    """All pairs of one signal whose ratings differ: the better and the worse."""
    every = [(i, j) for i, j in combinations(range(len(unit)), 2) if unit[i] == unit[j] and truth[i] != truth[j]]
    ordered = np.array([(i, j) if truth[i] > truth[j] else (j, i) for i, j in every])
    return ordered[:, 0], ordered[:, 1]


def _differences(record: Record) -> list[list[float]]:
    """Ten numbers a response: absolute differences of log power spectra to the reference."""
    known = _spectrum(record.prompt)
    rows: list[list[float]] = []
    for response in record.responses:
        own = _spectrum(response.messages)
        count = min(len(known), len(own))
        gap = np.abs(known[:count] - own[:count])
        bands = [float(part.mean()) for part in np.array_split(gap, 8, axis=1)]
        rows.append([*bands, float(gap.mean()), float(gap.std())])
    return rows


def _spectrum(messages: Sequence[Message]) -> npt.NDArray[np.float64]:
    sound = next(part for message in messages for part in message.parts if isinstance(part, Audio))
    frames = np.lib.stride_tricks.sliding_window_view(sound.mono(24_000).double().numpy(), 512)[::256]
    return np.log(np.square(np.abs(np.fft.rfft(frames * np.hanning(512)))) + 1e-8)


def _floor(given: Floats, truth: Floats, asked: Floats) -> Floats:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = make_pipeline(StandardScaler(), Ridge(alpha=1.0))
    return np.asarray(model.fit(given, truth).predict(asked), dtype=np.float64)
