"""Fault 1: a truncated picture is a typed error that names the file, and Pillow is never told to guess the rest."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

from assay.media import Image, MediaError


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_download_that_broke_off(format, tmp_path: Path):
    pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format=format)
    path = tmp_path / f"photo.{format.lower()}"
    path.write_bytes(buffer.getvalue())
    assert Image.from_path(path).pil().size == (80, 60)
    for part in (0.1, 0.5, 0.95):
        path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * part)])
        with pytest.raises(MediaError) as caught:
            Image.from_path(path).pil()
        assert caught.value.code == "image_truncated"
        assert caught.value.source == str(path)
        assert str(path) in str(caught.value)
    assert PIL.ImageFile.LOAD_TRUNCATED_IMAGES is False
