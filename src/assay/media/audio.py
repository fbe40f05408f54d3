"""Audio: a sound decoded to float samples. WAV needs nothing but Python; other formats need ``assay[video]``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from assay.media.source import SOUNDS, Limits, MediaError, digest, name_of, open_source, read_source, shown
from assay.media.streams import opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_SIZE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Wave:
    """The ``fmt`` chunk of a RIFF WAVE file, and where its samples lie."""

    code: int
    channels: int
    rate: int
    bits: int
    start: int
    size: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Audio:
    """A sound, by path or by encoded bytes. Equal when the encoded bytes are.

    WAV with 8, 16, 24 or 32-bit integers or 32 or 64-bit floats is read here; any other codec (MP3, FLAC, Ogg, AAC, the
    sound of a video) through PyAV.

    Raises:
        ValueError: not exactly one of path and data was given.
    """

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    limits: Limits = SOUNDS
    _digest: str | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            raise ValueError("an Audio has exactly one origin: a path or encoded bytes")

    @staticmethod
    def from_path(path: str | Path, limits: Limits = SOUNDS) -> Audio:
        return Audio(path=Path(path), limits=limits)

    @staticmethod
    def from_bytes(data: bytes, limits: Limits = SOUNDS) -> Audio:
        return Audio(data=data, limits=limits)

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            MediaError: ``missing_file``, ``empty_file``, ``file_too_large`` and the like.
        """
        return read_source(self.path, self.data, self.limits)

    @property
    def content_hash(self) -> str:
        """sha256 of the encoded bytes, in hexadecimal, computed once. Raises as `read`."""
        if self._digest is None:
            object.__setattr__(self, "_digest", digest(self.path, self.data, self.limits))
        assert self._digest is not None
        return self._digest

    def samples(self) -> tuple[Tensor, int]:
        """Float32 ``[channels, samples]`` in -1..1 (integers divided by their full scale), and samples a second.

        Raises:
            MediaError: it cannot be read or decoded, or exceeds its limits.
        """
        import torch

        source = name_of(self.path, self.data)
        with open_source(self.path, self.data, self.limits) as file:
            wave = _read_wave(file, source)
            if wave is None:
                values, rate = _decoded(file, source, self.limits)
            else:
                values, rate = _wave_samples(file, wave, source, self.limits), wave.rate
        return torch.from_numpy(values), rate

    def mono(self, rate: int) -> Tensor:
        """Float32 ``[samples]``: the mean of the channels at ``rate`` samples a second (polyphase resampling).

        Raises:
            MediaError: as `samples`; ``audio_corrupt`` where there is no sample.
        """
        import torch

        values, own = self.samples()
        if not values.numel():
            raise MediaError("audio_corrupt", name_of(self.path, self.data), "it holds no sample")
        mixed = values.mean(0)
        if own == rate:
            return mixed
        from scipy.signal import resample_poly

        common = math.gcd(own, rate)
        made: Any = resample_poly(mixed.double().numpy(), rate // common, own // common)
        return torch.from_numpy(made).float()

    def __repr__(self) -> str:
        return shown("Audio", self.path, self.data)

    def fingerprint(self) -> str:
        """The content hash: what a score that depends on this sound depends on."""
        return self.content_hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Audio):
            return NotImplemented
        return self is other or self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> object:
        try:
            return self.content_hash
        except MediaError:
            return self.path, self.data


def _read_wave(file: BinaryIO, source: str) -> _Wave | None:
    """The header of a WAV file whose samples are plain numbers; None for anything else."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    described = b""
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data" and described:
            return _plain(described, file.tell(), size, source)
        if chunk[:4] == b"fmt ":
            described = file.read(min(size, 64))
            size -= len(described)
        file.seek(size + size % 2, 1)
    raise MediaError("audio_truncated", source, "the file ends before its samples begin; fetch it again")


def _plain(described: bytes, start: int, size: int, source: str) -> _Wave | None:
    def number(place: int, count: int) -> int:
        return int.from_bytes(described[place : place + count], "little")

    code = number(24, 2) if number(0, 2) == _EXTENSIBLE else number(0, 2)
    wave = _Wave(code, number(2, 2), number(4, 4), number(14, 2), start, size)
    if (wave.code, wave.bits) not in {*((_PCM, bits) for bits in (8, 16, 24, 32)), (_FLOAT, 32), (_FLOAT, 64)}:
        return None
    if not wave.channels or not wave.rate:
        raise MediaError("audio_corrupt", source, f"{wave.channels} channels at {wave.rate} samples a second")
    return wave


def _wave_samples(file: BinaryIO, wave: _Wave, source: str, limits: Limits) -> npt.NDArray[np.float32]:
    import numpy as np

    here = file.seek(0, 2) - wave.start
    unknown = wave.size in (0, _UNKNOWN_SIZE) and here > 0  # written to a pipe: the samples run to the end
    if not unknown and wave.size > here:
        raise MediaError("audio_truncated", source, f"{here:,} of {wave.size:,} bytes of samples; fetch it again")
    frame = wave.channels * wave.bits // 8
    frames = (here if unknown else wave.size) // frame
    _check(frames * wave.channels, source, limits)
    file.seek(wave.start)
    raw = np.frombuffer(file.read(frames * frame), dtype=np.uint8)
    if wave.code == _FLOAT:
        values = raw.view(f"<f{wave.bits // 8}").astype(np.float32)
    elif wave.bits == 8:
        values = (raw.astype(np.float32) - 128) / 128
    elif wave.bits == 24:
        high = np.zeros((raw.size // 3, 4), dtype=np.uint8)
        high[:, 1:] = raw.reshape(-1, 3)
        values = high.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    else:
        values = raw.view(f"<i{wave.bits // 8}").astype(np.float32) / 2.0 ** (wave.bits - 1)
    return np.ascontiguousarray(values.reshape(frames, wave.channels).T, dtype=np.float32)


def _decoded(file: BinaryIO, source: str, limits: Limits) -> tuple[npt.NDArray[np.float32], int]:
    import numpy as np

    with opened(file, source, "audio") as (container, stream):
        from av.audio.resampler import AudioResampler

        rate = int(stream.codec_context.sample_rate)
        planar: Any = AudioResampler(format="fltp")
        pieces: list[npt.NDArray[np.float32]] = []
        total = 0
        for frame in chain(container.decode(stream), [None]):
            for piece in planar.resample(frame):
                values = cast("npt.NDArray[np.float32]", piece.to_ndarray())
                total += values.size
                _check(total, source, limits)
                pieces.append(values)
    if not pieces:
        raise MediaError("audio_corrupt", source, "no sample could be decoded")
    return np.concatenate(pieces, axis=1), rate


def _check(count: int, source: str, limits: Limits) -> None:
    if count > limits.max_samples:
        raise MediaError(
            "too_many_samples",
            source,
            f"{count:,} samples, over the limit of {limits.max_samples:,}; make it with larger Limits",
        )
