"""easy-VQA: the right answer to a question about a picture, over the wrong ones of its type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from assay import metrics
from assay.media import Image
from assay.metrics import Floats
from assay.models.scratch import picture_backbone, picture_tokens, word_tokenizer
from assay.objectives.listwise import top_one
from assay.records import Ranking, Record, read
from assay.records.formats.easyvqa import ANSWERS, same_type
from assay.records.problems import FormatError
from assay.rewards.base import score
from assay.rewards.learned import LearnedReward
from assay.training.budgets import Epochs
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise
from real.frame import ABOVE, Figure, Measured, MissingError, Place, held_out, of_outcomes, timed

FOLDER = "mm-easyvqa"
EPOCHS, FLOOR_QUESTIONS, SIDE = 7, 15_000, 16


def measure(place: Place) -> Measured:
    """The official test pictures, judged by a reward and a floor fitted on the official training pictures."""
    training = list(read(place.folder(FOLDER, "the data of github.com/vzhou842/easy-VQA")))
    try:
        asked = [same_type(record) for record in read("easy-vqa:test")]
    except FormatError as error:
        raise MissingError(str(error)) from None
    pictures = [("train", r.context["image_id"]) for r in training] + [("test", r.context["image_id"]) for r in asked]
    ids = [f"{name}/{record.id}" for (name, _), record in zip(pictures, [*training, *asked], strict=True)]
    split = held_out("official training and test pictures", ids, pictures, [name == "test" for name, _ in pictures])
    spent: dict[str, float] = {}
    kept = place.cache / "easy-vqa-reward"
    with timed(spent, "training"):
        reward = LearnedReward.load(kept) if kept.exists() else _trained(training, place)
    with timed(spent, "scoring"):
        found = metrics.floats(score(reward, asked).values)
    with timed(spent, "floor"):
        judge = _floor(training, place.seed)
        other = judge(asked)
    mine = _over(asked, found)
    outcomes = of_outcomes(mine, _over(asked, other), split.unit[len(training) :])
    weights = sum(weight.numel() for weight in reward.parameters())
    figure = Figure(
        "right answer over wrong ones", *outcomes, ABOVE,
        reward=f"an Idefics3 of {weights:,} weights from random ones; top-one of all 13 answers, {EPOCHS} passes",
        floor_is=f"a multilayer perceptron (128) on {SIDE} x {SIDE} pixels and the question's words, fitted to the "
        f"answers of {FLOOR_QUESTIONS:,} questions",
        scale=100,
    )  # fmt: skip
    return Measured(
        "Questions about pictures of shapes (easy-VQA)", FOLDER, "Victor Zhou 2019, github.com/vzhou842/easy-VQA, MIT",
        split, [figure], spent,
        notes="wrong answers of the question's type, every question alike; clusters are pictures. The trained reward "
        "is kept in the cache; training it takes about 17 CPU minutes",
    )  # fmt: skip


def _trained(records: Sequence[Record], place: Place) -> LearnedReward:
    words = [message.text for record in records for message in record.prompt]
    tokenizer = word_tokenizer([*words, *ANSWERS], special=picture_tokens())
    reward = LearnedReward.fresh(picture_backbone(tokenizer, seed=place.seed), seed=place.seed)
    settings = Settings(
        budget=Epochs(EPOCHS),
        batch=80,
        by_picture=True,
        learning_rate=1.5e-3,
        betas=(0.9, 0.98),
        checkpoint_every=10**9,
        seed=place.seed,
    )
    return train(reward, records, supervise(top_one), settings, output=place.cache / "easy-vqa-reward").reward


def _over(records: Sequence[Record], values: Floats) -> Floats:
    """``[questions]``: the share of the wrong answers that the right one is above."""
    shares: list[float] = []
    start = 0
    for record in records:
        own = values[start : start + len(record.responses)]
        start += len(own)
        right = next(item for item in record.feedback if isinstance(item, Ranking)).ranks.index(0)
        others = np.delete(own, right)
        shares.append(float(((own[right] > others) + 0.5 * (own[right] == others)).mean()))
    return np.array(shares)


def _floor(records: Sequence[Record], seed: int) -> Callable[[Sequence[Record]], Floats]:
    """The log-probability of each response of records."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.neural_network import MLPClassifier

    drawn = np.random.default_rng(seed).permutation(len(records))[:FLOOR_QUESTIONS]
    learned = [records[index] for index in drawn.tolist()]
    words: Any = CountVectorizer(binary=True).fit([record.prompt[0].text for record in learned])
    seen: dict[str, Floats] = {}

    def features(given: Sequence[Record]) -> Any:
        pixels = csr_matrix(np.stack([_pixels(record, seen) for record in given]).astype(np.float32))
        return hstack([pixels, words.transform([r.prompt[0].text for r in given]).astype(np.float32)]).tocsr().toarray()

    model: Any = MLPClassifier((128,), max_iter=60, random_state=seed)
    model.fit(features(learned), [ANSWERS.index(str(record.context["answer"])) for record in learned])
    place = {int(answer): column for column, answer in enumerate(model.classes_)}

    def judge(given: Sequence[Record]) -> Floats:
        found = np.log(np.asarray(model.predict_proba(features(given)), dtype=np.float64) + 1e-12)
        return np.array(
            [
                found[row, place[ANSWERS.index(response.text)]]
                for row, record in enumerate(given)
                for response in record.responses
            ]
        )

    return judge


def _pixels(record: Record, seen: dict[str, Floats]) -> Floats:
    image = next(part for part in record.prompt[0].parts if isinstance(part, Image))
    if image.content_hash not in seen:
        seen[image.content_hash] = np.asarray(image.pil().resize((SIDE, SIDE)), dtype=np.float64).ravel() / 127.5 - 1
    return seen[image.content_hash]
