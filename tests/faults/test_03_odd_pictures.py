"""Fault 3: empty, mistyped, tiny, CMYK, rotated and animated files: a typed error or one documented conversion."""

import io
from pathlib import Path

import PIL.Image
import pytest

from assay.media import Image, MediaError


def save(path: Path, picture: PIL.Image.Image, format: str, **options) -> Image:
    buffer = io.BytesIO()
    picture.save(buffer, format=format, **options)
    path.write_bytes(buffer.getvalue())
    return Image.from_path(path)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.png", b"", "empty_file"),
        ("text.jpg", b"this is a note, not a photograph", "not_an_image"),
        ("page.png", b"<html><body>404</body></html>", "not_an_image"),
        ("sound.png", b"RIFF\x24\x00\x00\x00WAVEfmt ", "not_an_image"),
    ],
)
def test_what_is_no_picture_is_a_typed_error_naming_the_file(name, content, code, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError) as caught:
        Image.from_path(tmp_path / name).pil()
    assert caught.value.code == code
    assert name in str(caught.value)
    assert "0x" not in str(caught.value)  # no address of this process


def test_one_pixel(tmp_path: Path):
    image = save(tmp_path / "one.png", PIL.Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")
    assert (image.size, image.pil().getpixel((0, 0))) == ((1, 1), (1, 2, 3))


def test_cmyk(tmp_path: Path):
    image = save(tmp_path / "print.jpg", PIL.Image.new("CMYK", (8, 8), (255, 0, 255, 0)), "JPEG")
    red, green, blue = image.pil().getpixel((4, 4))
    assert (red < 8, green > 247, blue < 8) == (True, True, True)


def test_rotated_by_exif(tmp_path: Path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    lying = PIL.Image.new("RGB", (16, 8), "white")
    lying.paste((255, 0, 0), (0, 0, 8, 8))  # left half red: upright, the top half
    image = save(tmp_path / "phone.jpg", lying, "JPEG", exif=exif, quality=95)
    assert image.size == image.pil().size == (8, 16)
    assert image.pil().getpixel((4, 2))[1] < 40
    assert image.pil().getpixel((4, 13))[1] > 215


def test_animated_gives_its_first_frame(tmp_path: Path):
    frames = [PIL.Image.new("RGB", (5, 5), colour) for colour in ("blue", "yellow")]
    image = save(tmp_path / "moving.gif", frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert image.pil().getpixel((2, 2)) == (0, 0, 255)


def test_the_extension_may_lie(tmp_path: Path):
    image = save(tmp_path / "really_a_png.jpg", PIL.Image.new("RGB", (5, 4), "lime"), "PNG")
    assert image.pil().getpixel((2, 2)) == (0, 255, 0)
