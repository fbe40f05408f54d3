"""What a vision tower made of pictures, kept so that no picture runs through it twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.models.base import Pixels


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """One picture as the language model takes it in.

    ``hidden`` ``[tokens, hidden]`` replaces the placeholder embeddings; ``deepstack`` holds one tensor of the same
    shape for each early decoder layer that Qwen3-VL adds features to, and is empty for every other class.
    """

    hidden: Tensor
    deepstack: tuple[Tensor, ...] = ()

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.hidden, *self.deepstack))

    def detached(self) -> ImageFeatures:
        """The same values without their graph, in memory of their own, fit for training too."""
        with torch.inference_mode(False):
            return ImageFeatures(
                self.hidden.detach().clone(), tuple(tensor.detach().clone() for tensor in self.deepstack)
            )


Tower = Callable[[Sequence[Pixels]], list[ImageFeatures]]


class FeatureStore:
    """Picture features of one model, least recently used out first, at most ``max_bytes`` of them.

    A store is read and filled only while no gradient can reach the tower and no dropout is active in it. Features made
    before a change of the tower's weights are forgotten: tensors count their in-place changes, so an optimiser step or
    a loaded checkpoint is noticed. Counters: ``tower_calls`` forwards of the tower, ``tower_images`` pictures in them,
    ``hits`` pictures found here instead. Safe to share between threads.
    """

    def __init__(self, max_bytes: int = 256 * 2**20, images_per_call: int = 32) -> None:
        if max_bytes < 0 or images_per_call < 1:
            raise ValueError(f"need max_bytes >= 0 and images_per_call >= 1, got {max_bytes} and {images_per_call}")
        self.max_bytes = max_bytes
        self.images_per_call = images_per_call
        self.tower_calls = 0
        self.tower_images = 0
        self.hits = 0
        self._kept: OrderedDict[str, ImageFeatures] = OrderedDict()
        self._bytes = 0
        self._stamp: tuple[int, ...] = ()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory held now, in bytes."""
        return self._bytes

    def get(self, tower: Tower, parts: Sequence[nn.Module], pixels: Sequence[Pixels]) -> dict[str, ImageFeatures]:
        """The features of each picture by its key; every key that is not kept runs through the tower exactly once.

        ``parts`` are the modules ``tower`` runs (encoder, projector): their weights and modes decide what may be kept.
        """
        unique = {picture.key: picture for picture in pixels}
        keeps = self.max_bytes > 0 and _is_fixed(parts, unique.values())
        found = self._find(unique, parts) if keeps else {}
        missing = [picture for key, picture in unique.items() if key not in found]
        for first in range(0, len(missing), self.images_per_call):
            chunk = missing[first : first + self.images_per_call]
            made = tower(chunk)
            with self._lock:
                self.tower_calls += 1
                self.tower_images += len(chunk)
            for picture, features in zip(chunk, made, strict=True):
                found[picture.key] = features
                if keeps:
                    self._keep(picture.key, features.detached())
        return found

    def _find(self, unique: dict[str, Pixels], parts: Sequence[nn.Module]) -> dict[str, ImageFeatures]:
        stamp = weights_stamp(parts)
        with self._lock:
            if stamp != self._stamp:
                self._kept.clear()
                self._bytes, self._stamp = 0, stamp
            found = {key: self._kept[key] for key in unique if key in self._kept}
            for key in found:
                self._kept.move_to_end(key)
            self.hits += len(found)
        return found

    def _keep(self, key: str, features: ImageFeatures) -> None:
        if features.bytes > self.max_bytes:
            return
        with self._lock:
            replaced = self._kept.pop(key, None)
            self._bytes += features.bytes - (replaced.bytes if replaced else 0)
            self._kept[key] = features
            while self._bytes > self.max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= dropped.bytes


def _is_fixed(parts: Sequence[nn.Module], pixels: Iterable[Pixels]) -> bool:
    if any(tensor.requires_grad for picture in pixels for tensor in picture.inputs.values()):
        return False
    if torch.is_grad_enabled() and any(weight.requires_grad for part in parts for weight in part.parameters()):
        return False
    return not any(_drops(module) for part in parts for module in part.modules())


def _drops(module: nn.Module) -> bool:
    rate = module.p if isinstance(module, nn.Dropout) else getattr(module, "dropout", 0.0)
    return module.training and isinstance(rate, float) and rate > 0.0


def weights_stamp(parts: Sequence[nn.Module]) -> tuple[int, ...]:
    """What changes when a weight does: where they are and how often each was written."""
    first = next((weight for part in parts for weight in part.parameters()), None)
    place = (hash((str(first.device), first.dtype)), first.data_ptr()) if first is not None else ()
    weights = (weight for part in parts for weight in part.parameters())
    return (*place, *(0 if weight.is_inference() else weight._version for weight in weights))
