import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.media import DECODED, Image, Limits, MediaError, Video


def write_mp4(path: Path, count: int, size: tuple[int, int] = (64, 48), fps: int = 10, codec: str = "mpeg4") -> None:
    """Frame i shows i in binary as black and white bars, which lossy coding keeps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 12
        for i in range(count):
            bars = np.repeat([255 * (i >> bit & 1) for bit in range(8)], size[0] // 8).astype(np.uint8)
            pixels = np.broadcast_to(bars[None, :, None], (size[1], size[0], 3)).copy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module", params=["mp4", "mkv", "avi", "ts"])
def clip(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / f"clip.{request.param}"
    write_mp4(path, 50)
    return path


def level(picture: PIL.Image.Image) -> int:
    bars = np.asarray(picture)[..., 0].reshape(picture.height, 8, -1).mean(axis=(0, 2))
    return sum(1 << bit for bit in range(8) if bars[bit] > 127)


def test_facts_come_without_decoding(clip: Path):
    before = DECODED.count
    video = Video.from_path(clip)
    assert (len(video), video.rate, video.size) == (50, 10.0, (64, 48))
    assert video.duration == pytest.approx(5.0)
    assert DECODED.count == before


@pytest.mark.parametrize("window", [(0, 5, 1), (0, None, 1), (30, 36, 1), (12, 13, 1), (47, 99, 1), (5, 45, 9)])
def test_windows_hold_exactly_their_frames(clip: Path, window):
    before = DECODED.count
    frames = [level(frame) for frame in Video.from_path(clip).window(*window)]
    start, stop, step = window
    expected = list(range(start, min(stop or 50, 50), step))
    assert frames == expected
    assert DECODED.count == before + len(expected)


def test_bytes_and_path_are_one_video(clip: Path):
    by_path, by_bytes = Video.from_path(clip), Video.from_bytes(clip.read_bytes())
    assert by_path == by_bytes
    assert by_path.content_hash == by_bytes.content_hash
    assert [level(frame) for frame in by_bytes.window(20, 23)] == [20, 21, 22]


def test_an_empty_window_and_wrong_arguments(clip: Path):
    video = Video.from_path(clip)
    assert list(video.window(50)) == []
    for arguments in ({"start": -1}, {"step": 0}):
        with pytest.raises(ValueError, match="need start"):
            list(video.window(**arguments))


def test_limits_are_checked_before_decoding(clip: Path):
    for limits, code in (
        (Limits(max_pixels=64 * 48 - 1), "too_many_pixels"),
        (Limits(max_frames=49), "too_many_frames"),
        (Limits(max_bytes=100), "file_too_large"),
    ):
        before = DECODED.count
        with pytest.raises(MediaError) as caught:
            list(Video.from_path(clip, limits).window())
        assert caught.value.code == code
        assert DECODED.count == before


def test_a_cut_file_is_truncated(tmp_path: Path):
    write_mp4(tmp_path / "whole.mp4", 40)
    content = (tmp_path / "whole.mp4").read_bytes()
    with pytest.raises(MediaError) as caught:
        len(Video.from_bytes(content[: len(content) // 2]))
    assert caught.value.code == "video_truncated"


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path):
    write_mp4(tmp_path / "clip.mp4", 5)
    content = (tmp_path / "clip.mp4").read_bytes()
    assert b"Lavf" in content
    assert len(list(Video.from_bytes(content.replace(b"Lavf", b"L\xe9vf")).window())) == 5


def test_what_is_no_video(tmp_path: Path):
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    for content, code in ((b"text", "not_a_video"), (playlist, "not_a_video"), (b"", "empty_file")):
        with pytest.raises(MediaError) as caught:
            len(Video.from_bytes(content))
        assert caught.value.code == code


def test_rotation_written_in_the_file_is_applied(tmp_path: Path):
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        pixels = np.full((48, 64, 3), 255, dtype=np.uint8)
        pixels[:, :32] = 0  # the left half is dark
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    one, minus = (0x10000).to_bytes(4, "big"), (0x100000000 - 0x10000).to_bytes(4, "big")
    unit = bytes(4)
    identity = one + unit * 3 + one + unit * 3 + (0x40000000).to_bytes(4, "big")
    place = content.index(identity, content.index(b"tkhd"))
    quarter = unit + one + unit + minus + unit * 4 + (0x40000000).to_bytes(4, "big")  # 90 degrees clockwise
    content[place : place + 36] = quarter
    frame = next(Video.from_bytes(bytes(content)).window())
    assert frame.size == (48, 64)
    assert frame.getpixel((24, 10))[0] < 60  # left turned clockwise is top
    assert frame.getpixel((24, 54))[0] > 195


def test_gif_needs_no_extra(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    frames = [PIL.Image.new("RGB", (6, 4), (40 * i, 0, 0)) for i in range(5)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=200)
    video = Video.from_bytes(buffer.getvalue())
    assert (len(video), video.rate, video.duration, video.size) == (5, 5.0, 1.0, (6, 4))
    assert [frame.getpixel((0, 0))[0] for frame in video.window(1, 4)] == [40, 80, 120]
    with pytest.raises(MediaError, match="truncated"):
        list(Video.from_bytes(buffer.getvalue()[:-20]).window())


def test_without_the_extra_the_error_names_it(clip: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaError, match=r"assay\[video\]") as caught:
        len(Video.from_path(clip))
    assert caught.value.code == "missing_extra"


def test_frames_as_pictures():
    pictures = [Image.from_pil(PIL.Image.new("RGB", (5, 4), (i, i, i))) for i in range(6)]
    video = Video.from_frames(pictures, fps=3)
    assert (len(video), video.rate, video.duration, video.size) == (6, 3, 2.0, (5, 4))
    assert [frame.getpixel((0, 0))[0] for frame in video.window(2, 5)] == [2, 3, 4]
    assert video == Video.from_frames(pictures, fps=3)
    assert video != Video.from_frames(pictures, fps=4)
    assert video != Video.from_frames(pictures[::-1], fps=3)


def test_one_origin():
    for arguments in ({}, {"path": Path("a"), "data": b"b"}):
        with pytest.raises(ValueError, match="exactly one origin"):
            Video(**arguments)


SCRIPT = """
import sys
from assay.media import Video
video = Video.from_path(sys.argv[1])
total = seen = 0
for start in range(0, len(video), 500):
    for frame in video.window(start, start + 500):
        seen += 1
        total += frame.width
status = open("/proc/self/status").read()  # ru_maxrss would include the peak of the process that started this one
print(seen, int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_ten_thousand_frames_stay_under_300_mb(tmp_path: Path):
    path = tmp_path / "long.mp4"
    write_mp4(path, 10_000, fps=30)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen, megabytes = done.stdout.split()
    assert int(seen) == 10_000
    assert float(megabytes) < 300


GIF = io.BytesIO()
_FRAMES = [PIL.Image.new("RGB", (16, 12), (40 * i, 0, 0)) for i in range(4)]
_FRAMES[0].save(GIF, format="GIF", save_all=True, append_images=_FRAMES[1:], duration=100)


@settings(max_examples=120, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5),
    early=st.booleans(),
    gif=st.booleans(),
)
def test_mutated_files_give_frames_or_a_media_error(clip, edits, early, gif):
    data = bytearray(GIF.getvalue() if gif else clip.read_bytes())
    for place, value in edits:
        data[int(place * ((min(len(data), 400) if early else len(data)) - 1))] = value
    limits = Limits(max_pixels=100_000, max_frames=500)
    try:
        frames = [frame.mode for frame in Video.from_bytes(bytes(data), limits).window(2, 6)]
    except MediaError as error:
        assert error.code.startswith(("video_", "not_a_video", "too_many", "missing_frames", "unsupported"))  # noqa: PT017
    else:
        assert set(frames) <= {"RGB"}


@pytest.mark.parametrize("numbers", [[3, 17, 44], [0], [49], [], [0, 1, 2, 48, 49]])
def test_frames_by_number_are_those_of_a_window(clip: Path, numbers: list[int]):
    before = DECODED.count
    assert [level(frame) for frame in Video.from_path(clip).at(numbers)] == numbers
    assert DECODED.count == before + len(numbers)


def test_frames_far_apart_are_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_mp4(tmp_path / "long.mp4", 60)
    whole = Video.from_path(tmp_path / "long.mp4")
    expected = [level(frame) for frame in whole.at([2, 30, 58])]
    monkeypatch.setattr("assay.media.video._FAR", 10)
    assert [level(frame) for frame in whole.at([2, 30, 58])] == expected == [2, 30, 58]


@pytest.mark.parametrize("numbers", [[3, 2], [3, 3], [-1], [50]])
def test_numbers_that_are_not_there_are_refused(clip: Path, numbers: list[int]):
    with pytest.raises(ValueError, match="ascending numbers below 50"):
        list(Video.from_path(clip).at(numbers))


def test_a_frame_knows_its_time(clip: Path):
    video = Video.from_path(clip)
    assert [round(video.seconds(i), 2) for i in (0, 5, 49)] == [0.0, 0.5, 4.9]
    assert Video.from_frames([Image.from_array(np.zeros((4, 4, 3), np.uint8))] * 3, fps=4.0).seconds(2) == 0.5


def test_a_frame_is_a_picture(clip: Path):
    video = Video.from_path(clip)
    frame = Image.from_video(video, 7)
    before = DECODED.count
    assert frame == Image.from_video(Video.from_path(clip), 7)
    assert frame != Image.from_video(video, 8)
    assert len(frame.content_hash) == 64
    assert DECODED.count == before
    assert level(frame.pil()) == 7
    assert frame.size == (64, 48)
    assert Image.from_bytes(frame.read()).pil().tobytes() == frame.pil().tobytes()
    still = Image.from_array(np.zeros((4, 4, 3), np.uint8))
    assert Image.from_video(Video.from_frames([still], 1.0), 0) is still
