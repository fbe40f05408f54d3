"""NLVR: whether a sentence about a picture of three boxes of shapes is true."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image

from assay import metrics
from assay.media import Image, Text
from assay.metrics import Floats
from assay.models.scratch import picture_backbone, picture_tokens, word_tokenizer
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record, read
from assay.rewards.base import score
from assay.rewards.learned import LearnedReward
from assay.training.budgets import Steps
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise
from real.frame import REPORTED, Figure, Measured, Place, held_out, of_outcomes, timed

FOLDER = "mm-nlvr"
STEPS = 300
_BOXES = ((0, 0), (150, 0), (300, 0))
_PLACES = ((0, 0), (100, 0), (0, 100))


def measure(place: Place) -> Measured:
    """The public test sentences, judged by a reward and a floor fitted on development sentences that differ."""
    folder = place.folder(FOLDER, "dev and test of github.com/lil-lab/nlvr as dev.parquet and test.parquet")
    asked = list(read(folder / "test.parquet"))
    known = {_sentence(record) for record in asked}
    training = [record for record in read(folder / "dev.parquet") if _sentence(record) not in known]
    records = [*training, *asked]
    split = held_out(
        "official dev to official test, without the development sentences that the test has too",
        [f"{number < len(training)}/{record.id}" for number, record in enumerate(records)],
        [_sentence(record) for record in records],
        [number >= len(training) for number in range(len(records))],
    )
    spent: dict[str, float] = {}
    right = np.array([_label(record) for record in asked])
    with timed(spent, "floor"):
        other = (_floor(training, asked) > 0) == right
    with timed(spent, "training"):
        reward = _trained([_plain(record) for record in training], place.seed)
    with timed(spent, "scoring"):
        values = metrics.floats(score(reward, [_square(record) for record in asked]).values).reshape(-1, 2)
    mine = np.where(np.isnan(values).any(1), np.nan, (values[:, 0] > values[:, 1]) == right)
    outcomes = of_outcomes(mine, other.astype(np.float64), split.unit[len(training) :])
    weights = sum(weight.numel() for weight in reward.parameters())
    figure = Figure(
        "statement judged rightly", *outcomes, REPORTED,
        reward=f"an Idefics3 of {weights:,} weights from random ones, the three boxes as one square picture; "
        f"Bradley-Terry of true and false, {STEPS} steps of 40 statements",
        floor_is="logistic regression on words times counts of shapes, colours and sizes in the scene graph, which the "
        "reward is not given",
        scale=100,
        details={"true": float(right.mean())},
    )  # fmt: skip
    return Measured(
        "Sentences about boxes of shapes (NLVR)", FOLDER, "Suhr et al. 2017, github.com/lil-lab/nlvr, CC-BY-4.0", split,
        [figure], spent,
        notes=f"{100 * right.mean():.1f} % of the test statements are true; shallow models stay near that",
    )  # fmt: skip


def _sentence(record: Record) -> str:
    return record.prompt[0].text


def _label(record: Record) -> bool:
    """The official one: the preference without a rater."""
    return next(item.better == 0 for item in record.feedback if isinstance(item, Preference) and item.rater is None)


def _plain(record: Record) -> Record:
    """The square picture, and the official label alone."""
    own = tuple(item for item in record.feedback if isinstance(item, Preference) and item.rater is None)
    return replace(_square(record), feedback=own)


def _square(record: Record) -> Record:
    """The three boxes beside and below each other, so that none of a square picture is empty."""
    message = record.prompt[0]
    parts = tuple([_gathered(part) if isinstance(part, Image) else part for part in message.parts])
    return replace(record, prompt=(replace(message, parts=parts),))


def _gathered(image: Image) -> Image:
    whole, made = image.pil(), PIL.Image.new("RGB", (200, 200), (255, 255, 255))
    for (left, top), place in zip(_BOXES, _PLACES, strict=True):
        made.paste(whole.crop((left, top, left + 100, top + 100)), place)
    return Image.from_pil(made.resize((64, 64), PIL.Image.Resampling.BOX))


def _trained(records: Sequence[Record], seed: int) -> LearnedReward:
    texts = [part.text for record in records for part in record.prompt[0].parts if isinstance(part, Text)]
    tokenizer = word_tokenizer([*texts, "true", "false"], special=picture_tokens())
    reward = LearnedReward.fresh(picture_backbone(tokenizer, seed=seed), seed=seed)
    settings = Settings(
        budget=Steps(STEPS),
        batch=40,
        learning_rate=1.5e-3,
        betas=(0.9, 0.98),
        checkpoint_every=10**9,
        seed=seed,
    )
    train(reward, records, supervise(bradley_terry), settings)
    return reward


def _floor(training: Sequence[Record], asked: Sequence[Record]) -> Floats:
    """``[asked]``: the log-odds that a statement is true."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import MaxAbsScaler

    words: Any = CountVectorizer(binary=True, min_df=20, ngram_range=(1, 2)).fit([_sentence(r) for r in training])
    scaler: Any = MaxAbsScaler().fit(_scenes(training))

    def features(records: Sequence[Record]) -> Any:
        scene: Any = csr_matrix(scaler.transform(_scenes(records)))
        said = words.transform([_sentence(r) for r in records])
        return hstack([said, scene, *(said.multiply(scene[:, [column]]) for column in range(scene.shape[1]))]).tocsr()

    model: Any = LogisticRegression(C=0.1, max_iter=200).fit(features(training), [_label(r) for r in training])
    return np.asarray(model.decision_function(features(asked)), dtype=np.float64)


def _scenes(records: Sequence[Record]) -> Floats:
    """``[records, 23]``: how many things of each colour, shape and size, and the fewest and most of them in a box."""
    graphs = {r.context["identifier"]: r.context["structured_rep"] for r in records if r.context.get("structured_rep")}
    kinds = ("Black", "Yellow", "#0099ff", "circle", "square", "triangle", "10", "20", "30")
    rows: list[list[float]] = []
    for record in records:
        boxes = json.loads(graphs[record.context["identifier"]])
        counts = [Counter(str(t[key]) for t in box for key in ("color", "type", "size")) for box in boxes]
        sizes = [len(box) for box in boxes]
        total = [float(sum(count[kind] for count in counts)) for kind in kinds]
        boxed = [float(sum(count[kind] > 0 for count in counts)) for kind in kinds]
        rows.append([*total, *boxed, min(sizes), max(sizes), sum(sizes), float(len(set(sizes))), 1.0])
    return np.array(rows)
