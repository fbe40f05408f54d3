"""Hidden states of a frozen backbone: computed once, kept across epochs, runs and interruptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from assay.models.base import Batch, TokenSequence
from assay.rewards.learned import LearnedReward, weights_fingerprint


@final
class StateStore:
    """The hidden states ``[reads, hidden]`` of token sequences, by what the backbone was given: ids, types, pictures.

    States are held in memory, in the backbone's format, and, with a ``directory``, written to it as safetensors after
    every batch, below the fingerprint of weights and preprocessing, so that another run (another fold, a resumed one)
    finds them. ``computed`` and ``found`` count sequences. A damaged file is computed again.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self.computed = 0
        self.found = 0
        self._states: dict[str, dict[str, Tensor]] = {}

    def open(self, reward: LearnedReward, autocast: torch.dtype | None) -> Callable[[Batch], list[Tensor]]:
        """A function from a batch to the states ``[reads, hidden]`` of each sequence, without gradient.

        The backbone must not change while it is used.
        """
        module = reward.backbone.module
        described = [weights_fingerprint(module), sorted(reward.backbone.fingerprints().items()), str(autocast)]
        name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]
        if name not in self._states:
            self._states[name] = self._load(name)
        known = self._states[name]

        @torch.no_grad()
        def states(batch: Batch) -> list[Tensor]:
            sequences = [sequence for group in batch.groups for sequence in group]
            keys = [_key(sequence) for sequence in sequences]
            groups = [[s for s in group if _key(s) not in known] for group in batch.groups]
            missing = Batch([group for group in groups if group], batch.pixels)
            new = [s for group in missing.groups for s in group]
            if new:
                device = reward.backbone.placement.device.type
                with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
                    made = reward.model.states(missing, layout=reward.layout, token_budget=reward.token_budget)
                fresh = {_key(s): state.detach().cpu().clone() for s, state in zip(new, made, strict=True)}
                known.update(fresh)
                self._write(name, fresh)
            self.computed += len(new)
            self.found += len(sequences) - len(new)
            device = reward.backbone.placement.device
            return [known[key].to(device) for key in keys]

        return states

    def _load(self, name: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for path in sorted((self.directory / name).glob("*.safetensors")) if self.directory else []:
            try:
                with safe_open(path, framework="pt") as file:
                    told = file.metadata() or {}
                    keys, counts = cast("list[str]", json.loads(told["keys"])), json.loads(told["counts"])
                    found |= dict(zip(keys, file.get_tensor("states").split(counts), strict=True))
            except (SafetensorError, OSError, ValueError, KeyError):
                path.unlink(missing_ok=True)
        return found

    def _write(self, name: str, fresh: dict[str, Tensor]) -> None:
        if self.directory is None:
            return
        place = self.directory / name
        place.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256("".join(fresh).encode()).hexdigest()[:32]
        partial = place / f"{digest}.partial"
        told = {"keys": json.dumps(list(fresh)), "counts": json.dumps([len(state) for state in fresh.values()])}
        save_file({"states": torch.cat(list(fresh.values()))}, partial, metadata=told)
        partial.rename(place / f"{digest}.safetensors")


def _key(sequence: TokenSequence) -> str:
    digest = hashlib.sha256(sequence.ids.numpy().tobytes())
    digest.update(f"|{sequence.reads.tolist()}|{sequence.images}|".encode())
    if sequence.types is not None:
        digest.update(sequence.types.numpy().tobytes())
    return digest.hexdigest()[:32]
