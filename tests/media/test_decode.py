import io
import pickle
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.media import DECODED, Image, Limits, MediaError
from assay.media.decode import decode, read_header


def encoded(picture: PIL.Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()


def scenery(width: int = 40, height: int = 30) -> PIL.Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def code_of(data: bytes, limits: Limits = Limits()) -> str:  # noqa: B008
    with pytest.raises(MediaError) as caught:
        decode(None, data, limits)
    assert "0x" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF"])
def test_every_format_is_read_whatever_its_name(format, tmp_path: Path):
    path = tmp_path / "named.txt"
    path.write_bytes(encoded(scenery(), format))
    picture = Image.from_path(path)
    assert picture.size == (40, 30) == picture.pil().size
    assert picture.pil().mode == "RGB"
    assert read_header(path, None).format == format


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated(format, part, monkeypatch):
    whole = encoded(scenery(), format)
    cut = whole[: int(len(whole) * part)]
    assert code_of(cut) == "image_truncated"
    if format != "PPM":  # a PPM does not say where it ends
        monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        assert code_of(cut) == "image_truncated"


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"hello", "none of JPEG"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"  <svg xmlns=", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of JPEG"),
    ],
)
def test_another_type_is_named(content, hint):
    assert code_of(content) == "not_an_image"
    with pytest.raises(MediaError, match=hint):
        decode(None, content)


def test_files_that_cannot_be_read(tmp_path: Path):
    cases = {"missing_file": tmp_path / "gone.png", "not_a_file": tmp_path, "empty_file": tmp_path / "empty.png"}
    cases["empty_file"].touch()
    for code, path in cases.items():
        for ask in (lambda image: image.pil(), lambda image: image.size, lambda image: image.content_hash):
            with pytest.raises(MediaError) as caught:
                ask(Image.from_path(path))
            assert caught.value.code == code
            assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a\x00b.png", "a\ud800b.png"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(MediaError, match="missing_file"):
        Image.from_path(name).pil()


def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path):
    import os

    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(MediaError, match="not_a_file"):
        Image.from_path(tmp_path / "pipe.png").pil()


def test_limits_on_bytes_pixels_and_side():
    data = encoded(scenery(100, 10))
    assert code_of(data, Limits(max_bytes=len(data) - 1)) == "file_too_large"
    assert code_of(data, Limits(max_pixels=999)) == "too_many_pixels"
    assert code_of(data, Limits(max_side=99)) == "too_many_pixels"
    assert decode(None, data, Limits(max_bytes=len(data), max_pixels=1000, max_side=100)).size == (100, 10)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_is_refused_before_pillow_allocates_its_canvas(lossless, monkeypatch):
    data = encoded(scenery(300, 200), "WEBP", lossless=lossless)
    with monkeypatch.context() as patch:
        patch.setattr(PIL.Image, "open", lambda *_, **__: pytest.fail("opened before its size was checked"))
        assert code_of(data, Limits(max_pixels=300 * 200 - 1)) == "too_many_pixels"
    assert code_of(data, Limits(max_pixels=300 * 200 - 1)) == "too_many_pixels"
    assert decode(None, data, Limits(max_pixels=300 * 200)).size == (300, 200)


def test_animated_webp_canvas_is_read_from_its_header(monkeypatch):
    frames = [scenery(64, 48), scenery(64, 48).rotate(180)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    monkeypatch.setattr(PIL.Image, "open", lambda *_, **__: pytest.fail("opened before its size was checked"))
    assert code_of(data, Limits(max_side=63)) == "too_many_pixels"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied_to_pixels_and_size(orientation, format):
    upright = PIL.Image.new("RGB", (32, 16), "white")
    upright.paste((255, 0, 0), (0, 0, 8, 8))  # red in the top left corner
    stored = {
        1: upright,
        2: upright.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(PIL.Image.Transpose.ROTATE_180),
        4: upright.transpose(PIL.Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(PIL.Image.Transpose.TRANSPOSE),
        6: upright.transpose(PIL.Image.Transpose.ROTATE_90),
        7: upright.transpose(PIL.Image.Transpose.TRANSVERSE),
        8: upright.transpose(PIL.Image.Transpose.ROTATE_270),
    }[orientation]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = Image.from_bytes(encoded(stored, format, exif=exif))
    assert image.size == (32, 16) == image.pil().size
    assert np.abs(np.asarray(image.pil(), dtype=int) - np.asarray(upright, dtype=int)).mean() < 4


def test_a_damaged_exif_block_counts_as_upright():
    assert Image.from_bytes(encoded(scenery(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")).size == (40, 30)


def test_size_is_read_without_decoding():
    image = Image.from_bytes(encoded(scenery()))
    before = DECODED.count
    assert image.size == (40, 30)
    assert DECODED.count == before
    image.pil()
    assert DECODED.count == before + 1


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    for format in ("PNG", "TIFF"):
        pixels = np.asarray(Image.from_bytes(encoded(PIL.Image.fromarray(ramp), format)).pil())
        assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    pgm = b"P5 4 1 65535\n" + ramp.astype(">u2").tobytes()
    assert np.asarray(Image.from_bytes(pgm).pil())[0, :, 1].tolist() == [0, 1, 128, 255]


def test_cmyk_becomes_rgb():
    for format in ("JPEG", "TIFF"):
        image = Image.from_bytes(encoded(PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0)), format))
        assert image.pil().mode == "RGB"
        assert np.abs(np.asarray(image.pil(), dtype=int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (0, 51), (204, 204, 204)),
        ("1", 1, (255, 255, 255)),
        ("1", 0, (0, 0, 0)),
        ("L", 77, (77, 77, 77)),
    ],
)
def test_alpha_is_composited_on_white_and_grey_becomes_rgb(mode, colour, expected):
    image = Image.from_bytes(encoded(PIL.Image.new(mode, (3, 2), colour)))
    assert image.pil().getpixel((1, 1)) == expected


def test_palette_with_a_transparent_colour():
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    image = Image.from_bytes(encoded(picture, transparency=0))
    assert [image.pil().getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


def test_transparent_colour_of_an_rgb_png():
    picture = PIL.Image.new("RGB", (2, 1), (1, 2, 3))
    picture.putpixel((1, 0), (9, 9, 9))
    image = Image.from_bytes(encoded(picture, transparency=(1, 2, 3)))
    assert [image.pil().getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (9, 9, 9)]


def test_the_first_frame_of_an_animation():
    frames = [PIL.Image.new("RGB", (6, 6), colour) for colour in ("red", "lime")]
    for format in ("GIF", "PNG", "TIFF"):
        image = Image.from_bytes(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
        assert image.pil().getpixel((3, 3)) == (255, 0, 0)


def test_pixels_that_name_no_white_are_refused():
    for mode in ("F", "I"):
        assert code_of(encoded(PIL.Image.new(mode, (4, 4)), "TIFF")) == "unsupported_pixels"


def test_errors_cross_processes():
    with pytest.raises(MediaError) as caught:
        decode(None, b"text")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.code, again.source, str(again)) == (caught.value.code, caught.value.source, str(caught.value))


def test_many_threads_decode_alike():
    data = [encoded(scenery(64 + i, 48), "JPEG") for i in range(6)]
    expected = [np.asarray(decode(None, item)) for item in data]
    wrong: list[int] = []

    def work() -> None:
        for i, item in enumerate(data * 5):
            if not np.array_equal(np.asarray(decode(None, item)), expected[i % 6]):
                wrong.append(i)

    before = DECODED.count
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert DECODED.count == before + 4 * 30


SEEDS = [
    encoded(scenery(20, 15)),
    encoded(scenery(20, 15), "JPEG"),
    encoded(scenery(20, 15), "GIF", save_all=True, append_images=[scenery(20, 15).rotate(180)]),
    encoded(scenery(20, 15), "WEBP"),
    encoded(scenery(20, 15), "TIFF", compression="tiff_lzw"),
    encoded(scenery(20, 15), "BMP"),
]
SMALL = Limits(max_pixels=250_000, max_side=4096)


@settings(max_examples=300, deadline=2000)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
    st.booleans(),
)
def test_mutated_files_give_a_picture_or_a_media_error(seed, edits, end, cut):
    data = bytearray(seed)
    for place, value in edits:
        data[int(place * (len(data) - 1))] = value
    content = bytes(data[: int(end * len(data))] if cut else data)
    try:
        picture = decode(None, content, SMALL)
    except MediaError as error:
        assert "0x" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert picture.mode == "RGB"
        assert picture.width * picture.height <= SMALL.max_pixels
        assert read_header(None, content, SMALL).size == picture.size


@settings(max_examples=60, deadline=2000)
@given(st.binary(max_size=300))
def test_random_bytes_give_a_media_error(content):
    with pytest.raises(MediaError):
        decode(None, content, SMALL)
