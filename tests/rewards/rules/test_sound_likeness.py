"""Likeness of sounds: nothing between a sound and itself, more the worse it is, and every reason to abstain."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.media import Audio
from assay.perturb.sounds import Samples, wav
from assay.records import Record, Response
from assay.rewards.base import score, spec_of
from assay.rewards.rules.sound import RATE, sound_likeness
from assay.scores import Scores, Status


def speech(seed: int = 0, seconds: float = 0.6) -> Samples:
    """Noise in bursts through a resonance: it has a spectrum, and a course over time."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * time) / (1 + n) for n, pitch in enumerate((220, 440, 660, 3000, 9000)))
    return 0.1 * (tone + 0.3 * rng.normal(size=len(time))) * (1.2 + np.sin(2 * np.pi * 5 * time))


def judged(known: Samples, *others: Samples) -> Scores:
    heard = [Response.of(wav(other, RATE)) for other in others]
    return score(sound_likeness(), [Record.of(wav(known, RATE), heard)])


def low_passed(samples: Samples, hertz: float) -> Samples:
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / RATE) > hertz] = 0
    return np.fft.irfft(spectrum, len(samples))


def test_a_sound_is_like_itself_and_less_so_the_more_is_lost() -> None:
    known = speech()
    found = judged(known, known, low_passed(known, 10_000), low_passed(known, 4_000), low_passed(known, 1_000))
    values = found.values.tolist()
    assert values[0] == pytest.approx(0.0, abs=1e-4)
    assert values == sorted(values, reverse=True)
    assert values[1] < -0.1
    assert found.attributes["energy 6 to 8 kHz"][2] < -1 < found.attributes["energy 6 to 8 kHz"][1]
    assert found.attributes["course high, 512 samples"][0] == pytest.approx(1.0, abs=1e-3)
    assert found.attributes["course high, 512 samples"][2] < 0.9


def test_a_shift_and_the_common_level_do_not_count() -> None:
    known = speech()
    late = np.concatenate([np.zeros(120), known])[: len(known)]
    found = judged(known, late, known)
    assert found.attributes["shift"].tolist() == pytest.approx([120 / RATE, 0.0])
    assert found.values[0] > -0.2
    loud, quiet = (judged(known * size, (known + speech(1) / 9) * size) for size in (1.0, 0.25))
    assert float(quiet.values) == pytest.approx(float(loud.values), rel=0.01)


def test_what_cannot_be_compared_abstains_and_the_rest_is_scored() -> None:
    known = wav(speech(), RATE)
    answers = [
        Response.of(wav(speech(1), RATE)),
        Response.of("no sound"),
        Response.of([known, known]),
        Response.of(Audio.from_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk")),
        Response.of(wav(np.zeros(RATE), RATE)),
        Response.of(wav(speech(2, 0.05), RATE)),
    ]
    found = score(sound_likeness(), [Record.of(known, answers), Record.of("Hear this.", answers[:1])])
    odd = Status.UNSUPPORTED_MODALITY
    expected = (Status.OK, odd, odd, Status.UNREADABLE_MEDIA, Status.EMPTY, Status.EMPTY, odd)
    assert found.status == expected
    assert torch.isfinite(found.attributes["waveform"]).tolist() == [True, *[False] * 6]
    assert "2 sounds" in found.messages[2]
    assert "prompt" in found.messages[6]
    assert not score(sound_likeness(), [Record.of("Hear this.", answers[:1])]).ok.any()
    assert spec_of(sound_likeness()).modalities == {"audio", "text"}
