"""What every test runs under: no network, one thread a process, and a torchvision that imports beside any torch."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import PIL.Image
import pytest
import torch

from assay.media import Image

torch.set_num_threads(1)
_KEPT: list[torch.library.Library] = []


def mend_torchvision() -> bool:
    """Import torchvision, defining the two operators that a build for another torch lacks. False: it is not installed.

    A torchvision that does not match torch fails to import and takes transformers with it. Where a matching one is
    installed the first import succeeds and nothing is defined.
    """
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        importlib.import_module("torchvision")
    return True


mend_torchvision()

Picture = Callable[..., Image]


def make_picture(width: int = 64, height: int = 64, seed: int = 0) -> Image:
    """A picture of random colours in large blocks, which survive resizing."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    drawn = PIL.Image.fromarray(blocks).resize((width, height), PIL.Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG")
    return Image.from_bytes(buffer.getvalue())


@pytest.fixture
def picture() -> Picture:
    return make_picture
