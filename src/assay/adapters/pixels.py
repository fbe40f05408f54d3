"""Pictures and videos from the tensors and arrays that image generators hand over."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from assay.media import Image, Video
from assay.records.attachments import ROUNDING


def picture(pixels: Any) -> Image:
    """A picture from ``[3, height, width]`` or ``[height, width, 3]``: uint8, or floats in 0..1 (rounded to 8 bits, as
    a file of it would be).

    Raises:
        ValueError: another shape.
    """
    tensor = tensor_of(pixels)
    if tensor.ndim == 3 and tensor.shape[0] == 3:
        tensor = tensor.permute(1, 2, 0)
    if tensor.ndim != 3 or tensor.shape[2] != 3:
        raise ValueError(
            f"a picture is [3, height, width] or [height, width, 3], got {list(torch.as_tensor(pixels).shape)}"
        )
    return Image.from_array(in_8_bits(tensor).contiguous().numpy())


def video(pixels: Any, fps: float) -> Video:
    """A video from ``[frames, ...]`` of pictures.

    Raises:
        ValueError: no frame, or frames of another shape.
    """
    tensor = tensor_of(pixels)
    if tensor.ndim != 4 or not tensor.shape[0]:
        raise ValueError(f"a video is [frames, 3, height, width], got {list(tensor.shape)}")
    return Video.from_frames([picture(frame) for frame in tensor], fps)


def tensor_of(pixels: Any) -> Tensor:
    """A tensor or array as a tensor in memory, cut off from any graph.

    Raises:
        ValueError: neither.
    """
    try:
        return torch.as_tensor(pixels).detach().cpu()
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"pixels are a tensor or an array, not a {type(pixels).__name__}") from error


def in_8_bits(tensor: Tensor) -> Tensor:
    """Floats in 0..1 as uint8, rounded; uint8 as it is.

    Raises:
        ValueError: another type, or floats that are not finite or lie further outside 0..1 than rounding leaves them.
    """
    if tensor.dtype == torch.uint8:
        return tensor
    if not tensor.is_floating_point():
        raise ValueError(f"pixels are uint8, or floats in 0..1, got {tensor.dtype}")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("pixels that are not finite")
    if tensor.numel() and (float(tensor.min()) < -ROUNDING or float(tensor.max()) > 1 + ROUNDING):
        said = f"floats from {float(tensor.min()):g} to {float(tensor.max()):g}"
        raise ValueError(f"pixels are uint8, or floats in 0..1 that are not normalised further, got {said}")
    return tensor.float().mul(255).round().clamp(0, 255).to(torch.uint8)
