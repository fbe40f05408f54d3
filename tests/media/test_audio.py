import io
import struct
import sys
import wave

import av
import numpy as np
import pytest

from assay.media import Audio, Limits, MediaError


def riff(
    values: np.ndarray, code: int, bits: int, rate: int = 8000, extensible: bool = False, extra: bytes = b""
) -> bytes:
    """A WAV file of ``values`` [samples, channels], already of the stored type."""
    channels = values.shape[1]
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, rate, rate * block, block, bits)
    if extensible:
        head += struct.pack("<HHIH", 22, bits, 0, code) + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    body = values.tobytes()
    chunks = b"fmt " + struct.pack("<I", len(head)) + head + extra + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def stereo(dtype: str, low: int, high: int) -> np.ndarray:
    return np.array([[low, high], [0, low], [high, 0]], dtype=dtype)


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("extra", [b"", b"LIST\x03\x00\x00\x00abc\x00"])
def test_integers_are_divided_by_full_scale(extensible, extra):
    data = riff(stereo("<i2", -32768, 16384), 1, 16, 22050, extensible, extra)
    samples, rate = Audio.from_bytes(data).samples()
    assert rate == 22050
    assert samples.tolist() == [[-1.0, 0.0, 0.5], [0.5, -1.0, 0.0]]


def test_every_width():
    cases = {
        (1, 8): np.array([[0], [128], [192]], dtype=np.uint8),
        (1, 32): np.array([[-(2**31)], [0], [2**30]], dtype="<i4"),
        (3, 32): np.array([[-1.0], [0.0], [0.5]], dtype="<f4"),
        (3, 64): np.array([[-1.0], [0.0], [0.5]], dtype="<f8"),
        (1, 24): np.array([[0, 0, 0x80], [0, 0, 0], [0, 0, 0x40]], dtype=np.uint8),
    }
    for (code, bits), values in cases.items():
        if bits == 24:
            data = riff(values.reshape(3, 3), code, 24)
            data = data.replace(
                struct.pack("<HHIIHH", 1, 3, 8000, 72000, 9, 24), struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24)
            )
        else:
            data = riff(values, code, bits)
        assert Audio.from_bytes(data).samples()[0].tolist() == [[-1.0, 0.0, 0.5]], (code, bits)


def test_the_standard_library_writes_what_is_read(tmp_path):
    tone = (np.sin(np.arange(800) * 2 * np.pi * 440 / 8000) * 20000).astype("<i2")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone.tobytes())
    audio = Audio.from_path(tmp_path / "tone.wav")
    samples, rate = audio.samples()
    assert (tuple(samples.shape), rate) == ((1, 800), 8000)
    assert np.array_equal(samples[0].numpy(), (tone / 32768).astype(np.float32))
    assert audio == Audio.from_bytes((tmp_path / "tone.wav").read_bytes())
    assert len({audio, Audio.from_bytes(audio.read())}) == 1


def test_truncated_streamed_and_damaged():
    data = riff(stereo("<i2", 0, 1), 1, 16)
    cases = {
        data[:-2]: "audio_truncated",
        data[:20]: "audio_truncated",
        b"": "empty_file",
        b"not sound": "not_audio",
        data.replace(struct.pack("<HHI", 1, 2, 8000), struct.pack("<HHI", 1, 0, 8000)): "audio_corrupt",
    }
    for content, code in cases.items():
        with pytest.raises(MediaError) as caught:
            Audio.from_bytes(content).samples()
        assert caught.value.code == code
    piped = data.replace(b"data" + struct.pack("<I", 12), b"data" + struct.pack("<I", 0xFFFFFFFF))
    assert Audio.from_bytes(piped).samples()[0].shape == (2, 3)


def test_limits_are_checked_from_the_header():
    data = riff(stereo("<i2", 0, 1), 1, 16)
    with pytest.raises(MediaError) as caught:
        Audio.from_bytes(data, Limits(max_samples=5)).samples()
    assert caught.value.code == "too_many_samples"
    assert Audio.from_bytes(data, Limits(max_samples=6)).samples()[0].numel() == 6


@pytest.mark.parametrize(("format", "codec"), [("flac", "flac"), ("mp4", "aac"), ("wav", "adpcm_ms")])
def test_other_codecs_go_through_pyav(format, codec, monkeypatch):
    tone = np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000) * 0.5
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        sample_format = {"flac": "s16", "aac": "fltp", "adpcm_ms": "s16"}[codec]
        resampler = av.AudioResampler(
            format=sample_format, layout="mono", rate=8000, frame_size=stream.frame_size or 1024
        )
        source = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], format="s16", layout="mono")
        source.sample_rate = 8000
        for piece in [*resampler.resample(source), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode())
    audio = Audio.from_bytes(buffer.getvalue())
    samples, rate = audio.samples()
    assert rate == 8000
    assert samples.shape[0] == 1
    assert samples.shape[1] >= 7900
    spectrum = np.abs(np.fft.rfft(samples[0, :4000].numpy()))
    assert int(spectrum.argmax()) * 2 == 440
    with pytest.raises(MediaError, match="too_many_samples"):
        Audio.from_bytes(audio.read(), Limits(max_samples=100)).samples()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaError, match=r"assay\[video\]"):
        audio.samples()
