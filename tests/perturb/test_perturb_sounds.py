"""Copies of sounds: higher and shorter with speed, from the seed alone; clips without the silence around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from assay.media import Audio
from assay.perturb.sounds import Samples, Voice, another_voice, other_voices, trimmed, wav, with_prompt_sounds
from assay.records import Ranking, Record

RATE = 8000
STILL = Voice(speed=(1.25, 1.25), pace=(1.0, 1.0), colour=0.0, noise=(1e-6, 1e-6), lead=0.0, level=(0.5, 0.5))


def tone(hertz: float, seconds: float = 0.4) -> Samples:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def pitch(samples: Samples) -> float:
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[np.abs(np.fft.rfft(samples)).argmax()])


def sound_of(record: Record) -> Audio:
    return next(part for part in record.prompt[0].parts if isinstance(part, Audio))


def test_a_wav_is_read_back() -> None:
    found, rate = wav(tone(440), RATE).samples()
    assert rate == RATE
    np.testing.assert_allclose(found[0].numpy(), tone(440), atol=1e-4)
    assert float(wav(np.array([0.0, 3.0, -3.0]), RATE).samples()[0].abs().max()) <= 1.0


def test_speed_makes_a_sound_shorter_and_higher() -> None:
    made = another_voice(tone(440), RATE, np.random.default_rng(0), STILL)
    assert len(made) == pytest.approx(0.4 * RATE / 1.25, abs=12)
    assert pitch(made) == pytest.approx(550, abs=10)
    assert np.abs(made).max() == pytest.approx(0.5)


def test_every_copy_is_another_and_silence_is_no_trouble() -> None:
    rng = np.random.default_rng(0)
    first, second = (another_voice(tone(440), RATE, rng) for _ in range(2))
    assert len(first) != len(second)
    assert abs(pitch(first) - pitch(second)) > 1
    assert np.isfinite(another_voice(np.zeros(400), RATE, rng)).all()


def test_silence_around_is_cut() -> None:
    around = np.concatenate([np.zeros(2000), tone(440), np.zeros(3000)])
    kept = trimmed(around, RATE)
    assert len(kept) == pytest.approx(0.47 * RATE, abs=60)
    assert np.abs(kept).max() == pytest.approx(0.8)
    assert len(trimmed(around, RATE, longest=0.1)) == 800
    assert not trimmed(np.zeros(100), RATE).any()


def test_copies_keep_everything_but_the_sound() -> None:
    record = replace(Record.of([wav(tone(440), RATE), "Which?"], ["a", "b"]), feedback=(Ranking((0, 1)),))
    made = other_voices([record], RATE, copies=3, longest=0.2, seed=1)
    assert [each.id for each in made] == [f"{record.id}~{number}" for number in range(3)]
    assert len({sound_of(each).content_hash for each in made}) == 3
    assert all(each.responses == record.responses and each.feedback == record.feedback for each in made)
    assert all(sound_of(each).samples()[0].shape[1] <= 0.2 * RATE for each in made)
    assert made[0].prompt[0].text == "Which?"
    again = other_voices([record], RATE, copies=3, longest=0.2, seed=1)
    assert [sound_of(each) for each in again] == [sound_of(each) for each in made]
    assert with_prompt_sounds(record, RATE, lambda given: given).id == record.id
