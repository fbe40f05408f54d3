"""Spoken digits: which of ten words a speaker said whom the reward has never heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from assay import metrics
from assay.media import Audio, Text
from assay.metrics import Floats, Ints
from assay.models.heads.dual import DualEncoderHead
from assay.models.scratch import word_tokenizer
from assay.models.towers import Pretrained, Tower, Towers, of_prompt, of_response, towers_from
from assay.objectives.listwise import top_one
from assay.perturb.sounds import other_voices, trimmed, with_prompt_sounds
from assay.records import Ranking, Record, read
from assay.records.formats.fsdd import WORDS
from assay.rewards.base import score
from assay.rewards.learned import LearnedReward
from assay.training.budgets import Steps
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise
from real.frame import Figure, Goal, Measured, Place, crossed, of_outcomes, timed

FOLDER = "audio-fsdd"
RATE, HOP, BANDS, SECONDS = 8_000, 125, 32, 1
WIDTH = 64
COPIES, STEPS = 8, 900
AT_MOST_A_POINT_BELOW = Goal(value_at_least=-0.01)


def measure(place: Place) -> Measured:
    """Each recording judged by a reward and a floor that never heard its speaker."""
    folder = place.folder(FOLDER, "recordings of github.com/Jakobovski/free-spoken-digit-dataset as recordings.parquet")
    spent: dict[str, float] = {}
    with timed(spent, "reading"):
        records = [_short(record) for record in read(folder / "recordings.parquet")]
    right = np.array([_right(record) for record in records])
    split = crossed(
        "three folds of two speakers each",
        [record.id for record in records],
        [record.context["speaker"] for record in records],
        folds=3,
        seed=place.seed,
    )
    with timed(spent, "floor"):
        given = np.array([_spectrum(record) for record in records])
    ours, floor = (np.full((len(records), len(WORDS)), np.nan) for _ in range(2))
    for number, learned, asked in split.each():
        training = [records[index] for index in np.flatnonzero(learned)]
        held = [records[index] for index in np.flatnonzero(asked)]
        with timed(spent, "training"):
            reward = _trained(training, place.seed)
        with timed(spent, "scoring"):
            ours[asked] = metrics.floats(score(reward, held).values).reshape(-1, len(WORDS))
        with timed(spent, "floor"):
            floor[asked] = _floor(given[learned], _said(training), given[asked], held, place.seed)
        picked = np.mean(ours[asked].argmax(1) == right[asked])
        place.say(f"fold {number + 1}: {100 * picked:.1f} % of {len(held)}")
    folds = [np.flatnonzero(asked) for _, _, asked in split.each()]
    described: dict[str, Any] = {
        "reward": f"a Whisper encoder ({WIDTH} dimensions, two layers, {BANDS} mel bands) beside a BERT of one layer, "
        "both from random weights, the score their cosine; top-one of the ten words, each recording in "
        f"{COPIES} made-up voices, {STEPS} steps",
        "floor_is": "a multilayer perceptron (128) on 16 x 8 means of the log spectrum",
        "scale": 100,
    }
    figures: list[Figure] = []
    for measure_of, outcome in (("word picked among ten", _picked), ("right word over a wrong one", _over)):
        mine, other = outcome(ours, right), outcome(floor, right)
        details = {
            "folds": [float(mine[rows].mean()) for rows in folds],
            "floor_folds": [float(other[rows].mean()) for rows in folds],
        }
        found = of_outcomes(mine, other, split.unit)
        figures.append(Figure(measure_of, *found, AT_MOST_A_POINT_BELOW, details=details, **described))
    return Measured(
        "Spoken digits of unheard speakers (FSDD)", FOLDER,
        "Zohar Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset, CC-BY-SA-4.0", split, figures, spent,
        notes="six speakers, hence six clusters; silence is trimmed and recordings are cut at one second for both. How "
        "far the made-up voices go was settled in two trials that were asked about three of the speakers",
    )  # fmt: skip


def _short(record: Record) -> Record:
    return with_prompt_sounds(record, RATE, lambda given: trimmed(given, RATE, longest=SECONDS))


def _right(record: Record) -> int:
    """The row of the word that was said."""
    return next(item for item in record.feedback if isinstance(item, Ranking)).ranks.index(0)


def _said(records: Sequence[Record]) -> Ints:
    """The digits that were said."""
    return np.array([record.context["digit"] for record in records])


def _picked(values: Floats, right: Ints) -> Floats:
    """``[recordings]``: 1 where the right word is the best; a recording that could not be judged is wrong."""
    known = np.where(np.isnan(values), -np.inf, values)
    return ((known.argmax(1) == right) & np.isfinite(known).any(1)).astype(np.float64)


def _over(values: Floats, right: Ints) -> Floats:
    """``[recordings]``: the share of the wrong words that the right one is above."""
    own = values[np.arange(len(values)), right]
    return ((own[:, None] > values).sum(1) + 0.5 * ((own[:, None] == values).sum(1) - 1)) / (len(WORDS) - 1)


def _trained(records: Sequence[Record], seed: int) -> LearnedReward:
    reward = LearnedReward(_towers(seed), DualEncoderHead(WIDTH, left=0, right=1, scale=10.0))
    settings = Settings(
        budget=Steps(STEPS),
        batch=32,
        learning_rate=2e-3,
        betas=(0.9, 0.98),
        weight_decay=0.05,
        checkpoint_every=10**9,
        seed=seed,
    )
    copies = other_voices(records, RATE, copies=COPIES, longest=SECONDS, seed=seed)
    train(reward, copies, supervise(top_one), settings)
    return reward


def _towers(seed: int) -> Towers:
    """A tower that reads a word and one that hears the recording, from random weights."""
    from transformers import BertConfig, BertModel, WhisperConfig, WhisperFeatureExtractor, WhisperModel

    sound: dict[str, Any] = {"d_model": WIDTH, "encoder_layers": 2, "encoder_attention_heads": 4, "dropout": 0.1}
    sound |= {"encoder_ffn_dim": 2 * WIDTH, "num_mel_bins": BANDS, "init_std": 0.1, "vocab_size": 8}
    sound |= {"decoder_layers": 1, "decoder_attention_heads": 1, "decoder_ffn_dim": 8, "max_target_positions": 4}
    sound |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    words = word_tokenizer(WORDS)
    text: dict[str, Any] = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 4}
    text |= {"intermediate_size": WIDTH, "max_position_embeddings": 8, "initializer_range": 0.1}
    extractor = cast("Any", WhisperFeatureExtractor)(
        feature_size=BANDS, sampling_rate=RATE, hop_length=HOP, chunk_length=SECONDS, n_fft=256
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heard = WhisperModel(WhisperConfig(**sound, max_source_positions=SECONDS * RATE // HOP // 2)).eval()
        said = BertModel(BertConfig(vocab_size=len(words), **text)).eval()
    models = {"whisper": Pretrained(heard, sounds=extractor), "bert": Pretrained(said, words)}
    looks = [Tower("said", "bert", Text, of_response), Tower("heard", "whisper", Audio, of_prompt)]
    return towers_from(models, looks, width=WIDTH, seed=seed)


def _spectrum(record: Record) -> Floats:
    """``[128]``: the log power spectrum's mean in 16 bands of 8 parts of the recording."""
    sound = next(part for message in record.prompt for part in message.parts if isinstance(part, Audio))
    samples = sound.mono(RATE).double().numpy()
    padded = np.pad(samples, (0, max(0, 256 + 64 * 7 - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 256)[::64] * np.hanning(256)
    power = np.log(np.square(np.abs(np.fft.rfft(frames)))[:, 1:] + 1e-6)
    parts = [band for part in np.array_split(power, 8) for band in np.array_split(part, 16, axis=1)]
    return np.array([part.mean() for part in parts])


def _floor(given: Floats, said: Ints, asked: Floats, held: Sequence[Record], seed: int) -> Floats:
    """``[recordings, 10]``: the probability of each response, in the order of the record."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = make_pipeline(StandardScaler(), MLPClassifier((128,), alpha=1e-2, max_iter=300, random_state=seed))
    found = model.fit(given, said).predict_proba(asked)
    order = [[WORDS.index(response.text) for response in record.responses] for record in held]
    return np.take_along_axis(np.asarray(found, dtype=np.float64), np.array(order), axis=1)
