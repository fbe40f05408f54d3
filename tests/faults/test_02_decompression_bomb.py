"""Fault 2: a small file that claims hundreds of megapixels is refused from its header, in no time and no memory."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest


def bomb(side: int) -> bytes:
    """A valid PNG: ``side`` x ``side`` RGB zeros, compressed about a thousandfold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


SCRIPT = """
import sys, time
from assay.media import Image, MediaError
small, large = sys.argv[1:]
Image.from_path(small).pil()                                 # imports and plugins are loaded
def peak():  # ru_maxrss would include the peak of the process that started this one
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before = peak()
times = []
for ask in (lambda image: image.pil(), lambda image: image.size) * 5:
    start = time.process_time()
    try:
        ask(Image.from_path(large))
    except MediaError as error:
        assert error.code == "too_many_pixels" and large in str(error), error
    else:
        raise SystemExit("decoded")
    times.append(time.process_time() - start)
grown = peak() - before
print(max(times) * 1000, grown / 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
@pytest.mark.parametrize("side", [9_000, 13_000])  # 81 and 169 megapixels: Pillow itself opens either
def test_refused_from_the_header(side, tmp_path: Path):
    small, large = tmp_path / "small.png", tmp_path / "bomb.png"
    small.write_bytes(bomb(4))
    large.write_bytes(bomb(side))
    assert large.stat().st_size < 1_000_000
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(small), str(large)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    milliseconds, megabytes = map(float, done.stdout.split())
    assert milliseconds < 10
    assert megabytes < 20
