"""Where a backbone runs and in which number format, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_NAMES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """The device and the number format of a backbone's weights, and why. A head is float32 in every case."""

    device: torch.device
    dtype: torch.dtype
    reason: str


def placement(device: str | torch.device = "auto", dtype: str | torch.dtype = "auto") -> Placement:
    """Choose what was left to ``auto``: cuda before mps before cpu; bfloat16 where cuda computes in it, else float32.

    Raises:
        ValueError: an unknown dtype, a malformed device, or a device this machine does not have.
    """
    where, why_there = _device(device)
    what, why_that = _dtype(dtype, where)
    return Placement(where, what, f"{where}: {why_there}; {str(what).removeprefix('torch.')}: {why_that}")


def _device(asked: str | torch.device) -> tuple[torch.device, str]:
    if str(asked) != "auto":
        try:
            device = torch.device(asked)
        except RuntimeError:
            raise ValueError(f"unknown device {asked!r}: use auto, cpu, cuda, cuda:1 or mps") from None
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(f"device {str(device)!r} was asked for, but torch sees {torch.cuda.device_count()} GPUs")
        if device.type == "mps" and not torch.backends.mps.is_available():
            raise ValueError("device 'mps' was asked for, but this torch has no Metal backend")
        return device, "asked for"
    if torch.cuda.is_available():
        return torch.device("cuda"), "torch sees a GPU"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "torch sees Metal"
    return torch.device("cpu"), "no GPU was found"


def _dtype(asked: str | torch.dtype, device: torch.device) -> tuple[torch.dtype, str]:
    if isinstance(asked, torch.dtype):
        return asked, "asked for"
    if asked != "auto":
        if asked not in _NAMES:
            raise ValueError(f"unknown dtype {asked!r}: use auto, float32, bfloat16 or float16")
        return _NAMES[asked], "asked for"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "the GPU computes in it, and the head stays float32"
    return torch.float32, "exact; bfloat16 on a CPU is faster but flips about 1 % of close pairs"
